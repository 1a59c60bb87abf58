//! `cortex.httpapi.*`: the HTTP API that users define.

use super::{PureArg, PureCmd, arg};

const IDEN: PureArg = arg("iden", "The beginning of the endpoint's iden or name.").typ("str");

/// Lets `$api` be the endpoint whose iden or name begins with an argument.
macro_rules! find_api {
    () => {
        r#"
        $found = ([])
        for $item in $lib.cortex.httpapi.list() {
            if $item.iden.startswith($cmdopts.iden) { $found.append($item.iden) }
            if $item.name.startswith($cmdopts.iden) { $found.append($item.iden) }
        }
        if ($found.size() > 1) {
            $lib.raise(StormRuntimeError, `More than one Extended HTTP API begins with {$cmdopts.iden}.`)
        }
        if ($found.size() = 0) {
            $lib.raise(StormRuntimeError, `No Extended HTTP API begins with {$cmdopts.iden}.`)
        }
        $iden = $found.index(0)
        "#
    };
}

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "cortex.httpapi.list",
        "List the endpoints of the Extended HTTP API, in the order in which they are tried.",
        &[],
        r#"
        $apis = $lib.cortex.httpapi.list()
        if $apis {
            $printer = $lib.tabular.printer(({
                "separators": {"data:row": ""},
                "columns": [
                    {"name": "order", "width": 5},
                    {"name": "iden", "width": 32},
                    {"name": "owner", "width": 20},
                    {"name": "auth", "width": 5},
                    {"name": "runas", "width": 6},
                    {"name": "path"},
                ],
            }))
            $lib.print($printer.header())
            for ($indx, $api) in $lib.iters.enum($apis) {
                try {
                    $owner = $api.owner.name
                } catch NoSuchUser as err {
                    $owner = `unknown user {$err.info.user}`
                }
                $lib.print($printer.row(($indx, $api.iden, $owner, `{$api.authenticated}`, $api.runas, $api.path)))
            }
        } else {
            $lib.print('There are no endpoints of the Extended HTTP API.')
        }
        "#,
    ),
    PureCmd::new(
        "cortex.httpapi.stat",
        "Show everything about an endpoint of the Extended HTTP API.",
        &[IDEN],
        concat!(
            find_api!(),
            r#"
        function usertext(api, name) {
            try {
                if ($name = "owner") { $user = $api.owner } else { $user = $api.creator }
                return(`{$user.name} ({$user.iden})`)
            } catch NoSuchUser as err {
                return(`unknown user {$err.info.user}`)
            }
        }
        function viewtext(api) {
            try {
                $view = $api.view
                return(`{$view.get(name)} ({$view.iden})`)
            } catch NoSuchView as err {
                return(`unknown view {$err.info.iden}`)
            }
        }
        $api = $lib.cortex.httpapi.get($iden)
        $time = $lib.model.type(time)
        $lib.print(`Iden: {$api.iden}`)
        $lib.print(`Creator: {$usertext($api, creator)}`)
        $lib.print(`Created: {$time.repr($api.created)}`)
        $lib.print(`Updated: {$time.repr($api.updated)}`)
        $lib.print(`Path: {$api.path}`)
        $lib.print(`Owner: {$usertext($api, owner)}`)
        $lib.print(`Runas: {$api.runas}`)
        $lib.print(`View: {$viewtext($api)}`)
        $lib.print(`Readonly: {$api.readonly}`)
        $lib.print(`Pool enabled: {$api.pool}`)
        $lib.print(`Authenticated: {$api.authenticated}`)
        $lib.print(`Name: {$api.name}`)
        $lib.print(`Description: {$api.desc}`)
        $lib.print('')
        $perms = $api.perms
        if $perms {
            $lib.print('Permissions that a user needs:')
            for $pdef in $perms {
                $lib.print(('.').join($pdef.perm))
                $lib.print(`    default: {$pdef.default}`)
            }
            $lib.print('')
        } else {
            $lib.print('A user needs no permissions.')
        }
        $methods = $api.methods
        if $methods {
            $lib.print('HTTP methods:')
            for ($method, $query) in $methods {
                $lib.print(`Method: {$method.upper()}`)
                $lib.print($query)
                $lib.print('')
            }
        } else {
            $lib.print('There are no HTTP methods.')
        }
        $vars = $api.vars
        if $vars {
            $lib.print('Variables:')
            for ($name, $valu) in $vars {
                $name = $name.ljust(16)
                $lib.print(`{$name} => {$valu}`)
            }
            $lib.print('')
        } else {
            $lib.print('There are no variables.')
        }
        "#
        ),
    ),
    PureCmd::new(
        "cortex.httpapi.index",
        r#"Put an endpoint of the Extended HTTP API at another place of the order.

Examples:

    // First
    cortex.httpapi.index 60e5ba 0

    // Third
    cortex.httpapi.index "status page" 2"#,
        &[IDEN, arg("index", "The place, counted from 0.").typ("int")],
        concat!(
            find_api!(),
            r#"
        $api = $lib.cortex.httpapi.get($iden)
        $indx = $lib.cortex.httpapi.index($api.iden, $cmdopts.index)
        $lib.print(`Set HTTP API {$api.iden} to index {$indx}`)
        "#
        ),
    ),
];
