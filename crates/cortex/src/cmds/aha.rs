//! `aha.*`: services and pools of services that are registered with AHA.

use super::{Default, PureArg, PureCmd, arg, flag};

const NEXUS: PureArg = flag("--nexus", "Ask the services that are online for their nexus offset.");
const POOL: PureArg = arg("poolname", "The name of the pool.");
const SVC: PureArg = arg("svcname", "The name of the service.");

/// Functions for what is shown of a service.
macro_rules! svc_functions {
    () => {
        r#"
        function nexusOf(svc) {
            if (not $svc.svcinfo.online) { return('<offline>') }
            try {
                return($lib.telepath.open(`aha://{$svc.name}/`).getCellInfo().cell.nexsindx)
            } catch * as err {
                if ($err.mesg = null) { return(`{$err}`) }
                return($err.mesg)
            }
        }
        function readyOf(info) {
            if $lib.dict.has($info, ready) { return(`{$info.ready}`) }
            return('null')
        }
        function onlineOf(info) {
            if $info.online { return('true') }
            return('false')
        }
        "#
    };
}

/// Lets `$pool` be the pool of an argument, or ends the query.
macro_rules! req_pool {
    () => {
        r#"
        $pool = $lib.aha.pool.get($cmdopts.poolname)
        if (not $pool) { $lib.exit(`There is no AHA pool named {$cmdopts.poolname}`) }
        "#
    };
}

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "aha.pool.list",
        "List the pools of services, and what is in them.",
        &[],
        r#"
        $count = (0)
        for $pool in $lib.aha.pool.list() {
            $count = ($count + 1)
            $lib.print(`Pool: {$pool.name}`)
            for ($name, $info) in $pool.services { $lib.print(`    {$name}`) }
        }
        $lib.print(`{$count} pools.`)
        "#,
    ),
    PureCmd::new(
        "aha.pool.add",
        "Make a pool of services.",
        &[arg("name", "The name of the pool.")],
        r#"
        $pool = $lib.aha.pool.add($cmdopts.name)
        $lib.print(`AHA pool made: {$pool.name}`)
        "#,
    ),
    PureCmd::new(
        "aha.pool.del",
        "Delete a pool of services.",
        &[arg("name", "The name of the pool.")],
        r#"
        $pool = $lib.aha.pool.del($cmdopts.name)
        if $pool { $lib.print(`AHA pool deleted: {$pool.name}`) }
        "#,
    ),
    PureCmd::new(
        "aha.pool.svc.add",
        r#"Put a service in a pool.

Examples:

    aha.pool.svc.add pool.cortex... 01.cortex..."#,
        &[POOL, SVC],
        concat!(
            req_pool!(),
            r#"
        $pool.add($cmdopts.svcname)
        $lib.print(`AHA pool ({$pool.name}): service ({$cmdopts.svcname}) added`)
        "#
        ),
    ),
    PureCmd::new(
        "aha.pool.svc.del",
        "Take a service out of a pool.",
        &[POOL, SVC],
        concat!(
            req_pool!(),
            r#"
        $name = $pool.del($cmdopts.svcname)
        if $name {
            $lib.print(`AHA pool ({$pool.name}): service ({$name}) removed`)
        } else {
            $lib.print(`AHA pool ({$pool.name}): no service ({$cmdopts.svcname}) to remove`)
        }
        "#
        ),
    ),
    PureCmd::new(
        "aha.svc.stat",
        r#"Show everything about a service or a pool.

A service is ready when it has caught up with the changes of its leader."#,
        &[arg("svc", "The name of the service or pool."), NEXUS],
        concat!(
            svc_functions!(),
            r#"
        $svc = $lib.aha.get($cmdopts.svc)
        if ($svc = null) {
            $lib.print(`There is no service named "{$cmdopts.svc}"`)
        } elif $svc.services {
            $lib.print(`{$cmdopts.svc} is an AHA pool.`)
            $lib.print('')
            $lib.print(`AHA Pool:   {$svc.name}`)
            $lib.print(`Members:    {$lib.len($svc.services)}`)
            for ($name, $info) in $svc.services { $lib.print(`Member:     {$name}`) }
        } else {
            $info = $svc.svcinfo
            $leader = $info.leader
            if ($leader = null) { $leader = '<none>' }
            $lib.print(`{$cmdopts.svc} is an AHA service.`)
            $lib.print('')
            $lib.print(`Name:       {$svc.name}`)
            $lib.print(`Online:     {$onlineOf($info)}`)
            $lib.print(`Ready:      {$readyOf($info)}`)
            $lib.print(`Run iden:   {$info.run}`)
            $lib.print(`Cell iden:  {$info.iden}`)
            $lib.print(`Leader:     {$leader}`)
            if $cmdopts.nexus { $lib.print(`Nexus:      {$nexusOf($svc)}`) }
            $lib.print('How to connect:')
            $keys = $lib.dict.keys($info.urlinfo)
            $keys.sort()
            for $key in $keys {
                $label = (`{$key}:`).ljust(12)
                $lib.print(`    {$label}{$info.urlinfo.$key}`)
            }
        }
        "#
        ),
    ),
    PureCmd::new(
        "aha.svc.list",
        r#"List the services.

A service is ready when it has caught up with the changes of its leader."#,
        &[NEXUS],
        concat!(
            svc_functions!(),
            r#"
        $svcs = ([])
        $leaders = $lib.set()
        for $svc in $lib.aha.list() {
            $svcs.append($svc)
            if ($svc.svcinfo and $svc.svcname = $svc.svcinfo.leader) { $leaders.add($svc.svcinfo.run) }
        }
        if ($svcs.size() = 0) {
            $lib.print('There are no AHA services.')
        } else {
            $head = 'Name                                          Leader Online Ready Host            Port '
            if $cmdopts.nexus { $head = `{$head} Nexus` }
            $lib.print($head)
            for $svc in $svcs {
                $info = $svc.svcinfo
                $leader = 'null'
                if ($info.leader != null) {
                    if $leaders.has($info.run) { $leader = 'true' } else { $leader = 'false' }
                }
                $leader = $leader.ljust(6)
                $name = $svc.name.ljust(45)
                $online = $onlineOf($info).ljust(6)
                $ready = $readyOf($info).ljust(5)
                $host = $lib.cast(str, $info.urlinfo.host).ljust(15)
                $port = $lib.cast(str, $info.urlinfo.port).ljust(5)
                $line = `{$name} {$leader} {$online} {$ready} {$host} {$port}`
                if $cmdopts.nexus { $line = `{$line} {$nexusOf($svc)}` }
                $lib.print($line)
            }
        }
        "#
        ),
    ),
    PureCmd::new(
        "aha.svc.mirror",
        r#"List groups of mirrors, and how far each mirror is.

Services with the same service iden form a group. Those without mirrors, and groups without any service online, are
left out. Role and follows are what each service says of itself."#,
        &[
            arg("--timeout", "How many seconds each service has to answer.").typ("int").default(Default::Int(10)),
            flag("--wait", "Wait until the mirrors of each group are in sync, and show it again."),
        ],
        MIRROR,
    ),
];

/// Groups are by service iden and not by leader name: a group whose leader is gone has no entry of that name.
const MIRROR: &str = r#"
    function groupsOf(svcs) {
        $byrun = ({})
        $aliases = ({})
        for $svc in $svcs {
            $info = $svc.svcinfo
            $iden = $info.iden
            $run = $info.run
            if ($iden = null or $run = null) { continue }
            // The entry which has the leader's name stands for a service that has an entry of its own as well.
            if ($info.leader != null and $svc.svcname = $info.leader) {
                if (not $lib.dict.has($aliases, $iden)) { $aliases.$iden = $svc }
                continue
            }
            // Of several entries of one process, the one counts which has the name that it gave itself.
            $key = `{$iden}|{$run}`
            $have = $byrun.$key
            if ($have != null and $have.name = $have.svcinfo.urlinfo.hostname) { continue }
            $byrun.$key = $svc
        }
        $groups = ({})
        for ($key, $svc) in $byrun {
            $iden = $svc.svcinfo.iden
            if (not $lib.dict.has($groups, $iden)) {
                $groups.$iden = ({"iden": $iden, "alias": $aliases.$iden, "members": {}})
            }
            $members = $groups.$iden.members
            $name = $svc.name
            $members.$name = $svc
        }
        $retn = ([])
        for ($iden, $group) in $groups {
            $online = (false)
            $members = ([])
            $names = $lib.dict.keys($group.members)
            $names.sort()
            for $name in $names {
                $svc = $group.members.$name
                $members.append($svc)
                if $lib.dict.has($svc.svcinfo, online) { $online = (true) }
            }
            if ($members.size() < 2 or not $online) { continue }
            $group.members = $members
            $retn.append($group)
        }
        return($retn)
    }

    function titleOf(group) {
        if ($group.alias != null) { return($group.alias.name) }
        for $svc in $group.members {
            $leader = $svc.svcinfo.leader
            if ($leader != null) { return(`{$leader}.{$svc.svcnetw} (no entry of this name)`) }
        }
        return(`<no leader name> (service iden: {$group.iden})`)
    }

    function askAll(group, timeout) {
        $byrun = ({})
        $byname = ({})
        $name = $nameOf($group)
        try {
            for ($peer, $answer) in $lib.aha.callPeerApi($name, $lib.utils.todo(getCellInfo), timeout=$timeout) {
                ($ok, $info) = $answer
                if (not $ok) { continue }
                $byname.$peer = $info
                $run = $info.cell.run
                if ($run != null) { $byrun.$run = $info }
            }
        } catch * as err {
            $lib.warn(`The mirrors of {$name} do not answer: {$err.mesg}`)
        }
        return(({"byrun": $byrun, "byname": $byname}))
    }

    function statusOf(svc, answers) {
        $info = $svc.svcinfo
        $row = ({
            "name": $svc.name, "role": "<unknown>", "online": $lib.dict.has($info, online), "ready": $info.ready,
            "host": $info.urlinfo.host, "port": $info.urlinfo.port,
            "version": "<unknown>", "synapse": "<unknown>", "nexus": null, "follows": "<unknown>",
        })
        // An answer may come under the leader's name, so that the process tells more than the name.
        $run = $info.run
        $name = $svc.name
        $answer = $answers.byrun.$run
        if ($answer = null) { $answer = $answers.byname.$name }
        if ($answer != null) {
            $cell = $answer.cell
            $row.role = 'follower'
            if $cell.active { $row.role = 'leader' }
            $row.nexus = $cell.nexsindx
            $row.version = $cell.verstring
            $row.synapse = $answer.synapse.verstring
            if $lib.dict.has($cell, mirror) {
                $row.follows = $cell.mirror
                if ($cell.mirror = null) { $row.follows = '<nobody: it takes the writes>' }
            }
        }
        return($row)
    }

    function syncOf(rows) {
        $known = (0)
        $offsets = $lib.set()
        for $row in $rows {
            if ($row.nexus = null) { continue }
            $known = ($known + 1)
            $offsets.add($row.nexus)
        }
        if ($known = 0) { return('Unknown') }
        if ($known = $rows.size() and $offsets.size() = 1) { return('In Sync') }
        return('Out of Sync')
    }

    function show(printer, group, rows) {
        $leaders = ([])
        $lib.print($printer.header())
        $lib.print($titleOf($group))
        for $row in $rows {
            $nexus = $row.nexus
            if ($nexus = null) { $nexus = '<unknown>' }
            if ($row.role = 'leader') { $leaders.append($row.name) }
            $lib.print($printer.row((
                $row.name, $row.role, $row.online, $row.ready, $row.host, $row.port,
                $row.version, $row.synapse, $nexus, $row.follows)))
        }
        $leader = (', ').join($leaders)
        if ($leaders.size() = 0) { $leader = '<none>' }
        if ($leaders.size() > 1) { $leader = `<several: {$leader}>` }
        $lib.print(`Group Leader: {$leader}`)
        $lib.print(`Group Status: {$syncOf($rows)}`)
    }

    function nameOf(group) {
        if ($group.alias != null) { return($group.alias.name) }
        return($group.members.0.name)
    }

    function rowsOf(group, timeout) {
        $rows = ([])
        $answers = $askAll($group, $timeout)
        for $svc in $group.members { $rows.append($statusOf($svc, $answers)) }
        return($rows)
    }

    // Waiting only ends if there is one leader to follow and every member answers.
    function waitFor(printer, group, rows, timeout) {
        $leaders = ([])
        for $row in $rows {
            if ($row.role = '<unknown>') {
                $lib.warn(`Not waiting: {$row.name} does not answer.`)
                return()
            }
            if ($row.role = 'leader') { $leaders.append($row) }
        }
        if ($leaders.size() != 1 or $leaders.0.nexus = null) {
            $lib.warn('Not waiting: there is no single leader which says how far it is.')
            return()
        }
        $todo = $lib.utils.todo(waitNexsOffs, ($leaders.0.nexus - 1), timeout=$timeout)
        while (true) {
            $count = (0)
            for ($peer, $answer) in $lib.aha.callPeerApi($nameOf($group), $todo, timeout=$timeout) {
                ($ok, $reached) = $answer
                if ($ok and $reached) { $count = ($count + 1) }
            }
            if ($count = $group.members.size()) {
                $rows = $rowsOf($group, $timeout)
                $lib.print('')
                $lib.print('After waiting:')
                $show($printer, $group, $rows)
                if ($syncOf($rows) = 'In Sync') { return() }
            }
        }
    }

    $timeout = $cmdopts.timeout
    $wait = $cmdopts.wait
    $printer = $lib.tabular.printer(({
        "separators": {
            "row:outline": false, "column:outline": false,
            "header:row": '#', "data:row": "", "column": "",
        },
        "columns": [
            {"name": "name", "width": 40},
            {"name": "role", "width": 9},
            {"name": "online", "width": 7},
            {"name": "ready", "width": 6},
            {"name": "host", "width": 16},
            {"name": "port", "width": 8},
            {"name": "version", "width": 12},
            {"name": "synapse", "width": 12},
            {"name": "nexus idx", "width": 10},
            {"name": "follows"},
        ],
    }))
    $groups = $groupsOf($lib.aha.list())
    if $groups {
        $lib.print('Groups of mirrors:')
    } else {
        $lib.print('There are no groups of mirrors.')
    }
    for $group in $groups {
        $rows = $rowsOf($group, $timeout)
        $show($printer, $group, $rows)
        if ($wait and $syncOf($rows) != 'In Sync') { $waitFor($printer, $group, $rows, $timeout) }
        $lib.print('')
    }
"#;
