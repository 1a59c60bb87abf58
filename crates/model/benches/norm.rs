//! How long a norm takes, per type. Run by hand: `cargo bench -p myelin-model --bench norm`.
#![allow(missing_docs)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use myelin_model::types::{BASE_TYPES, CtorKind};
use myelin_model::{NormCx, Type, TypeResolver};
use myelin_value::{Map, Value};

#[derive(Default)]
struct Few(HashMap<&'static str, Arc<Type>>);

impl TypeResolver for Few {
    fn type_by_name(&self, name: &str) -> Option<Arc<Type>> {
        self.0.get(name).cloned()
    }

    fn form_name(&self, _name: &str) -> Option<Arc<str>> {
        None
    }

    fn form_implements(&self, _form: &str, _iface: &str) -> bool {
        false
    }

    fn prop_type(&self, _full: &str) -> Option<(Arc<str>, Arc<Type>)> {
        None
    }
}

fn few() -> Few {
    let mut few = Few::default();
    let more = [
        ("inet:fqdn", CtorKind::Fqdn),
        ("inet:ipv4", CtorKind::IPv4),
        ("inet:ipv6", CtorKind::IPv6),
        ("inet:url", CtorKind::Url),
        ("file:path", CtorKind::FilePath),
    ];
    let bases = BASE_TYPES.iter().map(|base| (base.name, base.ctor, base.opts()));
    for (name, ctor, opts) in bases.chain(more.map(|(name, ctor)| (name, ctor, Map::new()))) {
        if let Ok(made) = Type::from_ctor(&few, name, ctor, &opts, &Map::new()) {
            few.0.insert(name, made);
        }
    }
    few
}

fn norms(bench: &mut Criterion) {
    let few = few();
    let cases = [
        ("inet:fqdn", Value::from("www.vertex.link")),
        ("inet:ipv4", Value::from("203.0.113.45")),
        ("inet:ipv6", Value::from("2001:db8::1:2")),
        ("inet:url", Value::from("https://user:pw@www.vertex.link:8443/a/b/c?x=1")),
        ("time", Value::from("2024-03-05T12:34:56.789Z")),
        ("ival", Value::from(["2024-03-05", "2024-03-06"])),
        ("hex", Value::from("d41d8cd98f00b204e9800998ecf8427e")),
        ("file:path", Value::from("C:\\Windows\\System32\\Drivers\\etc\\hosts")),
        ("syn:tag", Value::from("cno.threat.apt28.use")),
        ("guid", Value::from(["a", "b", "c"])),
    ];
    let types: Vec<Arc<Type>> = cases.iter().filter_map(|(name, _)| few.type_by_name(name)).collect();
    let cx = NormCx::new(Arc::new(few));
    for ((name, valu), ty) in cases.iter().zip(types) {
        bench.bench_function(name, |bench| bench.iter(|| black_box(ty.norm(&cx, black_box(valu)))));
    }
}

criterion_group!(benches, norms);
criterion_main!(benches);
