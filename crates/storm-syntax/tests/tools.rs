//! Formatter, highlighter and diagnostics.

use myelin_storm_syntax::*;
use proptest::prelude::*;

#[test]
fn formats_and_keeps_comments() {
    let text = "inet:fqdn   // the start\n\n\n\n | if $x {\n[ +#a\n   +#b ]  /* c */\n   } else { $y =  1 }  \n";
    let want = "inet:fqdn // the start\n\n| if $x {\n    [ +#a\n        +#b ] /* c */\n} else { $y = 1 }";
    let out = format_query(text).expect("parses");
    assert_eq!(out, want);
    assert_eq!(format_query(&out).expect("parses"), want);
    let kept = "$x = 'a   b\n   c' $y = `q   {$x}\n  z`";
    assert_eq!(format_query(kept).expect("parses"), kept);
}

#[test]
fn colours_broken_text() {
    let classes: Vec<_> = highlight("$x = 1 // c\n] ] | inet:fqdn +#foo").into_iter().map(|(_, class)| class).collect();
    use TokenClass::*;
    assert_eq!(classes[..4], [Variable, Variable, Operator, Word]);
    assert!(classes.contains(&Property) && classes.contains(&Tag) && classes.contains(&Comment), "{classes:?}");
}

#[test]
fn lists_every_error() {
    let (query, errors) = parse_with_diagnostics("inet:fqdn ) | inet:ipv4\n +( | $x = 1");
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(query.ops.len(), 3);
    let (query, errors) = parse_with_diagnostics("inet:fqdn | limit 1");
    assert!(errors.is_empty() && query.ops.len() == 2);
}

proptest! {
    #[test]
    fn tools_never_panic(pieces in proptest::collection::vec(prop_oneof![
        Just("$x"), Just("("), Just(")"), Just("{"), Just("}"), Just("["), Just("]"), Just("  "), Just("="), Just("+"),
        Just("'"), Just("\""), Just("`"), Just(","), Just("#"), Just(":a"), Just("a:b"), Just("<- *"), Just("é"),
        Just("|"), Just("//"), Just("\n"), Just("/* */"), Just("foo ")
    ], 0..24)) {
        let text = pieces.concat();
        let mut end = 0;
        for (span, _) in highlight(&text) {
            prop_assert!(span.start >= end && span.end > span.start, "{text:?}");
            end = span.end;
        }
        parse_with_diagnostics(&text);
        if let Ok(once) = format_query(&text) {
            prop_assert_eq!(format_query(&once).expect("still parses"), once);
        }
    }
}
