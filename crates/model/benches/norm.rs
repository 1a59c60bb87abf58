//! How long a norm takes, for the types that carry real load. Run by hand: `cargo bench -p myelin-model --bench norm`;
//! `benches/compare.py` runs it beside the reference and prints the ratio.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use myelin_model::{Model, NormCx};
use myelin_value::Value;

/// A type and a typical value: the same as in `compare.py`.
fn cases() -> [(&'static str, Value); 10] {
    [
        ("inet:fqdn", Value::from("www.vertex.link")),
        ("inet:ipv4", Value::from("203.0.113.45")),
        ("inet:ipv6", Value::from("2001:db8::1:2")),
        ("inet:url", Value::from("https://user:pw@www.vertex.link:8443/a/b/c?x=1")),
        ("time", Value::from("2024-03-05T12:34:56.789Z")),
        ("ival", Value::from(["2024-03-05", "2024-03-06"])),
        ("hash:md5", Value::from("d41d8cd98f00b204e9800998ecf8427e")),
        ("file:path", Value::from("C:\\Windows\\System32\\Drivers\\etc\\hosts")),
        ("syn:tag", Value::from("cno.threat.apt28.use")),
        ("guid", Value::from(["a", "b", "c"])),
    ]
}

fn norms(bench: &mut Criterion) {
    let model = Arc::new(Model::builtin().expect("the model"));
    let cx = NormCx::new(model.clone());
    for (name, valu) in &cases() {
        let ty = model.req_type(name).expect("a type").clone();
        bench.bench_function(name, |bench| bench.iter(|| black_box(ty.norm(&cx, black_box(valu)))));
    }
}

criterion_group!(benches, norms);
criterion_main!(benches);
