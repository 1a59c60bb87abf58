//! `trigger.*`: queries that run when something changes.

use super::{PureArg, PureCmd, arg, flag};

const IDEN: PureArg = arg("iden", "The trigger's iden, or enough of its beginning to tell it from all others.");

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "trigger.add",
        r#"Run a query whenever something changes.

The condition is one of

    node:add    node:del    a node is made or deleted: --form says of which form
    prop:set                a property is set: --prop says which
    tag:add     tag:del     a tag is put on a node or taken off: --tag says which, --form on what
    edge:add    edge:del    an edge is made or deleted: --verb says which, --form from what, --n2form to what

A tag may end in a star for exactly one more level: aka.* stands for aka.foo but not for aka.foo.bar. What changed is
in $auto.opts of the query, such as $auto.opts.tag.

Examples:

    // Look at every new domain
    trigger.add node:add --form inet:fqdn --query {[ +#todo.look ]}

    // When somebody says that a file is bad
    trigger.add tag:add --form file:bytes --tag verdict.bad --query { -(uses)> * [ +#todo.look ] }

    // When a file no longer refers to another
    trigger.add edge:del --verb refs --form file:bytes --n2form file:bytes --query {[ +#todo.look ]}"#,
        &[
            arg("condition", "What to wait for."),
            arg("--form", "The form of the node."),
            arg("--tag", "The tag."),
            arg("--prop", "The property."),
            arg("--verb", "The verb of the edge."),
            arg("--n2form", "The form of the node to which the edge goes."),
            arg("--query", "What to run.").required().dest("storm"),
            flag("--async", "Run the query later, in the background."),
            flag("--disabled", "Do not fire until it is enabled."),
            arg("--name", "A name for the trigger."),
            arg("--view", "The view in which it fires."),
        ],
        r#"
        $tdef = ({"enabled": (not $cmdopts.disabled)})
        for ($name, $valu) in $cmdopts {
            if ($valu = null or $name = "disabled" or $name = "help") { continue }
            $tdef.$name = $valu
        }
        $trigger = $lib.trigger.add($tdef)
        $lib.print(`Added trigger: {$trigger.iden}`)
        "#,
    ),
    PureCmd::new(
        "trigger.del",
        "Delete a trigger.",
        &[IDEN],
        r#"
        $iden = $lib.trigger.del($cmdopts.iden)
        $lib.print(`Deleted trigger: {$iden}`)
        "#,
    ),
    PureCmd::new(
        "trigger.mod",
        "Change the query of a trigger.",
        &[IDEN, arg("query", "What to run from now on.")],
        r#"
        $iden = $lib.trigger.mod($cmdopts.iden, $cmdopts.query)
        $lib.print(`Modified trigger: {$iden}`)
        "#,
    ),
    PureCmd::new(
        "trigger.list",
        "List the triggers of the current view.",
        &[flag("--all", "List those of every view that you may read.")],
        r#"
        $triggers = $lib.trigger.list($cmdopts.all)
        if $triggers {
            $bool = $lib.model.type(bool)
            $user = ('user').ljust(10)
            $iden = ('iden').ljust(32)
            $view = ('view').ljust(32)
            $cond = ('cond').ljust(9)
            $what = ('object').ljust(25)
            $lib.print(`{$user} {$iden} {$view} en?    async? {$cond} {$what} storm query`)
            for $trigger in $triggers {
                $user = $trigger.username.ljust(10)
                ($ok, $async) = $lib.trycast(bool, $trigger.async)
                if (not $ok) { $async = (false) }
                $async = $bool.repr($async).ljust(6)
                $enabled = $bool.repr($trigger.enabled).ljust(6)
                $cond = $trigger.cond.ljust(9)
                $what = ''
                $tag = ''
                if $trigger.form { $what = $trigger.form }
                if $trigger.cond.startswith('tag:') {
                    $tag = $trigger.tag
                } else {
                    if $trigger.prop { $what = $trigger.prop }
                    if ($what = '') { $what = '<missing>' }
                }
                $what = $what.ljust(14)
                $tag = $tag.ljust(10)
                $lib.print(`{$user} {$trigger.iden} {$trigger.view} {$enabled} {$async} {$cond} {$what} {$tag} {$trigger.storm}`)
            }
        } else {
            $lib.print('There are no triggers.')
        }
        "#,
    ),
    PureCmd::new(
        "trigger.enable",
        "Let a trigger fire.",
        &[IDEN],
        r#"
        $iden = $lib.trigger.enable($cmdopts.iden)
        $lib.print(`Enabled trigger: {$iden}`)
        "#,
    ),
    PureCmd::new(
        "trigger.disable",
        "Keep a trigger from firing.",
        &[IDEN],
        r#"
        $iden = $lib.trigger.disable($cmdopts.iden)
        $lib.print(`Disabled trigger: {$iden}`)
        "#,
    ),
];
