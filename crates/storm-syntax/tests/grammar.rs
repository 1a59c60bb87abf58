//! What is Storm, what is not, and what comes out.

use std::time::Instant;

use myelin_storm_syntax::*;
use proptest::prelude::*;

fn ops(text: &str) -> Vec<OperKind> {
    parse_query(text).unwrap_or_else(|err| panic!("{text}: {err}")).ops.iter().map(|op| op.kind.clone()).collect()
}

fn only(text: &str) -> OperKind {
    let mut found = ops(text);
    assert_eq!(found.len(), 1, "{text}: {found:?}");
    found.remove(0)
}

fn set_value(text: &str) -> ValueKind {
    match only(&format!("$x = {text}")) {
        OperKind::SetVar { value, .. } => value.kind,
        other => panic!("{text}: {other:?}"),
    }
}

fn rejects(text: &str) -> Box<SyntaxError> {
    parse_query(text).err().unwrap_or_else(|| panic!("{text} was taken"))
}

#[test]
fn takes_the_language() {
    let good = [
        "",
        "// only a comment",
        "|",
        "inet:fqdn=vertex.link -> inet:dns:a +:ipv4*range=(1.2.3.4, 1.2.3.8) | limit 10",
        "[ inet:fqdn=vertex.link +#foo.bar=(2020, 2021) :zone?=link -(refs)> { media:news } <(seen)+ $src ]",
        "reverse(inet:fqdn#foo) <- * <+- inet:dns:a --> * <+-- *",
        "for ($a, $b) in $lib.queue.list() { if ($a and not $b) { continue } elif $c { break } else { stop } }",
        "switch $x { foo: { } (a, \"b c\"): { } *: { return() } }",
        "try { $lib.raise(Foo, bar) } catch (A, B) as err { } catch * as e { }",
        "function f(a, b=$(1 + 2), c=$lib.null) { return(({'a': [1, 2, {\"k\": -0x1f}]})) }",
        "-((a, b, $c))> * +(inet:fqdn or not {-> * +#x.**.y} > 2) -(:a and #b:c>1)",
        "$x.y.\"z\".$w.(1+2).`a{$b}` = `text {$x} \\` \\{`",
        "test:arr*[~=foo] +:ints*[>=3] it:dev:str::norm=x .created>2020 *$name#t:p=1",
        "[ (test:str=a :hehe=b) :foo*unset=1 :foo*$lib.x.y()?=2 :arr++=(1,2) -:bar -.seen -#t:p ]",
        "yield ${ inet:ipv4 } | yield { test:str } | init { } | empty { } | fini { }",
        "foo.bar --opt=1 --q {test:str | limit 1} a,b=c -x $y (1, 2) \"z\"",
    ];
    for text in good {
        parse_query(text).unwrap_or_else(|err| panic!("{text}: {err}"));
    }
}

#[test]
fn refuses_what_is_not() {
    for text in [
        "test:str=",
        "[ test:str=a",
        "$x = (foo)",
        "$x = ({foo: 1})",
        "($a",
        "foo |",
        "+",
        "for $x $y { }",
        "$x(a=1, 2)",
        "$x(a=1, a=2)",
        "function f(a, a) { }",
        "function f(a=1, b) { }",
        "switch $x { a: { } a: { } }",
        "switch $x { *: { } *: { } }",
        "$x = ({'a': 1},)",
        "\"open",
        "inet:fqdn::zone",
        "}",
        "$x = \"\\x4\"",
    ] {
        rejects(text);
    }
}

#[test]
fn precedence_in_expressions() {
    let ValueKind::Expr(expr) = set_value("(1 + 2 * 3 ** 2 = -$x and not $y or $z)") else { panic!("no expression") };
    let ValueKind::Or(left, _) = expr.kind else { panic!("{expr:?}") };
    let ValueKind::And(sum_eq, not) = left.kind else { panic!("{left:?}") };
    assert!(matches!(not.kind, ValueKind::Unary(UnaryOp::Not, _)));
    let ValueKind::Binary(BinaryOp::Eq, sum, neg) = sum_eq.kind else { panic!("{sum_eq:?}") };
    assert!(matches!(neg.kind, ValueKind::Unary(UnaryOp::Neg, _)));
    assert!(matches!(sum.kind, ValueKind::Binary(BinaryOp::Add, _, _)));
}

#[test]
fn parentheses_hold_a_list_or_an_expression() {
    assert!(matches!(set_value("()"), ValueKind::List(items) if items.is_empty()));
    assert!(matches!(set_value("(foo,)"), ValueKind::List(items) if items[0].as_str() == Some("foo")));
    assert!(matches!(set_value("(1, 2)"), ValueKind::List(items) if items[0].as_str() == Some("1")));
    assert!(matches!(set_value("($y)"), ValueKind::Expr(_)));
    assert!(matches!(set_value("(1)"), ValueKind::Expr(_)));
    assert!(matches!(set_value("($y, 2)"), ValueKind::List(_)));
    assert!(matches!(set_value("(${ test:str })"), ValueKind::Expr(_)));
    assert!(matches!(set_value("({ test:str }, a)"), ValueKind::List(_)));
}

#[test]
fn numbers_keep_every_digit() {
    let number = |text: &str| match set_value(&format!("({text})")) {
        ValueKind::Expr(expr) => match expr.kind {
            ValueKind::Const(value) => value,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(number("0xffffffffffffffffffff"), Const::Int("1208925819614629174706175".into()));
    assert_eq!(number("1.10000000000000000000000001"), Const::Number("1.10000000000000000000000001".into()));
    assert_eq!(number("-5"), Const::Int("-5".into()));
}

#[test]
fn texts_of_queries() {
    let query = parse_query("  $q = ${ a:b  } | foo { c:d=1  } ").expect("parses");
    assert_eq!(query.text(), "  $q = ${ a:b  } | foo { c:d=1  } ");
    let OperKind::SetVar { value, .. } = &query.ops[0].kind else { panic!("no variable") };
    let ValueKind::EmbedQuery(embedded) = &value.kind else { panic!("no query") };
    assert_eq!(embedded.text(), " a:b  ");
    let OperKind::Cmd(cmd) = &query.ops[1].kind else { panic!("no command") };
    let ValueKind::ArgvQuery(arg) = &cmd.args[0].kind else { panic!("no query") };
    assert_eq!(arg.text(), "c:d=1");
}

#[test]
fn arguments_of_commands() {
    let OperKind::Cmd(cmd) = only("foo --name=\"x y\" a,b,c + bar -l 10 -> $v (1,2)") else { panic!("no command") };
    let texts: Vec<_> = cmd.args.iter().map(|arg| arg.as_str().unwrap_or("?")).collect();
    assert_eq!(texts, ["--name", "x y", "a,b,c", "+bar", "-l", "10", "->", "?", "?"]);
}

#[test]
fn minus_parenthesis_is_a_walk_or_a_filter() {
    assert!(matches!(only("-(refs)> *"), OperKind::Walk(walk) if walk.verb.as_str() == Some("refs")));
    assert!(matches!(only("-($v)+> inet:fqdn"), OperKind::Walk(Walk { join: true, .. })));
    assert!(matches!(only("-(:p)"), OperKind::Filter { must: false, .. }));
    assert!(matches!(only("<(refs)- *"), OperKind::Walk(Walk { reverse: true, .. })));
}

#[test]
fn errors_say_where() {
    let err = rejects("inet:fqdn\n  +:a=1 }");
    assert_eq!((err.line(), err.column(), err.at()), (2, 9, 18));
    assert_eq!(err.token.as_deref(), Some("}"));
    assert!(!err.expected.is_empty());
}

#[test]
fn other_entries() {
    let look = parse_lookup("1.2.3.4 \"a b\" vertex.link | +inet:fqdn").expect("parses");
    let tokens: Vec<_> = look.tokens.iter().map(|token| &*token.text).collect();
    assert_eq!(tokens, ["1.2.3.4", "a b", "vertex.link"]);
    assert_eq!(look.query.map(|query| query.ops.len()), Some(1));
    assert_eq!(
        parse_cmdrargs("add {inet:fqdn | limit 1} --x=3 'y z'").expect("parses"),
        ["add", "inet:fqdn | limit 1", "--x=3", "'y z'"]
    );
    assert!(matches!(parse_eval("(1 + 2)").expect("parses").kind, ValueKind::Expr(_)));
}

#[test]
fn nesting_has_a_bound_and_no_crash() {
    for (open, close) in [("(", ")"), ("{", "}"), ("$x(", ")"), ("[", "]"), ("if 1 {", "}"), ("+(", ")"), ("${", "}")] {
        for count in [20, 5000] {
            for prefix in ["", "$x = ", "$x = (", "+", "$x = `{"] {
                let text = format!("{prefix}{}1{}", open.repeat(count), close.repeat(count));
                let _ = parse_query(&text);
            }
        }
    }
    assert!(rejects(&format!("$x = {}", "($y+".repeat(5000))).too_deep);
    assert!(rejects(&format!("$x = (1{})", " + 1".repeat(2_000))).too_deep);
    assert!(rejects(&format!("$x{}", ".a".repeat(2_000))).too_deep);
    assert!(rejects(&format!("+(:a{})", " or :a".repeat(2_000))).too_deep);
    assert!(parse_query(&format!("$x = {}1{}", "(".repeat(60), ")".repeat(60))).is_ok());
    assert!(parse_query(&format!("{}{}", "{".repeat(100), "}".repeat(100))).is_ok());
}

#[test]
fn is_quick() {
    let text = "inet:fqdn=vertex.link $x = ($y + 1) | if $x { [ +#foo.bar ] } ".repeat(13);
    let start = Instant::now();
    for _ in 0..20 {
        parse_query(&text).expect("parses");
    }
    assert!(start.elapsed().as_millis() < 500, "20 queries took {:?} in a debug build", start.elapsed());
}

proptest! {
    #[test]
    fn never_panics(text in ".{0,60}") {
        let _ = parse_query(&text);
        let _ = parse_lookup(&text);
        let _ = parse_eval(&text);
        let _ = parse_cmdrargs(&text);
    }

    #[test]
    fn never_panics_on_pieces(pieces in proptest::collection::vec(prop_oneof![
        Just("$x"), Just("("), Just(")"), Just("{"), Just("}"), Just("["), Just("]"), Just(" "), Just("="), Just("+"),
        Just("-"), Just("->"), Just("'"), Just("\""), Just("`"), Just(","), Just("."), Just("#"), Just(":a"),
        Just("a:b"), Just("*"), Just("<("), Just(")-"), Just("1"), Just("é"), Just("\\"), Just("if "), Just("|"),
        Just("//"), Just("\n"), Just("'''"), Just("foo "), Just("${"), Just("@="), Just("?")
    ], 0..24)) {
        if let Ok(query) = parse_query(&pieces.concat()) {
            prop_assert!(query.ops.iter().all(|op| op.span.end as usize <= query.text().len()));
        }
    }
}
