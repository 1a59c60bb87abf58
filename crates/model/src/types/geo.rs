//! Places: `geo:dist`, `geo:area`, `geo:latlong`.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_value::{BigInt, Value};
use num_traits::{Signed, ToPrimitive};

use super::ctors::Decl;
use super::numbers::{Int, float_prefix, number_int};
use super::{Cmpr, Decimal, Norm, NormCx, StorCmpr, Type, TypeImpl, py};
use crate::StorType;

/// The mean radius of the earth in millimetres.
const EARTH_MM: f64 = 6_371_008_800.0;

/// The distance of two points in millimetres.
pub fn haversine(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (dlat, dlon) = ((to.0 - from.0).to_radians(), (to.1 - from.1).to_radians());
    let (lat1, lat2) = (from.0.to_radians(), to.0.to_radians());
    let angle = (dlat / 2.0).sin().powi(2) + lat1.cos() * lat2.cos() * (dlon / 2.0).sin().powi(2);
    2.0 * angle.sqrt().asin() * EARTH_MM
}

/// The box around a circle of so many millimetres: least and greatest latitude, least and greatest longitude.
pub fn bounding_box(center: (f64, f64), dist: f64) -> [f64; 4] {
    let (lat, lon) = (center.0.to_radians(), center.1.to_radians());
    let (dlat, dlon) = (dist / EARTH_MM, dist / (EARTH_MM * lat.cos()));
    [(lat - dlat).to_degrees(), (lat + dlat).to_degrees(), (lon - dlon).to_degrees(), (lon + dlon).to_degrees()]
}

/// A measure: a number and a unit, in a base unit.
struct Measure {
    int: Int,
    offset: BigInt,
    factor: fn(&str) -> Option<f64>,
    /// Whether units may hold dots.
    dots: bool,
    what: &'static str,
}

impl Measure {
    fn parse(&self, ty: &Type, valu: &Value) -> Result<Value> {
        let Value::Str(text) = valu else { return self.int.parse(ty, valu) };
        let bad = |mesg: String| ty.bad_valu(valu, mesg);
        let size = float_prefix(text).ok_or_else(|| bad(format!("A {} needs a number and a unit.", self.what)))?;
        let number = py::float_text(&text[..size]).unwrap_or(f64::NAN);
        let rest = text[size..].trim_start_matches([' ', '\t', '\n']);
        let in_unit = |ch: char| ch.is_ascii_alphabetic() || (self.dots && ch == '.');
        let unit = rest[..rest.find(|ch| !in_unit(ch)).unwrap_or(rest.len())].to_ascii_lowercase();
        let factor = (self.factor)(&unit).ok_or_else(|| bad(format!("The unit of {} is unknown.", self.what)))?;
        let whole = py::float_to_int(number * factor).and_then(|whole| whole.to_bigint());
        let whole = whole.ok_or_else(|| bad("The number is out of range.".to_owned()))? + &self.offset;
        if whole.is_negative() {
            return Err(bad(format!("A {} may not be negative.", self.what)));
        }
        Ok(Value::from(whole))
    }
}

/// The larger units a measure prints in, largest first.
const STEPS: [(f64, &str); 3] = [(1_000_000.0, "km"), (1000.0, "m"), (10.0, "cm")];

fn dist_factor(unit: &str) -> Option<f64> {
    Some(match unit {
        "mm" | "millimeter" | "millimeters" => 1.0,
        "cm" | "centimeter" | "centimeters" => 10.0,
        "foot" | "feet" => 304.8,
        "m" | "meter" | "meters" => 1000.0,
        "mile" | "miles" => 1_609_344.0,
        "km" | "kilometer" | "kilometers" => 1_000_000.0,
        "yard" | "yards" => 914.4,
        _ => return None,
    })
}

/// Area units; their factors are the linear ones, an oddity kept for the values that are stored by them.
fn area_factor(unit: &str) -> Option<f64> {
    match unit.strip_prefix("sq.")? {
        "mm" => Some(1.0),
        "cm" => Some(10.0),
        "m" | "meters" => Some(1000.0),
        "km" => Some(1_000_000.0),
        "feet" => Some(304.8),
        "miles" => Some(1_609_344.0),
        "yards" => Some(914.4),
        _ => None,
    }
}

fn stored_int(ty: &Type, norm: &Value) -> Result<BigInt> {
    norm.to_bigint().ok_or_else(|| ty.bad_valu(norm, "The stored value is no number."))
}

/// `geo:dist`: millimetres.
pub struct Dist(Measure);

impl Dist {
    pub(super) fn new(decl: Decl<'_>) -> Result<Dist> {
        let offset = decl.opt("baseoff").and_then(Value::to_bigint).unwrap_or_default();
        let int = Int::new(decl)?;
        Ok(Dist(Measure { int, offset, factor: dist_factor, dots: false, what: "distance" }))
    }
}

/// `geo:area`: square millimetres.
pub struct Area(Measure);

impl Area {
    pub(super) fn new(decl: Decl<'_>) -> Result<Area> {
        let int = Int::new(decl)?;
        Ok(Area(Measure { int, offset: BigInt::default(), factor: area_factor, dots: true, what: "area" }))
    }
}

macro_rules! measure_impl {
    ($kind:ident) => {
        impl TypeImpl for $kind {
            fn norm(&self, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Norm> {
                self.0.parse(ty, valu).map(Norm::new)
            }

            fn norm_number(&self, ty: &Type, _cx: &NormCx, number: &Decimal) -> Result<Norm> {
                number_int(ty, number).map(Norm::new)
            }

            fn repr(&self, ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
                stored_int(ty, norm).map(|valu| Value::from(self.print(&valu)))
            }

            fn merge(&self, old: &Value, new: &Value) -> Value {
                self.0.int.keep().merge(old, new)
            }

            fn cmpr_names(&self) -> &'static [&'static str] {
                super::cmpr::ORDERED
            }

            fn lift_names(&self) -> &'static [&'static str] {
                super::cmpr::ORDERED
            }

            fn stortype(&self) -> StorType {
                self.0.int.stortype()
            }
        }
    };
}

measure_impl!(Dist);
measure_impl!(Area);

impl Dist {
    fn print(&self, norm: &BigInt) -> String {
        let valu = norm - &self.0.offset;
        let sign = if valu.is_negative() { "-" } else { "" };
        let size = valu.abs().to_f64().unwrap_or(f64::INFINITY);
        match STEPS.iter().find(|(step, _)| size >= *step) {
            Some((step, unit)) => format!("{sign}{} {unit}", py::float_repr(size / step)),
            None => format!("{sign}{} mm", valu.abs()),
        }
    }
}

impl Area {
    fn print(&self, norm: &BigInt) -> String {
        let size = norm.to_f64().unwrap_or(f64::INFINITY);
        match STEPS.iter().find(|(step, _)| size >= *step) {
            Some((step, unit)) => format!("{} sq.{unit}", py::float_repr(size / step)),
            None => format!("{norm} sq.mm"),
        }
    }
}

/// `geo:latlong`: a point.
pub struct LatLong;

impl LatLong {
    pub(super) fn new(_decl: Decl<'_>) -> Result<LatLong> {
        Ok(LatLong)
    }

    fn norm_pair(ty: &Type, cx: &NormCx, valu: &Value, items: &[Value]) -> Result<Norm> {
        let [lat, lon] = items else {
            return Err(ty.bad_valu(valu, "A point is a latitude and a longitude."));
        };
        let part = |name: &str, item: &Value| {
            let typ = cx.resolver.req_type(name)?;
            typ.norm(cx, item).map(|norm| norm.value).map_err(|error| ty.bad_valu(valu, error.message()))
        };
        let (lat, lon) = (part("geo:latitude", lat)?, part("geo:longitude", lon)?);
        Ok(Norm::new([lat.clone(), lon.clone()]).sub("lat", lat).sub("lon", lon))
    }
}

fn point(valu: &Value) -> Option<(f64, f64)> {
    Some((valu.at(0)?.as_f64()?, valu.at(1)?.as_f64()?))
}

impl TypeImpl for LatLong {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Str(text) => {
                let items: Vec<Value> = py::strip(text).split(',').map(Value::from).collect();
                LatLong::norm_pair(ty, cx, &Value::from(items.clone()), &items)
            }
            Value::List(items) => LatLong::norm_pair(ty, cx, valu, items),
            other => Err(ty.no_norm(other.kind())),
        }
    }

    fn repr(&self, ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
        match norm.as_list() {
            Some([lat, lon]) => Ok(Value::from(format!("{},{}", py::str_text(lat), py::str_text(lon)))),
            _ => Err(ty.bad_valu(norm, "The stored value is no point.")),
        }
    }

    fn cmpr_ctor(&self, ty: &Arc<Type>, cx: &NormCx, op: &str, rhs: &Value) -> Option<Result<Cmpr>> {
        if op != "near=" {
            return None;
        }
        let items = py::iter_items(rhs).unwrap_or_default();
        let [center, dist] = &items[..] else {
            return Some(Err(ty.bad_valu(rhs, "Near takes a point and a distance.")));
        };
        let ready = || -> Result<Cmpr> {
            let center = cx.resolver.req_type("geo:latlong")?.norm(cx, center)?.value;
            let dist = cx.resolver.req_type("geo:dist")?.norm(cx, dist)?.value;
            let name = ty.name.clone();
            let bad = move || err!("BadTypeValu", mesg = "The stored value is no point.", name = &name);
            let center = point(&center).ok_or_else(&bad)?;
            let dist = py::int_to_float(&dist).unwrap_or(f64::INFINITY);
            Ok(Box::new(move |valu| Ok(haversine(point(valu).ok_or_else(&bad)?, center) <= dist)))
        };
        Some(ready())
    }

    fn cmpr_names(&self) -> &'static [&'static str] {
        &["near="]
    }

    fn lift(&self, ty: &Type, cx: &NormCx, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        if op != "near=" {
            return None;
        }
        let ready = || {
            let (center, dist) = ty.pair_items(op, valu)?;
            let center = ty.norm(cx, &center)?.value;
            let dist = cx.resolver.req_type("geo:dist")?.norm(cx, &dist)?.value;
            Ok(ty.stor("near=", [center, dist]))
        };
        Some(ready())
    }

    fn lift_names(&self) -> &'static [&'static str] {
        &["near="]
    }

    fn stortype(&self) -> StorType {
        StorType::LATLONG
    }
}
