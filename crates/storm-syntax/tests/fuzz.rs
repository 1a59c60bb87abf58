//! Mutated queries: no text makes the parser, the formatter or the highlighter panic or run on; what formats parses to the same
//! tree, formats to itself, and keeps its comments. The texts are the same in every run; `MYELIN_FUZZ_SECS` makes it longer.

use std::time::{Duration, Instant};

use myelin_storm_syntax::*;

/// How many texts every run tries.
const ALWAYS: u64 = 6000;
/// How long a text may take, all tools together, in a slow build on a busy machine.
const SLOW: Duration = Duration::from_secs(5);

/// What texts are made of.
const SEEDS: &[&str] = &[
    "inet:ipv4:asn=$asn +:loc^=us { -> inet:dns:a +:seen@=(2020, 2021) -> inet:fqdn } [ +#a.b.c=(2020, 2021) ]",
    "if ($x > 3) { $y = $foo($z, bar=(1, 2)) } elif $z { stop } else { return(([1, {\"a\": null}])) }",
    "for ($k, $v) in $d { if ($k = \"x\") { continue } $lib.print(`{$k} is {$v}`) } // done",
    "function gen(a, b=(3), c=$lib.null) { /* c */ for $i in $lib.range($a) { emit $i } }\nyield $gen(3)",
    "switch $x.y().z { foo: { inet:fqdn } \"b c\": { } ('a', 'b'): { -> * } *: { stop } }",
    "try { $lib.raise(Foo, 'it\\'s') } catch Foo as err { $lib.print($err.mesg) } catch (A, B) as e { }",
    "[ inet:fqdn=vertex.link :zone?=link +#foo=2020 +#bar:score=10 -:x -#y <(seen)+ $src +(refs)> { media:news } ]",
    "[ ( ou:org=({\"name\": \"x\"}) :names++=(a, b) :names-=c ) .seen=now +?#tag ]",
    "inet:ipv4 +(:asn=1 or (not #foo.*.bar and :loc)) -{ -> inet:dns:a }>=3 +#a@=(2019, \"?\") +:x:y::z*[=5]",
    "#foo.bar:score>5 -> #baz.* <- * -+> inet:fqdn --> * <-- * -(refs)+> inet:ipv4 <(*)- $forms -((a, b))> (x, y)",
    "ou:org:names*[~='^a'] | uniq :name | limit --x 10 | tree ${ -> * } | graph --degrees 2 --pivot { -> # } |",
    "$x = $(1 + 2 * (3 - $y) / 4 ** 2 % 7) $z = (not $x and $y in (1, 2) or $q ~= '^a' ) $a.b.\"c d\" = (0x1F)",
    "init { $n = (0) } inet:fqdn:host^=w $n = ($n + 1) fini { $lib.print($n) } empty { $lib.print('none') }",
    "while (true) { break } $lib.dict.keys(({'a': 1, 'b': [2, -3.5, true]})) // last\n/* block\n * more */ yield $x",
    "'''triple ' quoted''' inet:url=\"http://a/?b=\\u00e9\\n\" $v='single' $w=`back \\` tick {$a.b(1)} \\{ x`",
    "reverse(inet:ipv4:asn) :org::name -> ou:name :$prop=$valu -:$x [ :$p=$v :names*unset=(a) ] inet:*#t inet:dns*",
    "background { inet:fqdn } | parallel --size 4 { $lib.time.sleep(1) } | divert $lib.true $gen() | once --asof now x",
];

/// What is put in between.
const PIECES: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "$",
    "$x",
    "=",
    "+",
    "-",
    "->",
    "<-",
    "'",
    "\"",
    "`",
    "'''",
    ",",
    ".",
    "#",
    ":",
    "*",
    "<(",
    ")-",
    ")>",
    "|",
    "//",
    "/*",
    "*/",
    "\n",
    " ",
    "\t",
    "\\",
    "é",
    "\u{10ffff}",
    "\u{a0}",
    "\0",
    "0x",
    "1e9",
    "-5",
    "@=",
    "?=",
    "++=",
    "if ",
    "else",
    "for $i in ",
    "${",
    "not ",
    " and ",
    "yield ",
    "emit ",
    "return(",
    "::",
    "*[",
    "~=",
    "!",
    "// note\n",
    "/* note */",
    "inet:fqdn",
    "in",
    "as",
    "catch",
    "%",
    "**",
    "\r",
    "null",
    "true",
];

/// A small generator of numbers (splitmix64): the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % sides.max(1) as u64).unwrap_or(0)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }

    /// A place between two characters.
    fn place(&mut self, text: &str) -> usize {
        let mut at = self.roll(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// A text: one or two seeds, changed a little. Every third is only spread over lines and given comments.
fn text(dice: &mut Dice) -> String {
    let mut text = dice.pick(SEEDS).to_owned();
    if dice.roll(2) == 0 {
        text = format!("{text}{}{}", dice.pick(&[" ", "\n", " | "]), dice.pick(SEEDS));
    }
    if dice.roll(3) == 0 {
        for _ in 0..dice.roll(4) {
            let spaces: Vec<usize> = text.match_indices(' ').map(|(at, _)| at).collect();
            if !spaces.is_empty() {
                let at = spaces[dice.roll(spaces.len())];
                text.insert_str(at, dice.pick(&["\n", "  ", " // why\n", " /* what */ ", "\n\n\n", "\t"]));
            }
        }
        return text;
    }
    for _ in 0..=dice.roll(4) {
        let (one, two) = (dice.place(&text), dice.place(&text));
        let (from, to) = (one.min(two), one.max(two));
        match dice.roll(6) {
            0 => text.replace_range(from..to.min(text.ceil_char_boundary(from + 8)), ""),
            1 => text.insert_str(from, dice.pick(PIECES)),
            2 => text.insert_str(from, &dice.pick(PIECES).repeat(1 + dice.roll(6))),
            3 => {
                let part = text[from..to].to_owned();
                text.insert_str(dice.place(&text), &part);
            }
            4 => text.truncate(to),
            _ => {
                let end = text[from..].chars().next().map_or(from, |c| from + c.len_utf8());
                text.replace_range(from..end, dice.pick(PIECES));
            }
        }
    }
    text
}

fn texts() -> impl Iterator<Item = (u64, String)> {
    let secs = std::env::var("MYELIN_FUZZ_SECS").ok().and_then(|secs| secs.parse().ok()).unwrap_or(0);
    let until = Instant::now() + Duration::from_secs(secs);
    (0u64..).take_while(move |seed| *seed < ALWAYS || Instant::now() < until).map(|seed| (seed, text(&mut Dice(seed))))
}

/// A tree without its places and without the text that it was cut from, both of which formatting may change.
fn shape(query: &Query) -> String {
    let text = format!("{:?}", query.ops);
    let mut shape = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find("Span {").into_iter().chain(rest.find("Source(")).min() {
        shape.push_str(&rest[..at]);
        let close = if rest[at..].starts_with("Span") { '}' } else { ')' };
        rest = rest[at..].find(close).map_or("", |end| &rest[at + end + 1..]);
    }
    shape + rest
}

/// The words of the comments.
fn comments(text: &str) -> Vec<String> {
    let found = highlight(text).into_iter().filter(|(_, class)| *class == TokenClass::Comment);
    found.map(|(span, _)| text[span.start as usize..span.end as usize].split_whitespace().collect()).collect()
}

#[test]
fn any_text_is_taken_or_refused_and_formats_to_itself() {
    let (mut sound, mut all) = (0u64, 0u64);
    for (seed, text) in texts() {
        all += 1;
        let began = Instant::now();
        let _ = (parse_lookup(&text).is_ok(), parse_eval(&text).is_ok(), parse_cmdrargs(&text).is_ok());
        parse_with_diagnostics(&text);
        let mut end = 0;
        for (span, _) in highlight(&text) {
            assert!(
                span.start >= end && span.end > span.start && span.end as usize <= text.len(),
                "seed {seed}: {text}"
            );
            end = span.end;
        }
        match (parse_query(&text), format_query(&text)) {
            (Ok(tree), Ok(once)) => {
                sound += 1;
                let again =
                    parse_query(&once).unwrap_or_else(|error| panic!("seed {seed}: {text}\nbecame\n{once}\n{error}"));
                assert_eq!(shape(&again), shape(&tree), "seed {seed}: {text}\nbecame\n{once}");
                assert_eq!(format_query(&once).expect("parses"), once, "seed {seed}: {text}");
                assert_eq!(comments(&once), comments(&text), "seed {seed}: {text}\nbecame\n{once}");
            }
            (Err(error), Err(_)) => {
                assert!(error.span.start <= error.span.end && error.span.end as usize <= text.len(), "seed {seed}");
                assert!(!error.mesg.is_empty());
            }
            (tree, _) => panic!("seed {seed}: parsed: {}, formatted: {}: {text}", tree.is_ok(), tree.is_err()),
        }
        assert!(began.elapsed() < SLOW, "seed {seed} took {:?}: {text}", began.elapsed());
    }
    assert!(sound * 6 > all, "only {sound} of {all} texts are queries");
}
