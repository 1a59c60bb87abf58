//! `service.*`, `queue.*`, `dmon.*`, `feed.*`, `macro.*`: the parts of a cortex that have a list and little more.

use super::{PureArg, PureCmd, arg};

const MACRO: PureArg = arg("name", "The name of the macro.").typ("str");

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "service.add",
        "Connect a Storm service.",
        &[arg("name", "What to call it here."), arg("url", "Its telepath URL.")],
        r#"
        $svc = $lib.service.add($cmdopts.name, $cmdopts.url)
        $lib.print(`added {$svc.iden} ({$svc.name}): {$svc.url}`)
        "#,
    ),
    PureCmd::new(
        "service.del",
        "Disconnect a Storm service.",
        &[arg("iden", "The service's iden, or enough of its beginning to tell it from all others.")],
        r#"
        $found = ([])
        for $svc in $lib.service.list() {
            if $svc.iden.startswith($cmdopts.iden) { $found.append($svc) }
        }
        $count = $found.size()
        if ($count = 1) {
            $svc = $found.index(0)
            $lib.service.del($svc.iden)
            $lib.print(`removed {$svc.iden} ({$svc.name}): {$svc.url}`)
        } elif ($count = 0) {
            $lib.print(`No service has an iden that begins with {$cmdopts.iden}`)
        } else {
            $lib.print(`{$count} services have idens that begin with {$cmdopts.iden}: none is removed.`)
        }
        "#,
    ),
    PureCmd::new(
        "service.list",
        "List the Storm services.",
        &[],
        r#"
        $count = (0)
        $lib.print('')
        $lib.print('Storm services (iden, ready, name, own name @ version: url):')
        for $svc in $lib.service.list() {
            $count = ($count + 1)
            $name = $svc.svcname
            if (not $name) { $name = 'Unknown' }
            $vers = 'Unknown'
            if $svc.svcvers { $vers = ('.').join($svc.svcvers) }
            $lib.print(`    {$svc.iden} {$svc.ready} ({$svc.name}) ({$name} @ {$vers}): {$svc.url}`)
        }
        $lib.print('')
        $lib.print(`{$count} services`)
        "#,
    ),
    PureCmd::new(
        "queue.add",
        "Make a queue.",
        &[arg("name", "The name of the queue.")],
        r#"
        $lib.queue.add($cmdopts.name)
        $lib.print(`queue added: {$cmdopts.name}`)
        "#,
    ),
    PureCmd::new(
        "queue.del",
        "Delete a queue.",
        &[arg("name", "The name of the queue.")],
        r#"
        $lib.queue.del($cmdopts.name)
        $lib.print(`queue deleted: {$cmdopts.name}`)
        "#,
    ),
    PureCmd::new(
        "queue.list",
        "List the queues.",
        &[],
        r#"
        $lib.print('Queues:')
        for $queue in $lib.queue.list() {
            $name = $queue.name.ljust(32)
            $lib.print(`    {$name}:  size: {$queue.size} offs: {$queue.offs}`)
        }
        "#,
    ),
    PureCmd::new(
        "dmon.list",
        "List the queries that run for ever.",
        &[],
        r#"
        $lib.print('Storm dmons:')
        for $dmon in $lib.dmon.list() {
            $name = ''
            if $dmon.name { $name = $dmon.name }
            $name = $name.ljust(20)
            $lib.print(`    {$dmon.iden}:  ({$name}): {$dmon.status}`)
        }
        "#,
    ),
    PureCmd::new(
        "feed.list",
        "List the functions which take in data.",
        &[],
        r#"
        $lib.print('Feed functions:')
        for $feed in $lib.feed.list() {
            $name = $feed.name.ljust(30)
            $lib.print(`    ({$name}): {$feed.desc}`)
        }
        "#,
    ),
    PureCmd::new(
        "macro.del",
        "Delete a macro.",
        &[MACRO],
        r#"
        $lib.macro.del($cmdopts.name)
        $lib.print(`Removed macro: {$cmdopts.name}`)
        "#,
    ),
    PureCmd::new(
        "macro.set",
        r#"Keep a query under a name, for macro.exec.

The query sees the variables of the query that runs the macro.

Examples:

    // A filter
    macro.set recent ${ +.created>=-7days }

    // A variable of the query that runs it
    macro.set seen ${ [ inet:ipv4=$addr .seen=now ] }
    $addr=10.0.0.1 macro.exec seen"#,
        &[MACRO, arg("storm", "The query.")],
        r#"
        $lib.macro.set($cmdopts.name, $cmdopts.storm)
        $lib.print(`Set macro: {$cmdopts.name}`)
        "#,
    ),
    PureCmd::new(
        "macro.get",
        "Show the query of a macro.",
        &[MACRO],
        r#"
        $macro = $lib.macro.get($cmdopts.name)
        if $macro {
            $lib.print($macro.storm)
        } else {
            $lib.print(`There is no macro named: {$cmdopts.name}`)
        }
        "#,
    ),
    PureCmd::new(
        "macro.list",
        "List the macros.",
        &[],
        r#"
        $count = (0)
        for ($name, $macro) in $lib.macro.list() {
            $count = ($count + 1)
            $owner = `unknown user {$macro.creator}`
            $user = $lib.auth.users.get($macro.creator)
            if $user { $owner = $user.name }
            $name = $name.ljust(20)
            $lib.print(`{$name} (owner: {$owner})`)
        }
        $lib.print(`{$count} macros found`)
        "#,
    ),
];
