//! Random queries that follow the grammar: nothing panics, nothing runs past its limit, and formatting twice is formatting
//! once. The queries are the same in every run.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use myelin_storm::testing::{Bench, Collect};
use myelin_storm_syntax::{format_query, parse_query};
use myelin_value::Map;

/// How many queries are run.
const QUERIES: u64 = 1500;
/// After how long a query is told to end, and by when it must have.
const LIMIT: Duration = Duration::from_millis(300);
const GRACE: Duration = Duration::from_secs(20);

/// A small generator of numbers (splitmix64): the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % sides as u64).unwrap_or(0)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

const FORMS: &[&str] = &["inet:fqdn", "inet:ipv4", "inet:dns:a", "inet:asn", "ou:org", "it:dev:str", "no:such"];
const PROPS: &[&str] = &["asn", "loc", "zone", "ipv4", "names", "name", "nope", "ipv4::asn"];
const TAGS: &[&str] = &["a", "a.b", "a.b.c", "x", "$v"];
const CMPRS: &[&str] = &["=", "!=", ">", "<=", "~=", "^=", "@=", "*in=", "*range="];
const VARS: &[&str] = &["v", "w", "node", "path", "lib", "undeclared"];

fn value(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return dice.pick(&["foo", "1.2.3.4", "vertex.link", "(5)", "2020", "$v", "\"a b\"", "(null)", "*"]).to_owned();
    }
    let mut inner = || value(dice, depth - 1);
    let (one, two) = (inner(), inner());
    match dice.roll(12) {
        0 => format!("({one}, {two})"),
        1 => format!("([{}])", expr(dice, depth - 1)),
        2 => format!("({{\"k\": {}}})", expr(dice, depth - 1)),
        3 => format!("({})", expr(dice, depth)),
        4 => format!("`a{{$v}}b{{{}}}`", expr(dice, 0)),
        5 => format!("${}", dice.pick(VARS)),
        6 => format!("$v.{}", dice.pick(&["upper()", "size()", "foo", "0", "split(a)", "append(1)", "iden()"])),
        7 => format!("$lib.{}({one})", dice.pick(&["len", "guid", "set", "repr", "range", "min", "json.save", "nope"])),
        8 => format!(":{}", dice.pick(PROPS)),
        9 => format!("${{ {} }}", query(dice, depth - 1)),
        10 => format!("{{ {} }}", query(dice, depth - 1)),
        _ => one,
    }
}

fn expr(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return dice
            .pick(&["1", "2.5", "0x10", "\"s\"", "null", "true", "$v", "-3", "99999999999999999999"])
            .to_owned();
    }
    let (one, two) = (expr(dice, depth - 1), expr(dice, depth - 1));
    let oper = dice.pick(&["+", "-", "*", "/", "%", "**", "<", "=", "!=", "and", "or", "in", "not in", "~="]);
    match dice.roll(4) {
        0 => format!("({one} {oper} {two})"),
        1 => format!("not {one}"),
        _ => format!("{one} {oper} {two}"),
    }
}

fn cond(dice: &mut Dice, depth: usize) -> String {
    let (prop, tag, cmpr) = (dice.pick(PROPS), dice.pick(TAGS), dice.pick(CMPRS));
    match dice.roll(9) {
        0 => format!(":{prop}"),
        1 => format!(":{prop}{cmpr}{}", value(dice, depth.min(1))),
        2 => format!("#{tag}"),
        3 => format!("#{tag}@=(2019, 2021)"),
        4 => dice.pick(FORMS).to_owned(),
        5 => format!("{{ {} }}>{}", query(dice, depth.saturating_sub(1)), dice.roll(3)),
        6 if depth > 0 => {
            format!("({} {} {})", cond(dice, depth - 1), dice.pick(&["and", "or"]), cond(dice, depth - 1))
        }
        7 if depth > 0 => format!("(not {})", cond(dice, depth - 1)),
        _ => format!("({})", expr(dice, 1)),
    }
}

fn edit(dice: &mut Dice) -> String {
    let (form, prop, tag) = (dice.pick(FORMS), dice.pick(PROPS), dice.pick(TAGS));
    match dice.roll(9) {
        0 => format!("{form}={}", value(dice, 0)),
        1 => format!("{form}?={}", value(dice, 1)),
        2 => format!(":{prop}{}{}", dice.pick(&["=", "?=", "+=", "-=", "++="]), value(dice, 0)),
        3 => format!("-:{prop}"),
        4 => format!("+#{tag}{}", dice.pick(&["", "=2020", "=(2019, 2021)"])),
        5 => format!("-#{tag}"),
        6 => format!("+(refs)> {{ {} }}", query(dice, 0)),
        7 => format!("({form}={} +#{tag})", value(dice, 0)),
        _ => format!("-(refs)> {{ {form} }}"),
    }
}

fn oper(dice: &mut Dice, depth: usize) -> String {
    let form = dice.pick(FORMS);
    let below = depth.saturating_sub(1);
    match dice.roll(if depth == 0 { 9 } else { 20 }) {
        0 => form.to_owned(),
        1 => format!("{form}{}{}", dice.pick(CMPRS), value(dice, depth.min(2))),
        2 => format!("#{}", dice.pick(TAGS)),
        3 => format!("{form}:{}={}", dice.pick(PROPS), value(dice, 0)),
        4 => format!("{}{}", dice.pick(&["+", "-"]), cond(dice, depth.min(2))),
        5 => {
            dice.pick(&["-> *", "<- *", "-+> *", "<+- *", "--> *", "<-- *", "-> #", "-(refs)> *", "<(*)- *"]).to_owned()
        }
        6 => format!("{} {form}", dice.pick(&["->", "-+>", "-(*)>", "<(refs)-"])),
        7 => format!("$v = {}", value(dice, depth.min(2))),
        8 => format!("[ {} {} ]", edit(dice), edit(dice)),
        9 => {
            format!("| {} |", dice.pick(&["limit 2", "uniq", "count", "spin", "delnode", "tree { -> * }", "max :asn"]))
        }
        10 => format!("for $w in {} {{ {} }}", value(dice, 1), query(dice, below)),
        11 => format!("while ({}) {{ {} }}", expr(dice, 1), query(dice, below)),
        12 => format!("if ({}) {{ {} }} else {{ {} }}", expr(dice, 1), query(dice, below), query(dice, below)),
        13 => format!("switch $v {{ foo: {{ {} }} *: {{ {} }} }}", query(dice, below), query(dice, below)),
        14 => format!("try {{ {} }} catch * as err {{ {} }}", query(dice, below), query(dice, below)),
        15 => format!("{}{{ {} }}", dice.pick(&["", "yield ", "init ", "empty ", "fini "]), query(dice, below)),
        16 => format!(
            "function f(x, y=(1)) {{ {} {} }}",
            query(dice, below),
            dice.pick(&["return($x)", "emit $x", "stop", ""])
        ),
        17 => format!("$f({})", value(dice, 1)),
        18 => {
            dice.pick(&["break", "continue", "stop", "return($v)", "emit $v", "yield $v", "$lib.print($v)"]).to_owned()
        }
        _ => format!("$v.k = {}", value(dice, 1)),
    }
}

fn query(dice: &mut Dice, depth: usize) -> String {
    let mut text = String::new();
    for _ in 0..=dice.roll(3) {
        let _ = write!(text, "{} ", oper(dice, depth));
    }
    text
}

/// The queries, every one from a seed of its own.
fn queries() -> impl Iterator<Item = (u64, String)> {
    (0..QUERIES).map(|seed| {
        let mut dice = Dice(seed);
        let depth = 1 + dice.roll(3);
        (seed, format!("$v = foo {}", query(&mut dice, depth)))
    })
}

#[test]
fn formatting_twice_is_formatting_once() {
    let mut sound = 0;
    for (seed, text) in queries() {
        let Ok(tree) = parse_query(&text) else { continue };
        sound += 1;
        let once = format_query(&text).expect("what parses can be formatted");
        let again = parse_query(&once);
        assert!(again.is_ok_and(|again| again.ops.len() == tree.ops.len()), "seed {seed}: {text}\nbecame {once}");
        assert_eq!(format_query(&once).expect("parses"), once, "seed {seed}: {text}");
    }
    // A generator whose queries are mostly refused would show nothing.
    assert!(sound * 2 > QUERIES, "only {sound} of {QUERIES} queries parse");
}

#[test]
fn nothing_panics_nor_hangs() {
    let bench = Bench::new();
    bench.storm("[ inet:dns:a=(vertex.link, 1.2.3.4) inet:dns:a=(woot.com, 1.2.3.4) inet:asn=5 +#a.b=2020 ]");
    let mut answered = 0;
    for (seed, text) in queries() {
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
    assert!(answered * 10 > QUERIES, "only {answered} of {QUERIES} queries end without an error");
}
