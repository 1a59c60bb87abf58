//! Random queries that follow the grammar: nothing panics, nothing runs past its limit, and formatting twice is formatting
//! once. The queries are the same in every run.

mod queries;

use std::sync::Arc;
use std::time::{Duration, Instant};

use myelin_storm::testing::{Bench, Collect};
use myelin_storm_syntax::{format_query, parse_query};
use myelin_value::Map;
use queries::{Dice, query, seeds};

/// How many queries are run.
const QUERIES: u64 = 1500;
/// After how long a query is told to end, and by when it must have.
const LIMIT: Duration = Duration::from_millis(300);
const GRACE: Duration = Duration::from_secs(20);

/// The queries, every one from a seed of its own.
fn queries() -> impl Iterator<Item = (u64, String)> {
    seeds(QUERIES).map(|seed| {
        let mut dice = Dice(seed);
        let depth = 1 + dice.roll(3);
        (seed, format!("$v = foo {}", query(&mut dice, depth)))
    })
}

/// A tree without its places and without the text that it was cut from, both of which formatting may change.
fn shape(tree: &impl std::fmt::Debug) -> String {
    let text = format!("{tree:?}");
    let mut shape = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find("Span {").into_iter().chain(rest.find("Source(")).min() {
        shape.push_str(&rest[..at]);
        let close = if rest[at..].starts_with("Span") { '}' } else { ')' };
        rest = rest[at..].find(close).map_or("", |end| &rest[at + end + 1..]);
    }
    shape + rest
}

#[test]
fn formatting_twice_is_formatting_once() {
    let (mut sound, mut all) = (0, 0);
    for (seed, text) in queries() {
        all += 1;
        let Ok(tree) = parse_query(&text) else { continue };
        sound += 1;
        let once = format_query(&text).expect("what parses can be formatted");
        let again = parse_query(&once).unwrap_or_else(|error| panic!("seed {seed}: {text}\nbecame {once}\n{error}"));
        assert_eq!(shape(&again.ops), shape(&tree.ops), "seed {seed}: {text}\nbecame {once}");
        assert_eq!(format_query(&once).expect("parses"), once, "seed {seed}: {text}");
    }
    // A generator whose queries are mostly refused would show nothing.
    assert!(sound * 2 > all, "only {sound} of {all} queries parse");
}

#[test]
fn nothing_panics_nor_hangs() {
    let bench = Bench::new();
    bench.storm("[ inet:dns:a=(vertex.link, 1.2.3.4) inet:dns:a=(woot.com, 1.2.3.4) inet:asn=5 +#a.b=2020 ]");
    let (mut answered, mut all) = (0, 0);
    for (seed, text) in queries() {
        all += 1;
        let run = bench.query(&text, Map::new().with("limit", 50));
        let cancel = run.cancel.clone();
        let (done, wait) = std::sync::mpsc::channel();
        let began = Instant::now();
        let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(move || {
            let outcome = run.run(Arc::new(Collect::default()));
            let _ = done.send(());
            outcome
        });
        if wait.recv_timeout(LIMIT).is_err() {
            cancel.cancel();
            assert!(wait.recv_timeout(GRACE).is_ok(), "seed {seed} panicked or went on after it was cancelled: {text}");
        }
        let outcome = thread.expect("a thread").join();
        assert!(outcome.is_ok(), "seed {seed} panicked: {text}");
        assert!(began.elapsed() < LIMIT + GRACE, "seed {seed} took too long: {text}");
        answered += u64::from(outcome.is_ok_and(|outcome| outcome.is_ok_and(|outcome| outcome.error.is_none())));
    }
    assert!(answered * 10 > all, "only {answered} of {all} queries end without an error");
}
