//! `layer.*`: layers, and what they pull from and push to other layers.

use super::{Default, PureArg, PureCmd, arg, flag};

const IDEN: PureArg = arg("iden", "The iden of the layer.");
const LAYR: PureArg = arg("layr", "The iden of the layer.");

/// Prints one line for each pull or push of a layer.
macro_rules! list_syncs {
    ($key:literal, $none:literal) => {
        concat!(
            r#"
        $layr = $lib.layer.get($cmdopts.layr)
        $lib.print($layr.repr())
        $syncs = $layr.get("#,
            $key,
            r#")
        if $syncs {
            $iden = ('iden').ljust(32)
            $user = ('user').ljust(20)
            $time = ('time').ljust(19)
            $offs = ('offset').rjust(10)
            $lib.print(`{$iden} | {$user} | {$time} | {$offs} | url`)
            for ($iden, $sync) in $syncs {
                $user = $lib.auth.users.get($sync.user)
                if $user { $user = $user.name } else { $user = $sync.user }
                $user = $user.ljust(20)
                $time = $lib.time.format($sync.time, '%Y-%m-%d %H:%M:%S')
                $offs = $lib.cast(str, $sync.offs).rjust(10)
                $lib.print(`{$iden} | {$user} | {$time} | {$offs} | {$sync.url}`)
            }
        } else {
            $lib.print('"#,
            $none,
            r#"')
        }
        "#
        )
    };
}

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "layer.add",
        "Make a layer.",
        &[
            flag("--lockmemory", "Keep the layer's map in memory."),
            flag("--readonly", "Refuse changes to the layer."),
            arg("--mirror", "The telepath URL of a layer or view of which this one is a mirror.").typ("str"),
            arg("--growsize", "By how many bytes the layer's map grows when it is full.").typ("int"),
            arg("--cache-size", "How many nodes the layer keeps decoded.").typ("int").dest("cache:size"),
            arg("--upstream", "The telepath URLs of layers whose changes are taken over."),
            arg("--name", "A name for the layer."),
        ],
        r#"
        $layr = $lib.layer.add($cmdopts)
        $lib.print($layr.repr())
        $lib.print('Layer added.')
        "#,
    ),
    PureCmd::new(
        "layer.set",
        "Set an option of a layer.",
        &[IDEN, arg("name", "The name of the option."), arg("valu", "Its value.")],
        r#"
        $layr = $lib.layer.get($cmdopts.iden)
        $layr.set($cmdopts.name, $cmdopts.valu)
        $lib.print($layr.repr())
        $lib.print('Layer changed.')
        "#,
    ),
    PureCmd::new(
        "layer.del",
        "Delete a layer.",
        &[IDEN],
        r#"
        $lib.layer.del($cmdopts.iden)
        $lib.print(`Layer deleted: {$cmdopts.iden}`)
        "#,
    ),
    PureCmd::new(
        "layer.get",
        "Show a layer.",
        &[arg("iden", "The iden of the layer; the main layer when it is left out.").nargs("?")],
        r#"
        $lib.print($lib.layer.get($cmdopts.iden).repr())
        "#,
    ),
    PureCmd::new(
        "layer.list",
        "List the layers.",
        &[],
        r#"
        $lib.print('Layers:')
        for $layr in $lib.layer.list() { $lib.print($layr.repr()) }
        "#,
    ),
    PureCmd::new(
        "layer.pull.add",
        "Let a layer take over the changes of another.",
        &[
            LAYR,
            arg("src", "The telepath URL of the other layer."),
            arg("--offset", "The offset of the first change to take.").typ("int").default(Default::Int(0)),
        ],
        r#"
        $pull = $lib.layer.get($cmdopts.layr).addPull($cmdopts.src, $cmdopts.offset)
        if $pull { $lib.print(`Layer pull added: {$pull.iden}`) }
        "#,
    ),
    PureCmd::new(
        "layer.pull.del",
        "Stop a layer from taking over the changes of another.",
        &[LAYR, arg("iden", "The iden of the pull.")],
        r#"
        $lib.layer.get($cmdopts.layr).delPull($cmdopts.iden)
        $lib.print('Layer pull deleted.')
        "#,
    ),
    PureCmd::new(
        "layer.pull.list",
        "List what a layer pulls.",
        &[LAYR],
        list_syncs!("pulls", "This layer pulls nothing."),
    ),
    PureCmd::new(
        "layer.push.add",
        "Let a layer hand its changes to another.",
        &[
            LAYR,
            arg("dest", "The telepath URL of the other layer."),
            arg("--offset", "The offset of the first change to hand over.").typ("int").default(Default::Int(0)),
        ],
        r#"
        $push = $lib.layer.get($cmdopts.layr).addPush($cmdopts.dest, $cmdopts.offset)
        if $push { $lib.print(`Layer push added: {$push.iden}`) }
        "#,
    ),
    PureCmd::new(
        "layer.push.del",
        "Stop a layer from handing its changes to another.",
        &[LAYR, arg("iden", "The iden of the push.")],
        r#"
        $lib.layer.get($cmdopts.layr).delPush($cmdopts.iden)
        $lib.print('Layer push deleted.')
        "#,
    ),
    PureCmd::new(
        "layer.push.list",
        "List what a layer pushes.",
        &[LAYR],
        list_syncs!("pushs", "This layer pushes nothing."),
    ),
];
