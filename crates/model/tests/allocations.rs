//! A norm of a value in its stored form allocates nothing that it does not return. Where one still does, the most it may is
//! written here, so that it can only become less.

use std::sync::Arc;

use myelin_model::{Model, NormCx};
use myelin_value::Value;

/// The types that carry real load, with a value in the form that feeds send most, and how many allocations do not stay.
fn cases() -> Vec<(&'static str, Value, i64)> {
    vec![
        ("inet:fqdn", Value::from("www.vertex.link"), 0),
        ("inet:ipv4", Value::from("203.0.113.45"), 0),
        ("inet:ipv6", Value::from("2001:db8::1:2"), 1),
        ("inet:url", Value::from("https://www.vertex.link/a/b/c?x=1"), 16),
        ("time", Value::from("2024-03-05T12:34:56.789Z"), 0),
        ("ival", Value::from(["2024-03-05", "2024-03-06"]), 0),
        ("hash:md5", Value::from("d41d8cd98f00b204e9800998ecf8427e"), 0),
        ("file:path", Value::from("c:/windows/system32/drivers/etc/hosts"), 8),
        ("syn:tag", Value::from("cno.threat.apt28.use"), 1),
        ("guid", Value::from("d41d8cd98f00b204e9800998ecf8427e"), 0),
        ("int", Value::from("12345"), 0),
        ("str", Value::from("some text"), 0),
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
        eprintln!("{name}: {all} allocations, of which {stay} stay");
        if i64::try_from(all).unwrap_or(i64::MAX) > stay + most {
            over.push(name);
        }
    }
    assert!(over.is_empty(), "norms that allocate more than they return: {over:?}");
}
