//! `wget`, `nodes.import`, `note.add`: nodes from elsewhere and notes on nodes.

use super::{Default, PureArg, PureCmd, arg, flag};

const NO_SSL_VERIFY: PureArg = flag("--no-ssl-verify", "Do not check the certificate of the server.");

/// What `wget` sends unless told otherwise.
const HEADERS: &[(&str, &str)] = &[
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/92.0.4515.131 Safari/537.36",
    ),
    ("Accept", "*/*"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Accept-Language", "en-US,en;q=0.9"),
];

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "wget",
        r#"Store what is at a URL in the Axon, and yield the inet:urlfile nodes.

Examples:

    // Two files
    wget https://example.com/a.pdf https://example.com/b.pdf

    // Those of inet:url nodes, with headers and parameters
    inet:url#fetch | wget --headers ({"User-Agent": "reader/1.0"}) --params ({"lang": "en"})"#,
        &[
            arg("urls", "The URLs; those of inet:url nodes when none is given.").nargs("*"),
            NO_SSL_VERIFY,
            arg("--timeout", "How many seconds it may take.").typ("int").default(Default::Int(300)),
            arg("--params", "Parameters of the URLs, as a dictionary.").default(Default::Null),
            arg("--headers", "Headers of the requests, as a dictionary.").default(Default::Map(HEADERS)),
            flag("--no-headers", "Send no headers but the necessary ones."),
        ],
        r#"
        init {
            $inbound = (0)
            $params = $cmdopts.params
            $headers = $cmdopts.headers
            if $cmdopts.no_headers { $headers = (null) }
        }
        $ssl = (not $cmdopts.no_ssl_verify)
        $timeout = $cmdopts.timeout

        if $node {
            $inbound = ($inbound + 1)
            $urls = $cmdopts.urls
            if (not $urls) {
                if ($node.form() != "inet:url") {
                    $lib.warn('wget without URLs needs inet:url nodes.')
                    $lib.exit()
                }
                $urls = ([$node.value()])
            }
            for $url in $urls {
                -> { yield $lib.axon.urlfile($url, params=$params, headers=$headers, ssl=$ssl, timeout=$timeout) }
            }
        }

        if ($inbound = 0) {
            for $url in $cmdopts.urls {
                yield $lib.axon.urlfile($url, params=$params, headers=$headers, ssl=$ssl, timeout=$timeout)
            }
        }
        "#,
    ),
    PureCmd::new(
        "nodes.import",
        "Take in a file of nodes that is at a URL, and yield them.",
        &[arg("urls", "The URLs; those of inet:url nodes when none is given.").nargs("*"), NO_SSL_VERIFY],
        r#"
        init {
            $inbound = (0)
            function import(url, ssl) {
                $resp = $lib.inet.http.get($url, ssl_verify=$ssl)
                if ($resp.code != 200) {
                    $lib.exit(`nodes.import: {$url} answers with the HTTP code {$resp.code}`)
                }
                $items = ([])
                for $item in $resp.msgpack() { $items.append($item) }
                yield $lib.feed.genr("syn.nodes", $items)
            }
        }
        $ssl = (not $cmdopts.no_ssl_verify)

        if $node {
            $inbound = ($inbound + 1)
            if ($node.form() != "inet:url") {
                $lib.exit('nodes.import without URLs needs inet:url nodes.')
            }
            $url = $node.value()
            -> { yield $import($url, $ssl) }
        }

        if ($inbound = 0) {
            for $url in $cmdopts.urls {
                yield $import($url, $ssl)
            }
        }
        "#,
    ),
    PureCmd::new(
        "note.add",
        "Make a meta:note which is about the nodes that come in.",
        &[
            arg("text", "What the note says.").typ("str"),
            arg("--type", "The type of the note.").typ("str"),
            flag("--yield", "Yield the note instead of the nodes."),
        ],
        r#"
        init {
            function makeNote(text, type) {
                if $type { $type = $lib.cast(meta:note:type:taxonomy, $type) }
                [ meta:note=* :text=$text :creator=$lib.user.iden :created=.created :updated=.created ]
                if $type {[ :type=$type ]}
                return($node)
            }
            $yield = $cmdopts.yield
            $note = $makeNote($cmdopts.text, $cmdopts.type)
        }

        [ <(about)+ { yield $note } ]

        if $yield { spin }
        if $yield { yield $note }
        "#,
    ),
];
