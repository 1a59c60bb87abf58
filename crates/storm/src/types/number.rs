//! Methods of decimal numbers.

use myelin_error::err;
use myelin_model::types::Decimal;
use myelin_value::{BigInt, Value};

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item, TypeDef};
use crate::rt::Rt;

/// Decimal numbers.
pub static TYPE: TypeDef = TypeDef {
    name: "number",
    funcs: &[
        FuncDef::ro("scaleb", &[Arg::req("other")], |rt, this, args| {
            let other = Decimal::new(&BigInt::from(args.int(rt, 0)?), 0);
            Ok(Item::Num(this.todecimal(rt)?.scaleb(&other)?))
        }),
        FuncDef::ro("toint", &[Arg::opt("rounding", Dflt::Null)], toint),
        FuncDef::ro("tostr", &[], |rt, this, _| Ok(Item::from(this.todecimal(rt)?.to_plain()))),
        FuncDef::ro("tofloat", &[], |rt, this, _| Ok(Item::from(this.todecimal(rt)?.to_f64()))),
    ],
    getters: &[],
    setters: &[],
};

fn toint(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let num = this.todecimal(rt)?;
    let bad = || err!("StormRuntimeError", mesg = "The number is not finite.");
    let whole = num.to_bigint().ok_or_else(bad)?;
    let Some(rounding) = args.opt_str(rt, 0)? else { return Ok(Item::Val(Value::from(whole))) };
    let rest = num.sub(&Decimal::new(&whole, 0))?.abs();
    let twice = rest.add(&rest)?;
    let one = Decimal::new(&BigInt::from(1), 0);
    let half = twice.partial_cmp(&one).unwrap_or(std::cmp::Ordering::Less);
    let (some, odd) = (!rest.is_zero(), &whole % 2 != BigInt::from(0));
    let last = (&whole % 10u8).to_string();
    let away = match &*rounding {
        "ROUND_DOWN" => false,
        "ROUND_UP" => some,
        "ROUND_CEILING" => some && !num.is_negative(),
        "ROUND_FLOOR" => some && num.is_negative(),
        "ROUND_HALF_UP" => half.is_ge(),
        "ROUND_HALF_DOWN" => half.is_gt(),
        "ROUND_HALF_EVEN" => half.is_gt() || (half.is_eq() && odd),
        "ROUND_05UP" => some && (last.ends_with('0') || last.ends_with('5')),
        other => {
            let mesg = format!("Error rounding number: {other} is no way of rounding.");
            return Err(err!("StormRuntimeError", mesg = mesg, valurepr = num.to_plain()).into());
        }
    };
    let step = BigInt::from(if !away {
        0
    } else if num.is_negative() {
        -1
    } else {
        1
    });
    Ok(Item::Val(Value::from(whole + step)))
}
