//! `task.*`, `ps.*`, `version`, `uptime`: the running service.

use super::{Default, PureArg, PureCmd, arg, flag};

const VERBOSE: PureArg = flag("--verbose", "Do not shorten the details.");
const TIMEOUT: PureArg =
    arg("--timeout", "How many seconds each mirror has to answer.").typ("int").default(Default::Null);

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "task.list",
        "List what the cortex and its mirrors are running.",
        &[VERBOSE, TIMEOUT],
        r#"
        $count = (0)
        $clamp = (120)
        if $cmdopts.verbose { $clamp = (null) }
        for $task in $lib.task.list(timeout=$cmdopts.timeout) {
            $count = ($count + 1)
            $start = $lib.time.format($task.tick, '%Y-%m-%d %H:%M:%S')
            $lib.print(`task iden: {$task.iden}`)
            $lib.print(`    name: {$task.name}`)
            $lib.print(`    user: {$task.username}`)
            $lib.print(`    service: {$task.service}`)
            $lib.print(`    start time: {$start}`)
            $lib.print('    metadata:')
            $lib.pprint($task.info, prefix='    ', clamp=$clamp)
        }
        if ($count = 1) {
            $lib.print('1 task found.')
        } else {
            $lib.print(`{$count} tasks found.`)
        }
        "#,
    ),
    PureCmd::new(
        "task.kill",
        "End a task of the cortex or of a mirror.",
        &[arg("iden", "The task's iden, or enough of its beginning to tell it from all others."), TIMEOUT],
        r#"
        $done = $lib.task.kill($cmdopts.iden, timeout=$cmdopts.timeout)
        $lib.print(`kill status: {$done}`)
        "#,
    ),
    PureCmd::new(
        "ps.list",
        "List what the cortex is running.",
        &[VERBOSE],
        r#"
        $tasks = $lib.ps.list()
        $clamp = (120)
        if $cmdopts.verbose { $clamp = (null) }
        for $task in $tasks {
            $start = $lib.time.format($task.tick, '%Y-%m-%d %H:%M:%S')
            $lib.print(`task iden: {$task.iden}`)
            $lib.print(`    name: {$task.name}`)
            $lib.print(`    user: {$task.user}`)
            $lib.print(`    status: {$task.status}`)
            $lib.print(`    start time: {$start}`)
            $lib.print('    metadata:')
            $lib.pprint($task.info, prefix='    ', clamp=$clamp)
        }
        $lib.print(`{$tasks.size()} tasks found.`)
        "#,
    )
    .deprecated("v3.0.0", "task.list does this."),
    PureCmd::new(
        "ps.kill",
        "End a task of the cortex.",
        &[arg("iden", "The task's iden, or enough of its beginning to tell it from all others.")],
        r#"
        $done = $lib.ps.kill($cmdopts.iden)
        $lib.print(`kill status: {$done}`)
        "#,
    )
    .deprecated("v3.0.0", "task.kill does this."),
    PureCmd::new(
        "version",
        "Show which version this is.",
        &[],
        r#"
        $vers = $lib.version.synapse()
        if $vers { $vers = ('.').join($vers) }
        $hash = $lib.version.commit()
        if $hash { $hash = $hash.slice(0, 7) }
        $lib.print(`Synapse Version: {$vers}`)
        $lib.print(`Commit Hash: {$hash}`)
        "#,
    ),
    PureCmd::new(
        "uptime",
        "Show how long the cortex, or a Storm service, has been up.",
        &[arg("name", "The name or iden of the service; the cortex when it is left out.").typ("str").nargs("?")],
        r#"
        $info = $lib.cell.uptime(name=$cmdopts.name)
        $since = $lib.time.format($info.starttime, '%Y-%m-%d %H:%M:%S')
        $long = $lib.model.type(duration).repr($info.uptime)
        $lib.print(`up {$long} (since {$since})`)
        "#,
    ),
];
