//! `vault.*`: secrets and settings that queries use.

use super::{PureArg, PureCmd, arg, flag};

const NAME: PureArg = arg("name", "The name or iden of the vault.").typ("str");

/// Lets `$vault` be the vault of an argument: by its iden, else by its name.
macro_rules! find_vault {
    () => {
        r#"
        try {
            $vault = $lib.vault.get($cmdopts.name)
        } catch (BadArg, NoSuchIden) as err {
            $vault = $lib.vault.byname($cmdopts.name)
        }
        "#
    };
}

/// Sets or removes an item of one part of a vault.
macro_rules! set_item {
    ($part:literal) => {
        concat!(
            r#"
        if (($cmdopts.value and $cmdopts.delete) or not ($cmdopts.value or $cmdopts.delete)) {
            $lib.exit('Give either --value or --delete.')
        }
        "#,
            find_vault!(),
            r#"
        if $cmdopts.delete {
            $vault."#,
            $part,
            r#".($cmdopts.key) = $lib.undef
            $lib.print(`Vault {$cmdopts.name}: {$cmdopts.key} removed from the "#,
            $part,
            r#".`)
        } else {
            $vault."#,
            $part,
            r#".($cmdopts.key) = $cmdopts.value
            $lib.print(`Vault {$cmdopts.name}: {$cmdopts.key} set to {$cmdopts.value} in the "#,
            $part,
            r#".`)
        }
        "#
        )
    };
}

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "vault.add",
        r#"Make a vault.

Examples:

    // For everybody
    vault.add shared-feed feedco ({"apikey": "s3cret"}) ({}) --global

    // For one user, and for the members of a role
    vault.add ada-feed feedco ({"apikey": "s3cret"}) ({}) --user ada
    vault.add analysts-feed feedco ({"apikey": "s3cret"}) ({}) --role analysts

    // For use by its iden only
    vault.add spare-feed feedco ({"apikey": "s3cret"}) ({"server": "feed.example.com"}) --unscoped ada"#,
        &[
            arg("name", "The name of the vault.").typ("str"),
            arg("type", "The type of the vault.").typ("str"),
            arg("secrets", "Its secrets, as a dictionary."),
            arg("configs", "Its settings, as a dictionary."),
            arg("--user", "The name of the user whom it serves.").typ("str"),
            arg("--role", "The name of the role whose members it serves.").typ("str"),
            arg("--unscoped", "The name of the user who owns it, when it serves nobody by default.").typ("str"),
            flag("--global", "It serves everybody.").typ("bool"),
        ],
        r#"
        $given = (0)
        for $name in (user, role, unscoped, global) {
            if $cmdopts.$name { $given = ($given + 1) }
        }
        if ($given != 1) {
            $lib.exit('Give one of --user <name>, --role <name>, --unscoped <name> and --global.')
        }
        $scope = (null)
        $owner = (null)
        if $cmdopts.user {
            $scope = user
            $owner = $lib.auth.users.byname($cmdopts.user).iden
        } elif $cmdopts.role {
            $scope = role
            $owner = $lib.auth.roles.byname($cmdopts.role).iden
        } elif $cmdopts.unscoped {
            $owner = $lib.auth.users.byname($cmdopts.unscoped).iden
        } else {
            $scope = global
        }
        $iden = $lib.vault.add($cmdopts.name, $cmdopts.type, $scope, $owner, $cmdopts.secrets, $cmdopts.configs)
        $lib.print(`Vault created with iden: {$iden}.`)
        $lib.vault.print($lib.vault.get($iden))
        "#,
    ),
    PureCmd::new(
        "vault.set.secrets",
        r#"Set or remove a secret of a vault.

Examples:

    vault.set.secrets ada-feed apikey --value n3wkey
    vault.set.secrets ada-feed apikey --delete"#,
        &[
            NAME,
            arg("key", "The name of the secret.").typ("str"),
            arg("--value", "Its value."),
            flag("--delete", "Remove it.").typ("bool"),
        ],
        set_item!("secrets"),
    ),
    PureCmd::new(
        "vault.set.configs",
        r#"Set or remove a setting of a vault.

Examples:

    vault.set.configs ada-feed server --value feed2.example.com
    vault.set.configs ada-feed server --delete"#,
        &[
            NAME,
            arg("key", "The name of the setting.").typ("str"),
            arg("--value", "Its value."),
            flag("--delete", "Remove it.").typ("bool"),
        ],
        set_item!("configs"),
    ),
    PureCmd::new(
        "vault.del",
        "Delete a vault.",
        &[NAME],
        concat!(
            find_vault!(),
            r#"
        $vault.delete()
        $lib.print(`Vault {$cmdopts.name} deleted.`)
        "#
        ),
    ),
    PureCmd::new(
        "vault.list",
        "List the vaults that you may use.",
        &[
            arg("--name", "Only the one of this name or iden.").typ("str"),
            arg("--type", "Only those of this type.").typ("str"),
            flag("--showsecrets", "Show the secrets too.").typ("bool"),
        ],
        r#"
        $lib.print('Vaults:')
        $lib.print('-------')
        for $vault in $lib.vault.list() {
            if ($cmdopts.name and $vault.name != $cmdopts.name and $vault.iden != $cmdopts.name) { continue }
            if ($cmdopts.type and $vault.type != $cmdopts.type) { continue }
            $lib.vault.print($vault, $cmdopts.showsecrets)
            $lib.print('')
        }
        "#,
    ),
    PureCmd::new(
        "vault.set.perm",
        r#"Say what a user, or the members of a role, may do with a vault.

Examples:

    vault.set.perm ada-feed --user grace --level read
    vault.set.perm ada-feed --role analysts --level edit
    vault.set.perm ada-feed --user grace --revoke"#,
        &[
            NAME,
            arg("--user", "The name of the user.").typ("str"),
            arg("--role", "The name of the role.").typ("str"),
            arg("--level", "What they may do.").typ("str"),
            flag("--revoke", "Take away what they may do.").typ("bool"),
        ],
        concat!(
            r#"
        if (($cmdopts.level and $cmdopts.revoke) or not ($cmdopts.level or $cmdopts.revoke)) {
            $lib.exit('Give either --level or --revoke.')
        }
        if (($cmdopts.user and $cmdopts.role) or not ($cmdopts.user or $cmdopts.role)) {
            $lib.exit('Give either --user or --role.')
        }
        $level = (null)
        if $cmdopts.level {
            $levels = ({"deny": 0, "read": 1, "edit": 2, "admin": 3})
            $level = $levels.($cmdopts.level)
            if ($level = null) {
                $lib.exit(`There is no level {$cmdopts.level}, but these: deny, read, edit, admin`)
            }
        }
        if $cmdopts.role {
            $iden = $lib.auth.roles.byname($cmdopts.role).iden
        } else {
            $iden = $lib.auth.users.byname($cmdopts.user).iden
        }
        if (not $iden) { $lib.exit('There is no such user or role.') }
        "#,
            find_vault!(),
            r#"
        if $vault.setPerm($iden, $level) {
            $lib.print(`Vault {$cmdopts.name}: the permissions are set.`)
        } else {
            $lib.warn(`Vault {$cmdopts.name}: the permissions are not set.`)
        }
        "#
        ),
    ),
];
