//! `$lib.gis`.

use myelin_error::err;
use myelin_value::Value;

use crate::ctl::Flow;
use crate::item::{Arg, Args, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "gis",
    funcs: &[FuncDef::ro("bbox", &[Arg::req("lon"), Arg::req("lat"), Arg::req("dist")], bbox)],
    consts: &[],
};

/// The mean radius of the earth in millimetres.
const RADIUS_MM: f64 = 6_371_008_800.0;

fn bbox(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let bad = |error: crate::Ctl| match error.err() {
        Some(error) => err!("BadArg", mesg = format!("$lib.gis.bbox(): {}", error.message())).into(),
        None => error,
    };
    let lon = Item::Val(args.prim(rt, 0)?).tofloat(rt).map_err(bad)?;
    let lat = Item::Val(args.prim(rt, 1)?).tofloat(rt).map_err(bad)?;
    #[expect(clippy::cast_precision_loss, reason = "distances on earth fit")]
    let dist = args.int(rt, 2).map_err(bad)? as f64;
    let (latr, lonr) = (lat.to_radians(), lon.to_radians());
    let (latd, lond) = (dist / RADIUS_MM, dist / (RADIUS_MM * latr.cos()));
    let edges = [lonr - lond, lonr + lond, latr - latd, latr + latd];
    Ok(Item::Val(Value::list(edges.map(|edge| Value::Float(degrees(edge))))))
}

/// Radians as degrees, multiplied as Python does, whose last digit differs from `to_degrees`.
fn degrees(radians: f64) -> f64 {
    radians * (180.0 / std::f64::consts::PI)
}
