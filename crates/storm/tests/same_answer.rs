//! The answer of a query is the same whether the short cuts are taken or not: indexes that count, nodes that are not read,
//! statements without a pipe, comparators kept from one node to the next. Random queries run on two hosts with the same
//! data, on the second with the option `optimize` off; their messages must be equal.

mod queries;

use std::sync::Arc;
use std::time::Duration;

use myelin_storm::StormQuery;
use myelin_storm::testing::{Bench, Collect, Said};
use myelin_value::{Map, Value};
use queries::{DATA, Dice, query, reading, seeds};

/// How many queries of each kind every run tries.
const QUERIES: u64 = 400;
/// After so many queries the hosts are made anew.
const RENEW: u64 = 100;
/// After how long a query is ended. It has no comparable answer then.
const LIMIT: Duration = Duration::from_secs(1);

struct Pair {
    quick: Bench,
    plain: Bench,
}

impl Pair {
    fn new(forked: bool) -> Pair {
        let make = || {
            let bench = Bench::new();
            for text in DATA {
                let said = bench.storm(text);
                assert!(said.error().is_none(), "{text}: {:?}", said.error());
            }
            if !forked {
                return bench;
            }
            // Above: other values, other tags, more nodes, and one gone.
            let bench = bench.forked();
            bench.storm("inet:ipv4*range=(1.2.3.3, 1.2.3.7) [ :asn=3 +#t.b=2021 ] inet:ipv4=1.2.3.5 [ -:loc ]");
            bench.storm("[ inet:dns:a=(a1.vertex.link, 1.2.3.13) inet:ipv4=1.2.3.40 :asn=2 +(refs)> { inet:fqdn } ]");
            bench
        };
        Pair { quick: make(), plain: make() }
    }
}

/// Does something with a query on a thread of its own; nothing when it had to be ended.
fn limited<T: Send + 'static>(query: StormQuery, work: impl FnOnce(StormQuery) -> T + Send + 'static) -> Option<T> {
    let (text, cancel) = (query.text.clone(), query.cancel.clone());
    let (done, wait) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(move || {
        let retn = work(query);
        let _ = done.send(());
        retn
    });
    let ended = wait.recv_timeout(LIMIT).is_err();
    cancel.cancel();
    let retn = thread.expect("a thread").join().unwrap_or_else(|_| panic!("panicked: {text}"));
    (!ended).then_some(retn)
}

fn run(bench: &Bench, text: &str, opts: Map) -> Option<Said> {
    limited(bench.query(text, opts), |query| {
        let sink = Arc::new(Collect::default());
        let _ = query.run(sink.clone());
        sink.said()
    })
}

fn count(bench: &Bench, text: &str, opts: Map) -> Option<Result<u64, String>> {
    limited(bench.query(text, opts), |query| query.count().map_err(|error| error.message().to_owned()))
}

fn is_created(edit: &Value) -> bool {
    edit.at(1).and_then(|info| info.at(0)).and_then(Value::as_str) == Some(".created")
}

/// A message without what differs from run to run.
fn plainly(kind: &str, info: &Value) -> Option<String> {
    let info = match kind {
        "init" => return None,
        "fini" => info.get("count").cloned().unwrap_or_default(),
        "err" => {
            Value::list([info.at(0).cloned().unwrap_or_default(), info.at(1)?.get("mesg").cloned().unwrap_or_default()])
        }
        "node" => {
            let mut pode = info.at(1)?.as_map()?.clone();
            let mut props = pode.get("props")?.as_map()?.clone();
            props.remove(".created");
            pode.insert("props", props);
            Value::list([info.at(0)?.clone(), pode.into()])
        }
        "node:edits" => {
            let edits = info.get("edits").and_then(Value::as_list).unwrap_or_default();
            Value::list(edits.iter().map(|edit| {
                let ops = edit.at(2).and_then(Value::as_list).unwrap_or_default();
                let ops = ops.iter().filter(|op| !is_created(op)).cloned();
                Value::list([edit.at(0).cloned().unwrap_or_default(), Value::list(ops)])
            }))
        }
        _ => info.clone(),
    };
    Some(format!("{kind} {info:?}"))
}

fn messages(said: &Said) -> Vec<String> {
    said.0.iter().filter_map(|(kind, info)| plainly(kind, info)).collect()
}

/// What cannot be compared: times, random numbers.
fn differs_anyway(text: &str) -> bool {
    ["guid", "spin", ".created"].iter().any(|word| text.contains(word))
}

fn compare(forked: bool, queries: impl Fn(&mut Dice) -> String) {
    let (mut pair, mut fresh) = (Pair::new(forked), true);
    let (mut nodes, mut ended, mut all) = (0, 0, 0);
    for seed in seeds(QUERIES) {
        let text = queries(&mut Dice(seed));
        all += 1;
        if seed.is_multiple_of(RENEW) && !fresh {
            pair = Pair::new(forked);
        }
        fresh = false;
        let opts = Map::new().with("links", true).with("limit", 200);
        let (quick, plain) =
            (run(&pair.quick, &text, opts.clone()), run(&pair.plain, &text, opts.with("optimize", false)));
        let (Some(quick), Some(plain)) = (quick, plain) else {
            // They may have been ended at different edits.
            ended += 1;
            (pair, fresh) = (Pair::new(forked), true);
            continue;
        };
        nodes += quick.nodes().len();
        if !differs_anyway(&text) {
            assert_eq!(messages(&quick), messages(&plain), "seed {seed}, forked: {forked}: {text}");
        }
        if !text.contains('[') && !text.contains("delnode") && !text.contains("set(") {
            let counts = (
                count(&pair.quick, &text, Map::new().with("limit", 200)),
                count(&pair.plain, &text, Map::new().with("limit", 200).with("optimize", false)),
            );
            if let (Some(quick), Some(plain)) = counts {
                assert_eq!(quick, plain, "seed {seed}, counted: {text}");
            }
        }
    }
    assert!(ended * 5 < all, "{ended} of {all} queries had to be ended");
    assert!(nodes > 100, "all queries together gave {nodes} nodes");
}

#[test]
fn reading_one_layer() {
    compare(false, reading);
}

#[test]
fn reading_a_fork() {
    compare(true, reading);
}

#[test]
fn any_query() {
    compare(false, |dice| {
        let depth = 1 + dice.roll(3);
        format!("$v = foo {}", query(dice, depth))
    });
}
