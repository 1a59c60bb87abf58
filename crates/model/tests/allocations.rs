//! A norm allocates nothing that it does not return. Where one still does, the most it may is written here, so that it can
//! only become less.

use std::sync::Arc;

use myelin_model::{Model, NormCx};
use myelin_value::Value;

/// The types that carry real load, with values as feeds send them and as analysts type them, and how many allocations do
/// not stay.
fn cases() -> Vec<(&'static str, Value, i64)> {
    vec![
        ("inet:fqdn", Value::from("www.vertex.link"), 0),
        ("inet:fqdn", Value::from("WWW.Vertex.Link."), 0),
        ("inet:fqdn", Value::from("evil[.]com"), 0),
        ("inet:ipv4", Value::from("203.0.113.45"), 0),
        ("inet:ipv4", Value::from("1[.]2[.]3[.]4"), 0),
        ("inet:ipv4", Value::from(0x0102_0304), 0),
        ("inet:ipv6", Value::from("2001:db8::1:2"), 0),
        ("inet:ipv6", Value::from("::ffff:1.2.3.4"), 0),
        ("inet:url", Value::from("https://www.vertex.link/a/b/c?x=1"), 0),
        ("inet:url", Value::from("HTTP://user:pw@Evil[.]com:443/"), 0),
        ("inet:url", Value::from("tcp://[::1]:80/x"), 0),
        ("inet:server", Value::from("tcp://1.2.3.4:443"), 0),
        ("inet:server", Value::from("[2001:db8::1]:80"), 0),
        ("inet:email", Value::from("visi@vertex.link"), 0),
        ("inet:email", Value::from("Visi+tag@Vertex.Link"), 1),
        ("inet:dns:a", Value::from(["vertex.link", "1.2.3.4"]), 0),
        ("time", Value::from("2024-03-05T12:34:56.789Z"), 0),
        ("time", Value::from("2024/03/05 12:34:56"), 0),
        ("ival", Value::from(["2024-03-05", "2024-03-06"]), 0),
        ("hash:md5", Value::from("d41d8cd98f00b204e9800998ecf8427e"), 0),
        ("hash:sha1", Value::from("DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"), 0),
        ("file:bytes", Value::from("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), 0),
        ("file:path", Value::from("c:/windows/system32/drivers/etc/hosts"), 0),
        ("file:path", Value::from("C:\\Windows\\..\\System32\\cmd.exe"), 0),
        ("file:base", Value::from("Cmd.EXE"), 0),
        ("syn:tag", Value::from("cno.threat.apt28.use"), 0),
        ("syn:tag", Value::from("#Foo Bar.Baz-1"), 0),
        ("ou:orgtype", Value::from("foo.bar"), 0),
        ("guid", Value::from("d41d8cd98f00b204e9800998ecf8427e"), 0),
        ("guid", Value::from("D41D8CD9-8F00-B204-E980-0998ECF8427E"), 0),
        ("int", Value::from("12345"), 0),
        ("int", Value::from("0x1f"), 2),
        ("float", Value::from("1.25"), 0),
        ("bool", Value::from("true"), 0),
        ("str", Value::from("some text"), 0),
        ("ou:name", Value::from(" The Vertex  Project "), 0),
        ("loc", Value::from("US.VA. Reston"), 0),
        ("tel:phone", Value::from("+1 (202) 555-0123"), 0),
        ("it:semver", Value::from("1.2.3-rc.1"), 2),
    ]
}

#[test]
fn norms_allocate_what_they_return() {
    let model = Arc::new(Model::builtin().expect("the model"));
    let cx = NormCx::new(model.clone());
    let mut over = Vec::new();
    for (name, valu, most) in cases() {
        let ty = model.req_type(name).expect("a type").clone();
        // Once before: what is made at the first use is made.
        ty.norm(&cx, &valu).expect("a norm");
        let mut kept = None;
        let seen = allocation_counter::measure(|| kept = Some(ty.norm(&cx, &valu)));
        assert!(kept.is_some_and(|norm| norm.is_ok()));
        let (all, stay) = (seen.count_total, seen.count_current);
        eprintln!("{name} {valu:?}: {all} allocations, of which {stay} stay");
        if i64::try_from(all).unwrap_or(i64::MAX) > stay + most {
            over.push(format!("{name} {valu:?}: {} do not stay", i64::try_from(all).unwrap_or(i64::MAX) - stay));
        }
    }
    assert!(over.is_empty(), "norms that allocate more than they return: {over:#?}");
}
