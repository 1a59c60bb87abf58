//! `model.*` and `index.*`: edge verbs, what is deprecated of the data model, and how much there is of it.

use super::{PureArg, PureCmd, arg, flag};

const VERB: PureArg = arg("verb", "The verb of the edges.");

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "model.edge.set",
        "Set something about a verb that the current view has.",
        &[VERB, arg("key", "What to set, such as doc."), arg("valu", "The text to set it to.")],
        r#"
        $lib.model.edge.set($cmdopts.verb, $cmdopts.key, $cmdopts.valu)
        $lib.print(`Set edge key: verb={$cmdopts.verb} key={$cmdopts.key}`)
        "#,
    ),
    PureCmd::new(
        "model.edge.get",
        "Show what is set about a verb that the current view has.",
        &[VERB],
        r#"
        $pairs = $lib.model.edge.get($cmdopts.verb)
        if $pairs {
            $lib.print(`verb = {$cmdopts.verb}`)
            for ($key, $valu) in $pairs { $lib.print(`    {$key} = {$valu}`) }
        } else {
            $lib.print(`Nothing is set about verb={$cmdopts.verb}.`)
        }
        "#,
    ),
    PureCmd::new(
        "model.edge.del",
        "Remove something that is set about a verb that the current view has.",
        &[VERB, arg("key", "What to remove, such as doc.")],
        r#"
        $lib.model.edge.del($cmdopts.verb, $cmdopts.key)
        $lib.print(`Deleted edge key: verb={$cmdopts.verb} key={$cmdopts.key}`)
        "#,
    ),
    PureCmd::new(
        "model.edge.list",
        "List the verbs that the current view has.",
        &[],
        r#"
        $edges = $lib.model.edge.list()
        if $edges {
            $lib.print('\nname       doc')
            $lib.print('----       ---')
            for ($verb, $info) in $edges {
                $verb = $verb.ljust(10)
                $doc = $info.doc
                if ($doc = null) { $doc = '' }
                $lib.print(`{$verb} {$doc}`)
            }
            $lib.print('')
        } else {
            $lib.print('The current view has no edges.')
        }
        "#,
    ),
    PureCmd::new(
        "model.deprecated.lock",
        "Keep a deprecated part of the data model from being used, or let it be used again.",
        &[
            arg("name", "The name of the form, property or type, or * for all."),
            flag("--unlock", "Let it be used again."),
        ],
        r#"
        init {
            $name = $cmdopts.name
            if $cmdopts.unlock {
                $lib.print(`Unlocking: {$name}`)
                $lib.model.deprecated.lock($name, (false))
            } elif ($name = "*") {
                $lib.print('Locking everything that is deprecated.')
                for ($name, $locked) in $lib.model.deprecated.locks() {
                    if (not $locked) { $lib.model.deprecated.lock($name, (true)) }
                }
            } else {
                $lib.print(`Locking: {$name}`)
                $lib.model.deprecated.lock($name, (true))
            }
        }
        "#,
    ),
    PureCmd::new(
        "model.deprecated.locks",
        "List the deprecated parts of the data model, and whether they may be used.",
        &[],
        r#"
        $locks = $lib.model.deprecated.locks()
        if $locks {
            $lib.print('Locks of what is deprecated:')
            for ($name, $locked) in $lib.sorted($locks) { $lib.print(`{$name}: {$locked}`) }
        } else {
            $lib.print('Nothing is deprecated.')
        }
        "#,
    ),
    PureCmd::new(
        "model.deprecated.check",
        "Say whether any deprecated part of the data model may be used, or is.",
        &[],
        r#"
        init {
            $ready = (true)
            $locks = $lib.model.deprecated.locks()
            $lib.print('Is everything locked that is deprecated?')
            for ($name, $locked) in $locks {
                if $locked {
                    $lib.print(`{$name} is locked`)
                } else {
                    $ready = (false)
                    $lib.warn(`{$name} is not locked`)
                }
            }
            $lib.print('Is anything left of what is deprecated?')
            for ($name, $locked) in $locks {
                $lib.print(`{$name}...`)
                for $layr in $lib.layer.list() {
                    if $layr.getPropCount($name, maxsize=1) {
                        $ready = (false)
                        $lib.warn(`Layer {$layr.iden} has {$name}`)
                    }
                }
            }
            if $ready {
                $lib.print('Nothing that is deprecated is in use: this cortex is ready for the next data model.')
            } else {
                $lib.print('This cortex still uses what is deprecated.')
            }
        }
        "#,
    ),
    PureCmd::new(
        "index.count.prop",
        r#"Count how often a property is set, in each layer of the current view.

Examples:

    // All file extensions
    index.count.prop file:path:ext

    // One of them
    index.count.prop file:path:ext --value exe"#,
        &[arg("prop", "The name of the form or property."), arg("--value", "Only count this value.")],
        r#"
        $printer = $lib.tabular.printer(({
            "separators": {"data:row": ""},
            "columns": [
                {"name": "Count", "width": 12},
                {"name": "Layer Iden", "width": 32},
                {"name": "Layer Name"},
            ],
        }))
        $byvalu = (false)
        for ($name, $valu) in $cmdopts {
            if ($name = "value") { $byvalu = (true) }
        }
        $lib.print($printer.header())
        $total = (0)
        for $layr in $lib.view.get().layers {
            if $byvalu {
                $count = $layr.getPropCount($cmdopts.prop, valu=$cmdopts.value)
            } else {
                $count = $layr.getPropCount($cmdopts.prop)
            }
            $total = ($total + $count)
            $lib.print($printer.row(($count, $layr.iden, $layr.name)))
        }
        $lib.print(`Total: {$total}`)
        "#,
    ),
];
