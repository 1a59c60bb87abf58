//! How long a norm takes, for the types that carry real load. Run by hand: `cargo bench -p myelin-model --bench norm`;
//! `benches/compare.py` runs it beside the reference and prints the ratio.
//!
//! The time is that of the thread's processor, so that other work on the machine counts on neither side.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use myelin_model::{Model, NormCx};
use myelin_value::Value;
use rustix::time::{ClockId, clock_gettime};

/// The allocator that the program has.
#[global_allocator]
static ALLOC: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
        ("guid", Value::from("d41d8cd98f00b204e9800998ecf8427e")),
    ]
}

/// The time that this thread ran on a processor.
struct CpuTime;

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        cpu_time()
    }

    fn end(&self, start: Duration) -> Duration {
        cpu_time().saturating_sub(start)
    }

    fn add(&self, left: &Duration, right: &Duration) -> Duration {
        *left + *right
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, valu: &Duration) -> f64 {
        WallTime.to_f64(valu)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn norms(bench: &mut Criterion<CpuTime>) {
    let model = Arc::new(Model::builtin().expect("the model"));
    let cx = NormCx::new(model.clone());
    let list = ("guid from a list", "guid", Value::from(["a", "b", "c"]));
    let cases = cases().into_iter().map(|(name, valu)| (name, name, valu)).chain([list]);
    for (title, name, valu) in cases {
        let ty = model.req_type(name).expect("a type").clone();
        bench.bench_function(title, |bench| bench.iter(|| black_box(ty.norm(&cx, black_box(&valu)))));
    }
}

criterion_group!(name = benches; config = Criterion::default().with_measurement(CpuTime); targets = norms);
criterion_main!(benches);
