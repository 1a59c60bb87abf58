//! The plan of a query: its tree, the index of each lift, the rows of each step, times. The trees are in `plans.txt`: a query
//! behind `>`, and below it each step with its rows and what it read. `MYELIN_BLESS=1` writes what came out, for review.

use std::fmt::Write as _;
use std::time::Instant;

use myelin_storm::testing::{Bench, Said};
use myelin_value::{Map, Value};

fn filled() -> Bench {
    let bench = Bench::new();
    for text in [
        "for $i in $lib.range(20) { [ inet:ipv4=`1.2.3.{$i}` :asn=($i % 4) ] }",
        "for $i in $lib.range(5) { [ inet:dns:a=(`a{$i}.vertex.link`, `1.2.3.{$i}`) ] }",
        "inet:ipv4:asn=2 [ +#foo.bar=2020 +(refs)> { inet:fqdn=vertex.link } ]",
        "[ ou:org=* :name=one :names=(two, three) ]",
    ] {
        let said = bench.storm(text);
        assert!(said.error().is_none(), "{text}: {:?}", said.error());
    }
    bench
}

fn plan(said: &Said) -> Value {
    let found = said.0.iter().find(|(kind, _)| kind == "plan").map(|(_, info)| info);
    found.and_then(|info| info.get("steps")).cloned().expect("a plan was sent")
}

fn steps(plan: &Value) -> &[Value] {
    plan.as_list().expect("steps are a list")
}

fn tree(plan: &Value, depth: usize, out: &mut String) {
    for step in steps(plan) {
        let text = |key: &str| step.get(key).and_then(Value::as_str).expect("a text").to_owned();
        let rows = step.get("rows").and_then(Value::as_i64).expect("rows");
        let _ = write!(out, "{:indent$}{rows} {}: {}", "", text("kind"), text("text"), indent = depth * 4);
        for index in step.get("index").and_then(Value::as_list).unwrap_or_default() {
            let _ = write!(out, " | {}", index.as_str().expect("a text"));
        }
        out.push('\n');
        if let Some(inner) = step.get("steps") {
            tree(inner, depth + 1, out);
        }
    }
}

fn micros(plan: &Value) -> i64 {
    steps(plan).iter().map(|step| step.get("micros").and_then(Value::as_i64).expect("micros")).sum()
}

fn planned(bench: &Bench, text: &str) -> Said {
    bench.storm_opts(text, Map::new().with("plan", true))
}

#[test]
fn trees_are_as_they_were() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plans.txt");
    let want = std::fs::read_to_string(file).expect("the file of plans");
    let bench = filled();
    let mut have = String::new();
    for query in want.lines().filter_map(|line| line.strip_prefix("> ")) {
        let said = planned(&bench, query);
        let _ = writeln!(have, "> {query}");
        if let Some(error) = said.error() {
            let _ = writeln!(have, "error {}", error.name());
        }
        tree(&plan(&said), 0, &mut have);
        have.push('\n');
    }
    if std::env::var_os("MYELIN_BLESS").is_some() {
        std::fs::write(file, &have).expect("written");
    }
    assert_eq!(have, want);
    assert!(have.matches('>').count() > 20, "the file of plans has few queries");
}

#[test]
fn times_are_of_the_run_and_add_up() {
    let bench = filled();
    let began = Instant::now();
    let said = planned(&bench, "inet:ipv4 -> inet:dns:a { $lib.time.sleep(0.02) } -> inet:fqdn");
    let whole = i64::try_from(began.elapsed().as_micros()).expect("a short time");
    let plan = plan(&said);
    let times: Vec<i64> =
        steps(&plan).iter().map(|step| step.get("micros").and_then(Value::as_i64).expect("n")).collect();
    assert_eq!(times.len(), 4);
    // Five nodes go through the sleep; the steps beside it take what they take, and all of it is within the run.
    assert!(times[2] >= 100_000, "{times:?}");
    assert!(times[0] + times[1] + times[3] < times[2] || whole > 1_000_000, "{times:?}");
    assert!(micros(&plan) <= whole, "{times:?} of {whole}");
}

#[test]
fn a_plan_comes_before_the_end_even_of_a_query_that_fails() {
    let bench = filled();
    let said = planned(&bench, "inet:ipv4 | limit 2 | $lib.raise(Boom, why)");
    let kinds: Vec<&str> = said.0.iter().map(|(kind, _)| &**kind).filter(|kind| *kind != "node").collect();
    assert_eq!(kinds, ["init", "err", "plan", "fini"]);
    assert!(said.error().is_some_and(|error| error.is("StormRaise")));
    // Without the option there is none.
    let said = bench.storm("inet:ipv4 | limit 2");
    assert!(said.0.iter().all(|(kind, _)| kind != "plan"));
}

#[test]
fn measuring_does_not_change_the_answer() {
    let bench = filled();
    for text in [
        "inet:ipv4 +:asn=2 -> * | uniq",
        "$x = (0) for $i in $lib.range(5) { $x = ($x + $i) } $lib.print($x)",
        "function f(y) { for $i in $lib.range($y) { emit $i } } for $i in $f(4) { $lib.print($i) }",
        "inet:ipv4 | count",
        "inet:ipv4 -(refs)> * | tree { <- * }",
    ] {
        let (one, two) = (bench.storm(text), planned(&bench, text));
        assert_eq!((one.ndefs(), one.prints()), (two.ndefs(), two.prints()), "{text}");
    }
}
