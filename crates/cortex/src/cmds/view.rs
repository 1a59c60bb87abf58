//! `view.*` and `quorum.*`: views, their forks, and the merges that wait for votes.

use super::{Default, PureArg, PureCmd, arg, flag};

const IDEN: PureArg = arg("iden", "The iden of the view.");

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "view.add",
        "Make a view.",
        &[
            arg("--name", "A name for the view.").default(Default::Null),
            arg("--worldreadable", "Let everybody read the view.").typ("bool").default(Default::Bool(false)),
            arg("--layers", "The idens of its layers, the one to write to first.").nargs("*").default(Default::List),
        ],
        r#"
        $view = $lib.view.add($cmdopts.layers, name=$cmdopts.name, worldreadable=$cmdopts.worldreadable)
        $lib.print($view.repr())
        $lib.print('View added.')
        "#,
    ),
    PureCmd::new(
        "view.del",
        r#"Delete a view.

Its layers stay. Use layer.del to delete them too."#,
        &[IDEN],
        r#"
        $lib.view.del($cmdopts.iden)
        $lib.print(`View deleted: {$cmdopts.iden}`)
        "#,
    ),
    PureCmd::new(
        "view.set",
        "Set an option of a view.",
        &[IDEN, arg("name", "The name of the option."), arg("valu", "Its value.")],
        r#"
        $view = $lib.view.get($cmdopts.iden)
        $view.set($cmdopts.name, $cmdopts.valu)
        $lib.print($view.repr())
        $lib.print('View changed.')
        "#,
    ),
    PureCmd::new(
        "view.fork",
        "Fork a view: what is written to the fork does not show in its parent until it is merged.",
        &[IDEN, arg("--name", "A name for the fork.").default(Default::Null)],
        r#"
        $fork = $lib.view.get($cmdopts.iden).fork(name=$cmdopts.name)
        $lib.print($fork.repr())
        $lib.print(`Forked view {$cmdopts.iden}, the fork is: {$fork.iden}`)
        "#,
    ),
    PureCmd::new(
        "view.get",
        "Show a view.",
        &[arg("iden", "The iden of the view; the main view when it is left out.").nargs("?")],
        r#"
        $lib.print($lib.view.get($cmdopts.iden).repr())
        "#,
    ),
    PureCmd::new(
        "view.list",
        "List the views.",
        &[],
        r#"
        $lib.print('')
        for $view in $lib.view.list() {
            $lib.print($view.repr())
            $lib.print('')
        }
        "#,
    ),
    PureCmd::new(
        "view.merge",
        "Merge a fork into its parent.",
        &[IDEN, flag("--delete", "Delete the fork and its layer afterwards.")],
        r#"
        $view = $lib.view.get($cmdopts.iden)
        $view.merge()
        if $cmdopts.delete {
            $top = $view.pack().layers.index(0).iden
            $lib.view.del($view.iden)
            $lib.layer.del($top)
        } else {
            $view.swapLayer()
        }
        $lib.print(`View merged: {$cmdopts.iden}`)
        "#,
    ),
    PureCmd::new(
        "quorum.merge.list",
        "List the views whose merge waits for votes.",
        &[flag("--todo", "Only those on which you have not voted yet.")],
        r#"
        function username(iden) {
            $user = $lib.auth.users.get($iden)
            if ($user = null) { return($iden) }
            return($user.name)
        }
        $rows = ([])
        for ($view, $summary) in $lib.quorum.merge.list(todo=$cmdopts.todo) {
            $merge = $summary.merge
            $updated = ''
            if $merge.updated { $updated = $lib.repr(time, $merge.updated) }
            $rows.append((
                $view.iden, $view.get(name), $username($merge.creator), $lib.repr(time, $merge.created), $updated))
        }
        if $rows {
            $printer = $lib.tabular.printer(({
                "separators": {
                    "row:outline": false, "column:outline": false,
                    "header:row": '#', "data:row": "", "column": "",
                },
                "columns": [
                    {"name": "view", "width": 32},
                    {"name": "name", "width": 40},
                    {"name": "creator", "width": 18},
                    {"name": "created", "width": 24},
                    {"name": "updated", "width": 24},
                ],
            }))
            $lib.print($printer.header())
            for $row in $rows { $lib.print($printer.row($row)) }
        } elif $cmdopts.todo {
            $lib.print('No merge waits for your vote.')
        } else {
            $lib.print('No merge waits for votes.')
        }
        "#,
    ),
];
