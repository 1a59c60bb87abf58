//! `auth.*`: users, roles, rules and gates.

use super::{Default, PureArg, PureCmd, arg, flag};

const GATE: PureArg =
    arg("--gate", "The iden of an auth gate to which the rule belongs.").typ("str").default(Default::Null);
const RULE: PureArg = arg("rule", "The rule: a permission, after an exclamation mark if it denies.").typ("str");
const INDEX: PureArg =
    arg("--index", "The rule's place in the list, counted from 0.").typ("int").default(Default::Null);
const BY_INDEX: PureArg = flag("--index", "The rule is given as its place in the list, counted from 0.").typ("bool");

/// Lets `$user` be the user of an argument, or ends the query.
macro_rules! req_user {
    ($($rest:literal),*) => {
        concat!(
            r#"
        $user = $lib.auth.users.byname($cmdopts.username)
        if (not $user) { $lib.exit(`There is no user named {$cmdopts.username}`) }
        "#,
            $($rest),*
        )
    };
}

/// Lets `$role` be the role of an argument, or ends the query.
macro_rules! req_role {
    () => {
        r#"
        $role = $lib.auth.roles.byname($cmdopts.rolename)
        if (not $role) { $lib.exit(`There is no role named {$cmdopts.rolename}`) }
        "#
    };
}

/// A function that prints rules with their places.
macro_rules! print_rules {
    () => {
        r#"
        function show(prefix, rules) {
            for ($indx, $rule) in $lib.iters.enum($rules) {
                $indx = $lib.cast(str, $indx).ljust(3)
                $rule = $lib.auth.textFromRule($rule)
                $lib.print(`{$prefix}[{$indx}] - {$rule}`)
            }
        }
        "#
    };
}

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "auth.user.add",
        r#"Add a user.

Examples:

    // With an address
    auth.user.add ada --email ada@example.com"#,
        &[
            arg("name", "The name of the user.").typ("str"),
            arg("--email", "The address of the user.").typ("str").default(Default::Null),
        ],
        r#"
        $user = $lib.auth.users.add($cmdopts.name, email=$cmdopts.email)
        $lib.print(`User ({$user.name}) added with iden: {$user.iden}`)
        "#,
    ),
    PureCmd::new(
        "auth.user.list",
        "List the users, those who are locked apart.",
        &[],
        r#"
        $open = ([])
        $locked = ([])
        for $user in $lib.auth.users.list() {
            if $user.locked { $locked.append($user.name) } else { $open.append($user.name) }
        }
        $lib.print('Users:')
        for $name in $lib.sorted($open) { $lib.print(`  {$name}`) }
        $lib.print('')
        $lib.print('Locked Users:')
        for $name in $lib.sorted($locked) { $lib.print(`  {$name}`) }
        "#,
    ),
    PureCmd::new(
        "auth.user.mod",
        r#"Change a user.

Examples:

    // Another name
    auth.user.mod ada --name lovelace

    // All powers, everywhere or on the current view
    auth.user.mod ada --admin (true)
    auth.user.mod ada --admin (true) --gate $lib.view.get().iden

    // Let her in again
    auth.user.mod ada --locked (false)"#,
        &[
            arg("username", "The name of the user.").typ("str"),
            arg("--name", "A new name.").typ("str"),
            arg("--email", "A new address.").typ("str"),
            arg("--passwd", "A new password. It is better to pass it as a variable than to write it in a query.")
                .typ("str"),
            arg("--admin", "Whether the user may do everything.").typ("bool"),
            arg("--gate", "The iden of the auth gate on which --admin is set.").typ("str"),
            arg("--locked", "Whether the user is kept out.").typ("bool"),
        ],
        r#"
        $who = $cmdopts.username
        $user = $lib.auth.users.byname($who)
        if (not $user) {
            $lib.warn(`There is no user named {$who}!`)
        } else {
            if $cmdopts.name {
                $user.name = $cmdopts.name
                $lib.print(`User ({$who}): the name is now {$cmdopts.name}.`)
            }
            if $cmdopts.email {
                $user.email = $cmdopts.email
                $lib.print(`User ({$who}): the address is now {$cmdopts.email}.`)
            }
            if $cmdopts.passwd {
                $user.setPasswd($cmdopts.passwd)
                $lib.print(`User ({$who}): the password is changed.`)
            }
            if ($cmdopts.locked != null) {
                $user.setLocked($cmdopts.locked)
                $locked = ($cmdopts.locked = 1)
                $lib.print(`User ({$who}): locked is now {$locked}.`)
            }
            if ($cmdopts.admin != null) {
                $user.setAdmin($cmdopts.admin, gateiden=$cmdopts.gate)
                $where = ''
                if $cmdopts.gate { $where = ` on the auth gate {$cmdopts.gate}` }
                $admin = ($cmdopts.admin = 1)
                $lib.print(`User ({$who}): admin is now {$admin}{$where}.`)
            } elif ($cmdopts.gate != null) {
                $lib.exit('--gate says where --admin is set: give both.')
            }
        }
        "#,
    ),
    PureCmd::new(
        "auth.role.add",
        "Add a role.",
        &[arg("name", "The name of the role.").typ("str")],
        r#"
        $role = $lib.auth.roles.add($cmdopts.name)
        $lib.print(`Role ({$role.name}) added with iden: {$role.iden}`)
        "#,
    ),
    PureCmd::new(
        "auth.role.list",
        "List the roles.",
        &[],
        r#"
        $names = ([])
        for $role in $lib.auth.roles.list() { $names.append($role.name) }
        $lib.print('Roles:')
        for $name in $lib.sorted($names) { $lib.print(`  {$name}`) }
        "#,
    ),
    PureCmd::new(
        "auth.role.del",
        "Delete a role.",
        &[arg("name", "The name of the role.").typ("str")],
        r#"
        $role = $lib.auth.roles.byname($cmdopts.name)
        if (not $role) {
            $lib.warn(`There is no role named {$cmdopts.name}!`)
        } else {
            $lib.auth.roles.del($role.iden)
            $lib.print(`Role ({$cmdopts.name}) deleted.`)
        }
        "#,
    ),
    PureCmd::new(
        "auth.role.mod",
        "Change a role.",
        &[arg("rolename", "The name of the role.").typ("str"), arg("--name", "A new name.").typ("str")],
        r#"
        $role = $lib.auth.roles.byname($cmdopts.rolename)
        if (not $role) {
            $lib.warn(`There is no role named {$cmdopts.rolename}!`)
        } elif $cmdopts.name {
            $role.name = $cmdopts.name
            $lib.print(`Role ({$cmdopts.rolename}): the name is now {$cmdopts.name}.`)
        }
        "#,
    ),
    PureCmd::new(
        "auth.user.addrule",
        r#"Give a rule to a user.

Examples:

    // Allow something
    auth.user.addrule ada node.add.inet

    // Deny something, before all other rules
    auth.user.addrule ada "!node.add.inet" --index 0"#,
        &[arg("name", "The name of the user.").typ("str"), RULE, GATE, INDEX],
        r#"
        $user = $lib.auth.users.byname($cmdopts.name)
        $rule = $lib.auth.ruleFromText($cmdopts.rule)
        if (not $user) {
            $lib.warn(`There is no user named {$cmdopts.name}!`)
        } else {
            $user.addRule($rule, gateiden=$cmdopts.gate, indx=$cmdopts.index)
            $lib.print(`User ({$cmdopts.name}): rule {$cmdopts.rule} added.`)
        }
        "#,
    ),
    PureCmd::new(
        "auth.user.delrule",
        r#"Take a rule from a user.

Examples:

    // The rule itself
    auth.user.delrule ada "!node.add.inet"

    // The third of the list
    auth.user.delrule ada --index 2"#,
        &[arg("name", "The name of the user.").typ("str"), RULE, GATE, BY_INDEX],
        r#"
        $user = $lib.auth.users.byname($cmdopts.name)
        if (not $user) {
            $lib.warn(`There is no user named {$cmdopts.name}!`)
        } else {
            if $cmdopts.index {
                $rule = $user.popRule($cmdopts.rule, gateiden=$cmdopts.gate)
            } else {
                $rule = $lib.auth.ruleFromText($cmdopts.rule)
                $user.delRule($rule, gateiden=$cmdopts.gate)
            }
            $text = $lib.auth.textFromRule($rule)
            $lib.print(`User ({$cmdopts.name}): rule {$text} removed.`)
        }
        "#,
    ),
    PureCmd::new(
        "auth.role.addrule",
        r#"Give a rule to a role.

Examples:

    // Allow something
    auth.role.addrule analysts node.tag.add

    // Deny something, before all other rules
    auth.role.addrule analysts "!node.tag.add.cno" --index 0"#,
        &[arg("name", "The name of the role.").typ("str"), RULE, GATE, INDEX],
        r#"
        $role = $lib.auth.roles.byname($cmdopts.name)
        $rule = $lib.auth.ruleFromText($cmdopts.rule)
        if (not $role) {
            $lib.warn(`There is no role named {$cmdopts.name}!`)
        } else {
            $role.addRule($rule, gateiden=$cmdopts.gate, indx=$cmdopts.index)
            $lib.print(`Role ({$cmdopts.name}): rule {$cmdopts.rule} added.`)
        }
        "#,
    ),
    PureCmd::new(
        "auth.role.delrule",
        r#"Take a rule from a role.

Examples:

    // The rule itself
    auth.role.delrule analysts node.tag.add

    // The first of the list
    auth.role.delrule analysts --index 0"#,
        &[arg("name", "The name of the role.").typ("str"), RULE, GATE, BY_INDEX],
        r#"
        $role = $lib.auth.roles.byname($cmdopts.name)
        if (not $role) {
            $lib.warn(`There is no role named {$cmdopts.name}!`)
        } else {
            if $cmdopts.index {
                $rule = $role.popRule($cmdopts.rule, gateiden=$cmdopts.gate)
            } else {
                $rule = $lib.auth.ruleFromText($cmdopts.rule)
                $role.delRule($rule, gateiden=$cmdopts.gate)
            }
            $text = $lib.auth.textFromRule($rule)
            $lib.print(`Role ({$cmdopts.name}): rule {$text} removed.`)
        }
        "#,
    ),
    PureCmd::new(
        "auth.user.grant",
        r#"Give a role to a user.

Examples:

    // Before all her other roles
    auth.user.grant ada analysts --index 0"#,
        &[
            arg("username", "The name of the user.").typ("str"),
            arg("rolename", "The name of the role.").typ("str"),
            arg("--index", "The role's place in the list, counted from 0.").typ("int").default(Default::Null),
        ],
        concat!(
            req_user!(),
            req_role!(),
            r#"
        $lib.print(`User ({$user.name}): role {$role.name} granted.`)
        $user.grant($role.iden, indx=$cmdopts.index)
        "#
        ),
    ),
    PureCmd::new(
        "auth.user.revoke",
        "Take a role from a user.",
        &[arg("username", "The name of the user.").typ("str"), arg("rolename", "The name of the role.").typ("str")],
        concat!(
            req_user!(),
            req_role!(),
            r#"
        if (not $user.roles().has($role)) {
            $lib.exit(`User ({$cmdopts.username}) has no role named {$cmdopts.rolename}`)
        }
        $lib.print(`User ({$user.name}): role {$role.name} revoked.`)
        $user.revoke($role.iden)
        "#
        ),
    ),
    PureCmd::new(
        "auth.user.show",
        "Show a user with rules, roles and gates.",
        &[arg("username", "The name of the user.").typ("str")],
        concat!(
            print_rules!(),
            req_user!(),
            r#"
        $lib.print(`User: {$user.name} ({$user.iden})`)
        $lib.print('')
        $lib.print(`  Locked: {$user.locked}`)
        $lib.print(`  Admin: {$user.admin}`)
        $lib.print(`  Email: {$user.email}`)
        $lib.print('  Rules:')
        $show('    ', $user.rules)
        $lib.print('')
        $lib.print('  Roles:')
        for $role in $user.roles() { $lib.print(`    {$role.iden} - {$role.name}`) }
        $lib.print('')
        $lib.print('  Gates:')
        for $gate in $user.gates() {
            $admin = (false)
            for $member in $gate.users {
                if ($member.iden = $user.iden) { $admin = $member.admin }
            }
            $lib.print(`    {$gate.iden} - ({$gate.type})`)
            $lib.print(`      Admin: {$admin}`)
            $show('      ', $user.getRules(gateiden=$gate.iden))
        }
        "#
        ),
    ),
    PureCmd::new(
        "auth.user.allowed",
        "Say whether a user has a permission, and by which rule.",
        &[
            arg("username", "The name of the user.").typ("str"),
            arg("permname", "The permission.").typ("str"),
            arg("--gate", "The iden of an auth gate whose rules count too.").typ("str"),
        ],
        req_user!(
            r#"
        ($allowed, $reason) = $user.getAllowedReason($cmdopts.permname, gateiden=$cmdopts.gate)
        $lib.print(`allowed: {$allowed} - {$reason}`)
        "#
        ),
    ),
    PureCmd::new(
        "auth.role.show",
        "Show a role with rules and gates.",
        &[arg("rolename", "The name of the role.").typ("str")],
        concat!(
            print_rules!(),
            req_role!(),
            r#"
        $lib.print(`Role: {$role.name} ({$role.iden})`)
        $lib.print('')
        $lib.print('  Rules:')
        $show('    ', $role.rules)
        $lib.print('')
        $lib.print('  Gates:')
        for $gate in $role.gates() {
            $lib.print(`    {$gate.iden} - ({$gate.type})`)
            $show('      ', $role.getRules(gateiden=$gate.iden))
        }
        "#
        ),
    ),
    PureCmd::new(
        "auth.gate.show",
        r#"Show who may do what on an auth gate.

Examples:

    // The current view, and its topmost layer
    auth.gate.show $lib.view.get().iden
    auth.gate.show $lib.layer.get().iden"#,
        &[arg("gateiden", "The iden of the auth gate.").typ("str")],
        concat!(
            print_rules!(),
            r#"
        $gate = $lib.auth.gates.get($cmdopts.gateiden)
        if (not $gate) { $lib.exit(`There is no auth gate with the iden {$cmdopts.gateiden}`) }
        $lib.print(`Gate Type: {$gate.type}`)
        $lib.print('')
        $lib.print('Auth Gate Users:')
        for $member in $gate.users {
            $user = $lib.auth.users.get($member.iden)
            $lib.print(`  {$user.iden} - {$user.name}`)
            $lib.print(`    Admin: {$member.admin}`)
            $lib.print('    Rules:')
            $show('      ', $member.rules)
        }
        $lib.print('')
        $lib.print('Auth Gate Roles:')
        for $member in $gate.roles {
            $role = $lib.auth.roles.get($member.iden)
            $lib.print(`  {$role.iden} - {$role.name}`)
            $lib.print('    Rules:')
            $show('      ', $member.rules)
        }
        "#
        ),
    ),
    PureCmd::new(
        "auth.perms.list",
        "List the permissions that there are.",
        &[arg("--find", "Only those in which this text occurs.").typ("str")],
        r#"
        for $pdef in $lib.auth.getPermDefs() {
            $perm = ('.').join($pdef.perm)
            if $cmdopts.find {
                $words = ($perm, $pdef.desc, $pdef.gate)
                if $pdef.ex { $words.append($pdef.ex) }
                if (('\n').join($words).lower().find($cmdopts.find.lower()) = null) { continue }
            }
            $lib.print($perm)
            $lib.print(`    {$pdef.desc}`)
            $lib.print(`    gate: {$pdef.gate}`)
            $lib.print(`    default: {$pdef.default}`)
            if $pdef.ex { $lib.print(`    example: {$pdef.ex}`) }
            $lib.print('')
        }
        "#,
    ),
];
