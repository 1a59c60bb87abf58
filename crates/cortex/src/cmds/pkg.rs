//! `pkg.*`: packages of Storm.

use super::{PureArg, PureCmd, arg, flag};

const NAME: PureArg = arg("name", "The name of the package, or its beginning.");

/// Lets `$pkg` be the first package whose name begins with an argument, or null.
macro_rules! find_pkg {
    ($rest:literal) => {
        concat!(
            r#"
        $pkg = (null)
        for $item in $lib.pkg.list() {
            if $item.name.startswith($cmdopts.name) {
                $pkg = $item
                break
            }
        }
        if ($pkg = null) {
            $lib.warn(`There is no package named {$cmdopts.name}!`)
        } "#,
            $rest
        )
    };
}

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "pkg.list",
        "List the packages.",
        &[flag("--verbose", "Say when each was built.")],
        r#"
        $pkgs = $lib.pkg.list()
        if $pkgs {
            $conf = ({
                "separators": {
                    "row:outline": false, "column:outline": false,
                    "header:row": '#', "data:row": "", "column": "",
                },
                "columns": [
                    {"name": "name", "width": 40},
                    {"name": "vers", "width": 10},
                ],
            })
            if $cmdopts.verbose { $conf.columns.append(({"name": "time", "width": 20})) }
            $printer = $lib.tabular.printer($conf)
            $lib.print('Storm packages:')
            $lib.print($printer.header())
            for $pkg in $pkgs {
                $row = ([$pkg.name, $pkg.version])
                if $cmdopts.verbose {
                    $time = 'not known'
                    $build = $pkg.build
                    if ($build != null and $build.time != null) {
                        $time = $lib.time.format($build.time, '%Y-%m-%d %H:%M:%S')
                    }
                    $row.append($time)
                }
                $lib.print($printer.row($row))
            }
        } else {
            $lib.print('There are no Storm packages.')
        }
        "#,
    ),
    PureCmd::new(
        "pkg.perms.list",
        "List the permissions that a package defines.",
        &[NAME.typ("str")],
        find_pkg!(
            r#"elif $pkg.perms {
            $lib.print(`Permissions of the package {$pkg.name}:`)
            for $pdef in $pkg.perms {
                $perm = ('.').join($pdef.perm).ljust(32)
                $default = (false)
                if ($pdef.default != null) { $default = $pdef.default }
                $lib.print(`{$perm} : {$pdef.desc} ( default: {$default} )`)
            }
        } else {
            $lib.print(`The package {$pkg.name} defines no permissions.`)
        }
        "#
        ),
    ),
    PureCmd::new(
        "pkg.del",
        "Remove a package.",
        &[NAME],
        r#"
        $names = $lib.set()
        for $pkg in $lib.pkg.list() {
            if $pkg.name.startswith($cmdopts.name) { $names.add($pkg.name) }
        }
        $count = $names.size()
        if ($count = 0) {
            $lib.print(`No package has a name that begins with {$cmdopts.name}: nothing removed.`)
        } elif ($count = 1) {
            $name = $names.list().index(0)
            $lib.print(`Removing package: {$name}`)
            $lib.pkg.del($name)
        } else {
            $lib.print(`{$count} packages have names that begin with {$cmdopts.name}: nothing removed.`)
        }
        "#,
    ),
    PureCmd::new(
        "pkg.docs",
        "Show the documentation of a package.",
        &[NAME],
        find_pkg!(
            r#"elif $pkg.docs {
            for $doc in $pkg.docs { $lib.print($doc.content) }
        } else {
            $lib.print(`The package {$pkg.name} has no documentation.`)
        }
        "#
        ),
    ),
    PureCmd::new(
        "pkg.load",
        "Load a package from a web server.",
        &[
            arg("url", "Where the package is."),
            flag("--raw", "What comes is the package itself, and not an answer of the HTTP API."),
            flag("--verify", "Refuse a package that is not signed."),
            flag("--ssl-noverify", "Do not check the certificate of the server."),
        ],
        r#"
        init {
            $url = $cmdopts.url
            $headers = ({"X-Synapse-Version": ('.').join($lib.version.synapse())})
            $resp = $lib.inet.http.get($url, ssl_verify=(not $cmdopts.ssl_noverify), headers=$headers)
            if ($resp.code != 200) {
                $lib.warn(`No package came from {$url}: HTTP code {$resp.code}`)
                $lib.exit()
            }
            $pkg = $resp.json()
            if (not $cmdopts.raw) {
                if ($pkg.status != "ok") {
                    $lib.warn(`No package came from {$url}: it says {$pkg.code}`)
                    $lib.exit()
                }
                $pkg = $pkg.result
            }
            $lib.pkg.add($pkg, verify=$cmdopts.verify)
            $lib.print(`Loaded Package: {$pkg.name} @{$pkg.version}`)
        }
        "#,
    ),
];
