//! Random queries, each from a seed: the same in every run and on every machine.
#![allow(dead_code, reason = "every test uses its part")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Seeds: so many that every run tries, then more for as many seconds as `MYELIN_FUZZ_SECS` says.
pub fn seeds(always: u64) -> impl Iterator<Item = u64> {
    let secs = std::env::var("MYELIN_FUZZ_SECS").ok().and_then(|secs| secs.parse().ok()).unwrap_or(0);
    let until = Instant::now() + Duration::from_secs(secs);
    (0..).take_while(move |seed| *seed < always || Instant::now() < until)
}

/// A small generator of numbers (splitmix64): the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % sides as u64).unwrap_or(0)
    }

    /// One of some texts.
    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
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

/// Any query: every part of the language, names that exist and names that do not.
pub fn query(dice: &mut Dice, depth: usize) -> String {
    let mut text = String::new();
    for _ in 0..=dice.roll(3) {
        let _ = write!(text, "{} ", oper(dice, depth));
    }
    text
}

const LIFTS: &[&str] = &[
    "inet:ipv4",
    "inet:ipv4*range=(1.2.3.2, 1.2.3.11)",
    "inet:ipv4=1.2.3.4",
    "inet:ipv4=1.2.3.0/29",
    "inet:ipv4=9.9.9.9",
    "inet:ipv4*in=(1.2.3.4, 1.2.3.5, 9.9.9.9)",
    "inet:ipv4:asn",
    "inet:ipv4:asn=2",
    "inet:ipv4:asn>1",
    "inet:ipv4:asn*in=(1, 3, 7)",
    "inet:ipv4:loc^=us",
    "inet:ipv4:loc=us",
    "inet:fqdn",
    "inet:fqdn=\"*.vertex.link\"",
    "inet:fqdn~=\"^a[0-9]\"",
    "inet:fqdn=vertex.link",
    "inet:fqdn:zone=vertex.link",
    "inet:fqdn:issuffix=1",
    "inet:dns:a",
    "inet:dns:a:ipv4=1.2.3.4",
    "inet:dns:a:ipv4*range=(1.2.3.1, 1.2.3.6)",
    "inet:dns:a:fqdn=a1.vertex.link",
    "inet:dns:a=(a1.vertex.link, 1.2.3.1)",
    "inet:ipv4#t.a",
    "inet:ipv4#t.b@=2020-06-01",
    "#t.a",
    "#t.b@=(2019, 2020)",
    "#t",
    "ou:org",
    "ou:org:name=org1",
    "ou:org:names*[=alias2]",
    "ou:org:name^=org",
    "ou:name~=\"s[12]$\"",
    "inet:asn",
    "syn:tag",
    "inet:url",
    "reverse(inet:ipv4)",
    "reverse(inet:ipv4:asn>1)",
    "reverse(inet:ipv4#t.a)",
    "inet:dns*",
    "yield $lib.lift.byNodeData(info)",
];

const READS: &[&str] = &[
    "+:asn",
    "-:asn",
    "+:asn=2",
    "+:asn>1",
    "-:loc^=us",
    "+#t.a",
    "-#t.b",
    "+#t.b@=2020-06-01",
    "+#t.*",
    "+inet:ipv4",
    "-inet:dns:a",
    "+inet:ipv4:asn=2",
    "+{ -> inet:dns:a }",
    "-{ -> inet:dns:a }>1",
    "+{ -(refs)> * }",
    "+$(:asn > 1)",
    "+(:asn=1 or #t.b)",
    "+(:asn and not #t.a)",
    "+:ipv4::asn=2",
    "+:names*[=alias1]",
    "+:fqdn~=\"1\"",
    "+.created",
    "-> *",
    "<- *",
    "-+> *",
    "<+- *",
    "--> *",
    "<-- *",
    "-> inet:dns:a",
    "-> inet:ipv4",
    "-> inet:fqdn",
    "-> inet:asn",
    "-+> inet:dns:a",
    ":asn -> inet:asn",
    ":ipv4 -> inet:ipv4",
    ":fqdn -> *",
    ":zone -> inet:fqdn",
    "-> inet:dns:a:fqdn",
    "-> #",
    "-> #t.*",
    "-> #t.a -> *",
    "-> ou:name",
    "<- inet:dns:a",
    "-(refs)> *",
    "<(refs)- *",
    "-(*)> inet:fqdn",
    "-(refs)+> *",
    "<(*)- inet:ipv4",
    "-((refs, seen))> *",
    "-(refs)> inet:ipv4 -(refs)> *",
    "<(seen)- *",
    "| uniq",
    "| limit 3",
    "| limit 1",
    "| max :asn",
    "| min :asn",
    "| uniq :asn",
    "| tree { -(refs)> inet:fqdn }",
    "$x = :asn $lib.print($x)",
    "$lib.print($node.repr())",
    "if (:asn > 1) { -> inet:dns:a }",
    "{ -> * $y = $node.form() }",
    "$d = $node.data.get(info) +$($d != null)",
    "for $i in (1, 2) { -> inet:asn }",
    "switch $node.form() { \"inet:ipv4\": { -> * } }",
    "$lib.print($lib.len($node.tags()))",
    "| intersect { -(refs)> * }",
    "| divert --size 2 $lib.true",
    "inet:asn",
    "inet:fqdn=woot.com",
    "+{ $n = $node.value() inet:dns:a:ipv4=$n }",
    "-> { inet:asn=2 }",
    "$lib.print(:loc)",
    "[ +#t.new ]",
    "[ :asn=4 ]",
    "[ -:asn ]",
    "[ -#t.a ]",
    "[ +(refs)> { inet:fqdn=woot.com } ]",
    "[ -(refs)> { inet:fqdn=woot.com } ]",
    "[ inet:asn=9 ]",
    "| count --yield",
    "| delnode --force",
    "| graph --degrees 1 --refs",
    "fini { inet:asn }",
    "init { $z = (1) }",
    "yield { inet:asn=1 }",
    "+:asn*in=(1, 4)",
    "+:asn*range=(1, 2)",
    "-:asn!=2",
];

/// What makes the data that [`reading`] asks for.
pub const DATA: &[&str] = &[
    "for $i in $lib.range(14) {
        [ inet:ipv4=`1.2.3.{$i}` ]
        if (($i % 3) != 0) { [ :asn=($i % 4) ] }
        if (($i % 2) = 0) { [ :loc=us.ca +#t.a ] }
        if (($i % 5) = 0) { [ :loc=us +#t.b=(2020, 2021) ] $node.data.set(info, $i) }
    }",
    "for $i in $lib.range(9) {
        [ inet:dns:a=(`a{$i}.vertex.link`, `1.2.3.{($i % 6)}`) ]
        if (($i % 4) = 0) { [ +#t.b=2019 ] }
    }",
    "for $i in $lib.range(4) {
        [ ou:org=($i, $i) :name=`org{$i}` :names=(`alias{$i}`, `alias{($i + 1)}`) :url=`http://a{$i}.vertex.link/` ]
        [ +(refs)> { inet:fqdn=`a{$i}.vertex.link` } +(seen)> { inet:ipv4:asn=$i } ]
    }",
    "inet:ipv4 $v=$node.value() [ +(refs)> { inet:fqdn=vertex.link inet:ipv4=$($v + 1) } ]",
    "[ inet:fqdn=woot.com ]",
    "[ inet:asn=2 :name=two ]",
];

/// A query that reads what [`DATA`] made, most of them with an answer, some with edits in between.
pub fn reading(dice: &mut Dice) -> String {
    let mut text = dice.pick(LIFTS).to_owned();
    for _ in 0..dice.roll(4) {
        let _ = write!(text, " {} ", dice.pick(READS));
    }
    text
}
