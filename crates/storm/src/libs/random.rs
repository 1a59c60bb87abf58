//! `$lib.random`: integers from the system, or from a seed as Python's generator gives them.

use std::any::Any;
use std::sync::Arc;

use myelin_error::err;
use num_bigint::{BigInt, BigUint};
use parking_lot::Mutex;
use rand::RngCore;
use sha2::{Digest, Sha512};

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item, StormObj, TypeDef, trim_text};
use crate::registry::LibDef;
use crate::rt::Rt;
use myelin_value::Value;

const INT: &[Arg] = &[Arg::req("maxval"), Arg::opt("minval", Dflt::Int(0))];

/// The library.
pub static LIB: LibDef = LibDef {
    path: "random",
    funcs: &[
        FuncDef::ro("int", INT, |rt, _, args| randint(rt, &args, &mut || rand::rng().next_u32())),
        FuncDef::ro("generator", &[Arg::opt("seed", Dflt::Null)], |rt, _, args| {
            Ok(Item::obj(Random(Mutex::new(State::new(args.opt_str(rt, 0)?)))))
        }),
    ],
    consts: &[],
};

fn randint(rt: &Rt, args: &Args, next: &mut dyn FnMut() -> u32) -> Flow<Item> {
    let (maxval, minval) = (args.item(0).toint(rt)?, args.item(1).toint(rt)?);
    let (high, low) = (maxval.to_bigint().unwrap_or_default(), minval.to_bigint().unwrap_or_default());
    if low > high {
        let mesg = format!("Minval must be less than or equal to maxval, minval={low}, maxval={high}");
        return Err(err!("BadArg", mesg = mesg, minval = minval, maxval = maxval).into());
    }
    let width = (&high - &low + 1u8).to_biguint().unwrap_or_default();
    Ok(Item::Val(Value::from(low + BigInt::from(below(&width, next)))))
}

/// A number below another, as many bits at a time as it has, until one fits.
fn below(width: &BigUint, next: &mut dyn FnMut() -> u32) -> BigUint {
    let bits = width.bits();
    loop {
        let mut left = bits;
        let mut words = Vec::new();
        while left > 0 {
            let word = next();
            words.push(if left < 32 { word >> (32 - left) } else { word });
            left = left.saturating_sub(32);
        }
        let found = BigUint::new(words);
        if found < *width {
            return found;
        }
    }
}

struct State {
    seed: Option<Arc<str>>,
    twister: Twister,
}

impl State {
    fn new(seed: Option<Arc<str>>) -> State {
        let key = match &seed {
            Some(text) => {
                let mut byts = text.as_bytes().to_vec();
                let digest = Sha512::digest(&byts);
                byts.extend_from_slice(&digest);
                BigUint::from_bytes_be(&byts).to_u32_digits()
            }
            None => (0..624).map(|_| rand::rng().next_u32()).collect(),
        };
        State { seed, twister: Twister::new(&key) }
    }
}

/// A generator of its own.
pub struct Random(Mutex<State>);

pub(super) static TYPE: TypeDef = TypeDef {
    name: "random",
    funcs: &[FuncDef::ro("int", INT, |rt, this, args| match this.as_obj::<Random>() {
        Some(random) => randint(rt, &args, &mut || random.0.lock().twister.next()),
        None => Ok(Item::NULL),
    })],
    getters: &[("seed", |_, this| {
        Ok(this.as_obj::<Random>().and_then(|random| random.0.lock().seed.clone()).map(Item::from).unwrap_or_default())
    })],
    setters: &[("seed", false, |rt, this, valu| {
        let seed = if valu.is_null() { None } else { Some(valu.tostr(rt)?) };
        if let Some(random) = this.as_obj::<Random>() {
            *random.0.lock() = State::new(seed);
        }
        Ok(())
    })],
};

impl StormObj for Random {
    fn type_name(&self) -> &'static str {
        "random"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&TYPE)
    }

    fn repr(&self, _rt: &Rt) -> Flow<String> {
        Ok(match &self.0.lock().seed {
            Some(seed) if seed.chars().count() > 40 => {
                format!("random seed={}...", seed.chars().take(37).collect::<String>())
            }
            Some(seed) => format!("random seed={}", trim_text(seed)),
            None => "random".to_owned(),
        })
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Err(err!("NoSuchType", mesg = "Unable to convert object to Storm primitive.", name = "Random").into())
    }

    fn is_mutable(&self) -> bool {
        false
    }
}

/// The Mersenne twister with 32 bit words, seeded by an array.
struct Twister {
    words: [u32; 624],
    at: usize,
}

impl Twister {
    fn new(key: &[u32]) -> Twister {
        let mut words = [0u32; 624];
        words[0] = 19_650_218;
        for indx in 1..624u32 {
            let prev = words[indx as usize - 1];
            words[indx as usize] = 1_812_433_253u32.wrapping_mul(prev ^ (prev >> 30)).wrapping_add(indx);
        }
        let key = if key.is_empty() { &[0][..] } else { key };
        let mix = |prev: u32, factor: u32| (prev ^ (prev >> 30)).wrapping_mul(factor);
        let (mut indx, mut pos) = (1usize, 0usize);
        for _ in 0..key.len().max(624) {
            let add = key[pos].wrapping_add(pos as u32);
            words[indx] = (words[indx] ^ mix(words[indx - 1], 1_664_525)).wrapping_add(add);
            indx += 1;
            pos = (pos + 1) % key.len();
            if indx >= 624 {
                words[0] = words[623];
                indx = 1;
            }
        }
        for _ in 0..623 {
            words[indx] = (words[indx] ^ mix(words[indx - 1], 1_566_083_941)).wrapping_sub(indx as u32);
            indx += 1;
            if indx >= 624 {
                words[0] = words[623];
                indx = 1;
            }
        }
        words[0] = 0x8000_0000;
        Twister { words, at: 624 }
    }

    fn next(&mut self) -> u32 {
        if self.at >= 624 {
            for indx in 0..624 {
                let pair = (self.words[indx] & 0x8000_0000) | (self.words[(indx + 1) % 624] & 0x7fff_ffff);
                let odd = if pair & 1 == 1 { 0x9908_b0df } else { 0 };
                self.words[indx] = self.words[(indx + 397) % 624] ^ (pair >> 1) ^ odd;
            }
            self.at = 0;
        }
        let mut word = self.words[self.at];
        self.at += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_give_what_they_give_elsewhere() {
        let mut state = State::new(Some(Arc::from("myCoolTestSeed")));
        let width = BigUint::from(11u8);
        let mut draw = || below(&width, &mut || state.twister.next()).to_string();
        assert_eq!([draw(), draw(), draw()], ["5", "9", "1"]);
        let mut state = State::new(Some(Arc::from("")));
        assert_eq!(below(&width, &mut || state.twister.next()).to_string(), "7");
    }
}
