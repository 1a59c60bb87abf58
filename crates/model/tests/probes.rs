//! What fuzzers run, on mutated seeds and without a fuzzer: the same inputs at every run.

use myelin_model::probe::PROBES;
use myelin_model::{Model, probe};
use myelin_value::Value;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Text that types have to do with, of which inputs are made.
const SEEDS: &[&str] = &[
    "",
    " ",
    "?",
    "now",
    "*",
    "-1",
    "0x1f",
    "1_000",
    "1e400",
    "nan",
    "-inf",
    "9223372036854775808",
    "1,234.50",
    "2.5 km",
    "2020-01-02T03:04:05.678+02:00",
    "20200102",
    "2020-06*",
    "2020, +1 day",
    "-2 hours",
    "3D 04:05:06.7",
    "1.2.3.4/32",
    "1.2.3.4-1.2.3.9",
    "hxxp://Evil[.]com:443/a?b#c",
    "https://u:p%40ss@[::1]:80/x",
    "file:///c:/windows/x.exe",
    "\\\\host@SSL@99\\share\\x",
    "fe80::1%eth0",
    "::ffff:1.2.3.4",
    "bücher.example",
    "xn--bcher-kva.example",
    "\u{130}ß\u{3c2}",
    "a+b@Example.com",
    "\"Foo, Bar\" <foo@bar.com>",
    "C:\\..\\Windows\\.\\x.exe",
    "cpe:2.3:a:foo:b\\!r:1.0:*:*:*:*:*:*:*",
    "cpe:/a:foo:bar%21:1~~~~~x",
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    "490154203237518",
    "+1 (202) 555-0123",
    "us.va.*",
    "#foo.bar",
    "1.2.3-rc.1+b5",
    "38.9,-77.0",
    "sha256:e3b0",
    "hex:00ff",
    "base64:Zm9v",
    "(?P<a>x)++[[:alpha:]]{,3}$",
    "a|b{2,1}\\Z\0aab",
    "[^]]&&--~~\\p{L}",
    "(?<=a)b(?!c)\\1",
    "{\"name\":\"x\",\"types\":[[\"a\",[\"int\",{}],{}]]}",
    "\u{1f600}\u{200d}\u{ad}",
];

/// A small generator of numbers; the same at every run.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap_or(0)
    }

    fn seed(&mut self) -> Vec<u8> {
        SEEDS[self.below(SEEDS.len())].as_bytes().to_vec()
    }

    fn mutated(&mut self) -> Vec<u8> {
        let mut data = self.seed();
        for _ in 0..self.below(5) {
            let at = self.below(data.len() + 1);
            match self.below(6) {
                0 => data.insert(at, b" ,.-/:%[]()*?+#@\x00\x1c\x7f\xff0a"[self.below(22)]),
                1 => drop(data.splice(at.., [])),
                2 => drop(data.splice(at..at, self.seed())),
                3 if at < data.len() => drop(data.remove(at)),
                4 if at < data.len() => data[at] ^= 1 << self.below(8),
                _ => drop(data.splice(at..at, "\u{3000}".bytes())),
            }
        }
        data.truncate(300);
        data
    }
}

/// How long to go on with other seeds, for those who look for more: `MYELIN_PROBE_SECS`.
fn extra() -> Duration {
    let secs = std::env::var("MYELIN_PROBE_SECS").ok().and_then(|secs| secs.parse().ok());
    Duration::from_secs(secs.unwrap_or(0))
}

#[test]
fn no_probe_panics() {
    let (began, extra) = (Instant::now(), extra());
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let mut rounds = 0;
    loop {
        probe_all(seed);
        rounds += 4000;
        if began.elapsed() >= extra {
            break;
        }
        seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(seed, |now| now.as_nanos() as u64 | 1);
        eprintln!("{rounds} rounds; next seed {seed:#x}");
    }
}

fn probe_all(seed: u64) {
    let mut rng = Rng(seed);
    for round in 0..4000_usize {
        let data = rng.mutated();
        for probe in PROBES {
            let mut input = data.clone();
            if probe.name == "norm" {
                let nth = u16::try_from(rng.below(0x1_0000)).unwrap_or(0);
                input.splice(0..0, nth.to_le_bytes());
            } else if !round.is_multiple_of(8) {
                continue;
            }
            (probe.run)(&input);
        }
    }
}

#[test]
fn every_type_takes_every_kind() {
    let model = Arc::new(Model::builtin().expect("the model"));
    let mut inputs: Vec<Value> = SEEDS.iter().map(|seed| Value::from(*seed)).collect();
    let pair = Value::list([Value::from("1.2.3.4"), Value::from(["a", "b"])]);
    let map = Value::from(myelin_value::Map::new().with("a", pair.clone()));
    let many = Value::list((0..9).map(Value::from));
    inputs.extend([Value::Null, Value::from(true), Value::from(f64::NAN), Value::from(1e300), Value::from(i64::MIN)]);
    inputs.extend([Value::from(&b"\xff\x00"[..]), Value::empty_list(), pair, map, many]);
    inputs.extend(Value::from_wtf8(b"a\xed\xb3\xbfb"));
    for ty in model.types() {
        inputs.iter().for_each(|valu| probe::through(&model, ty, valu));
    }
}
