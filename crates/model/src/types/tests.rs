//! One table of norms over every family, and the rules that hold between a type's answers.

use std::collections::HashMap;
use std::sync::Arc;

use myelin_value::{Map, Value};

use super::{BASE_TYPES, CtorKind, Decimal, NormCx, NormEnv, Type, TypeResolver};
use crate::StorType;

#[derive(Default)]
struct Few(HashMap<String, Arc<Type>>);

impl TypeResolver for Few {
    fn type_by_name(&self, name: &str) -> Option<Arc<Type>> {
        self.0.get(name).cloned()
    }

    fn form_name(&self, name: &str) -> Option<Arc<str>> {
        name.starts_with("inet:").then(|| self.0.contains_key(name).then(|| Arc::from(name))).flatten()
    }

    fn form_implements(&self, _form: &str, iface: &str) -> bool {
        iface == "inet:any"
    }

    fn prop_type(&self, full: &str) -> Option<(Arc<str>, Arc<Type>)> {
        Some((Arc::from(full), self.type_by_name(full)?))
    }
}

struct Noon;

impl NormEnv for Noon {
    fn now_ms(&self) -> i64 {
        1_577_880_000_000
    }

    fn rand_guid(&self) -> String {
        "0".repeat(32)
    }

    fn user_iden(&self, text: &str) -> Option<String> {
        (text == "root").then(|| "1".repeat(32))
    }

    fn check_tag(&self, tag: &str) -> Result<(), String> {
        if tag.starts_with("newp") { Err("not here".to_owned()) } else { Ok(()) }
    }
}

fn cx() -> NormCx {
    let mut few = Few::default();
    for base in BASE_TYPES {
        let made = Type::from_ctor(&few, base.name, base.ctor, &base.opts(), &Map::new()).expect(base.name);
        few.0.insert(base.name.to_owned(), made);
    }
    let more = [
        ("inet:fqdn", CtorKind::Fqdn),
        ("inet:ipv4", CtorKind::IPv4),
        ("inet:ipv6", CtorKind::IPv6),
        ("inet:addr", CtorKind::Addr),
        ("inet:url", CtorKind::Url),
        ("inet:email", CtorKind::Email),
        ("inet:rfc2822:addr", CtorKind::Rfc2822Addr),
        ("inet:cidr4", CtorKind::Cidr4),
        ("inet:ipv4range", CtorKind::IPv4Range),
        ("file:path", CtorKind::FilePath),
        ("file:bytes", CtorKind::FileBytes),
        ("geo:dist", CtorKind::Dist),
        ("it:semver", CtorKind::SemVer),
        ("it:sec:cpe", CtorKind::Cpe23Str),
        ("tel:phone", CtorKind::Phone),
        ("cvss:v3", CtorKind::CvssV3),
        ("syn:user", CtorKind::SynUser),
    ];
    for (name, ctor) in more {
        let made = Type::from_ctor(&few, name, ctor, &Map::new(), &Map::new()).expect(name);
        few.0.insert(name.to_owned(), made);
    }
    let field = |name: &str, typ: &str| Value::from([name, typ]);
    let fields = Map::new().with("fields", Value::list([field("fqdn", "inet:fqdn"), field("ipv4", "inet:ipv4")]));
    let made = few.0["comp"].extend(&few, "dns:a", &fields, &Map::new()).expect("dns:a");
    few.0.insert("dns:a".to_owned(), made);
    NormCx::new(Arc::new(few)).with_env(Arc::new(Noon))
}

fn norm(cx: &NormCx, name: &str, valu: impl Into<Value>) -> Option<Value> {
    let ty = cx.resolver.type_by_name(name).expect(name);
    ty.norm(cx, &valu.into()).ok().map(|norm| norm.value)
}

#[test]
fn text_becomes_the_one_stored_form() {
    let cx = cx();
    let cases: &[(&str, &str, Option<Value>)] = &[
        ("int", "0x10", Some(Value::from(16))),
        ("int", "010", None),
        ("bool", "YES", Some(Value::from(1))),
        ("float", "1_0.5", Some(Value::from(10.5))),
        ("hugenum", "1,000.50", Some(Value::from("1000.5"))),
        ("velocity", "10 kph", Some(Value::from(2777))),
        ("time", "now", Some(Value::from(1_577_880_000_000_i64))),
        ("time", "2020/01/01 - 1 day", Some(Value::from(1_577_750_400_000_i64))),
        ("duration", "1D 00:00:01.5", Some(Value::from(86_401_500))),
        ("hex", "0xABC", Some(Value::from("0abc"))),
        ("guid", "*", Some(Value::from("0".repeat(32)))),
        ("loc", " US.  New   York ", Some(Value::from("us.new york"))),
        ("syn:tag", "#Foo Bar.b", Some(Value::from("foo_bar.b"))),
        ("syn:tag", "newp.a", None),
        ("taxonomy", "a.B", Some(Value::from("a.b."))),
        ("inet:fqdn", "WWW[.]Bücher.De.", Some(Value::from("www.xn--bcher-kva.de"))),
        ("inet:fqdn", "1.2.3.4", None),
        ("inet:ipv4", "1[.]2.3.4", Some(Value::from(0x0102_0304))),
        ("inet:ipv6", "1.2.3.4", Some(Value::from("::ffff:1.2.3.4"))),
        ("inet:addr", "UDP://[::1]:53", Some(Value::from("udp://[::1]:53"))),
        ("inet:cidr4", "10.1.2.3/8", Some(Value::from("10.0.0.0/8"))),
        ("inet:email", "A+b@C.com", Some(Value::from("a+b@c.com"))),
        ("inet:rfc2822:addr", "\"Foo Bar\" <a@b.com>", Some(Value::from("foo bar <a@b.com>"))),
        ("inet:url", "HTTP://u:p@Foo.com:80/A?b", Some(Value::from("http://u:p@foo.com:80/A?b"))),
        ("inet:url", "\\\\foo.com\\share\\x", Some(Value::from("smb://foo.com/share/x"))),
        ("file:path", "C:\\a\\..\\B.exe", Some(Value::from("c:/b.exe"))),
        ("geo:dist", "1.5 km", Some(Value::from(1_500_000))),
        ("it:semver", "v1.2.3-rc", Some(Value::from((1_i64 << 40) | (2 << 20) | 3))),
        ("it:sec:cpe", "cpe:/a:foo:bar", Some(Value::from("cpe:2.3:a:foo:bar:*:*:*:*:*:*:*:*"))),
        ("tel:phone", "+1 (703) 555-1212", Some(Value::from("17035551212"))),
        ("syn:user", "root", Some(Value::from("1".repeat(32)))),
        ("syn:user", "*", None),
    ];
    for (name, text, want) in cases {
        assert_eq!(norm(&cx, name, *text), *want, "{name} {text}");
    }
}

#[test]
fn norms_of_norms_change_nothing() {
    let cx = cx();
    let cases = [
        ("inet:fqdn", "Foo.COM"),
        ("inet:url", "https://foo.com/x?y"),
        ("time", "2020"),
        ("ival", "2020,2021"),
        ("syn:tag", "A.b"),
        ("it:sec:cpe", "cpe:/a:foo:bar"),
        ("file:path", "/A//b/"),
        ("hugenum", "1e+3"),
    ];
    for (name, text) in cases {
        let first = norm(&cx, name, text).expect(name);
        assert_eq!(norm(&cx, name, first.clone()), Some(first), "{name}");
    }
}

#[test]
fn compounds_say_what_follows() {
    let cx = cx();
    let ty = cx.resolver.type_by_name("dns:a").expect("dns:a");
    let made = ty.norm(&cx, &Value::from(["Foo.com", "1.2.3.4"])).expect("a pair");
    assert_eq!(made.info.sub("fqdn:domain"), Some(&Value::from("com")));
    assert_eq!(made.info.sub("ipv4:type"), Some(&Value::from("unicast")));
    assert_eq!(made.info.adds.iter().map(|add| &*add.form).collect::<Vec<_>>(), ["inet:fqdn", "inet:ipv4"]);
    assert_eq!(ty.comp_offs("ipv4"), Some(1));
    assert!(ty.norm(&cx, &Value::from(["foo.com"])).is_err_and(|error| error.is("BadTypeValu")));
}

#[test]
fn filters_and_lifts_agree_on_ranges() {
    let cx = cx();
    let ty = cx.resolver.type_by_name("inet:ipv4").expect("inet:ipv4");
    let net = Value::from("1.2.3.0/24");
    let filter = ty.cmpr_ctor(&cx, "=", &net).expect("a filter");
    let lift = ty.lift_cmprs(&cx, "=", &net).expect("a lift");
    assert_eq!((lift[0].op, lift[0].stortype), ("range=", StorType::U32));
    for (addr, want) in [(0x0102_02ff_i64, false), (0x0102_0300, true), (0x0102_03ff, true), (0x0102_0400, false)] {
        assert_eq!(filter(&Value::from(addr)).expect("a verdict"), want);
        let (min, max) = (lift[0].value.at(0).and_then(Value::as_i64), lift[0].value.at(1).and_then(Value::as_i64));
        assert_eq!(min <= Some(addr) && Some(addr) <= max, want);
    }
    assert_eq!(ty.type_vals(&cx, &Value::from("1.2.3.4-1.2.3.6")).expect("addresses").count(), 3);
    assert!(ty.cmpr_ctor(&cx, "newp", &net).is_err_and(|error| error.is("NoSuchCmpr")));
}

#[test]
fn options_of_a_property_lie_over_those_of_its_type() {
    let cx = cx();
    let base = cx.resolver.type_by_name("time").expect("time");
    let seen = base.with_opts(&*cx.resolver, &Map::new().with("ismin", true)).expect("a time");
    assert_eq!((seen.stortype, &*seen.name), (StorType::MINTIME, "time"));
    assert_eq!(seen.merge(&Value::from(5), &Value::from(9)), Value::from(5));
    assert_ne!(seen.typehash, base.typehash);
    assert!(Arc::ptr_eq(&base.with_opts(&*cx.resolver, &Map::new()).expect("the same"), &base));
}

#[test]
fn numbers_of_storm_are_taken_where_numbers_are() {
    let cx = cx();
    let number = Decimal::parse("12.75").expect("a number");
    let of = |name: &str| {
        let ty = cx.resolver.type_by_name(name).expect(name);
        ty.norm_number(&cx, &number).ok().map(|norm| norm.value)
    };
    assert_eq!(of("int"), Some(Value::from(12)));
    assert_eq!(of("hugenum"), Some(Value::from("12.75")));
    assert_eq!(of("str"), Some(Value::from("12.75")));
    assert_eq!(of("inet:ipv4"), None);
}
