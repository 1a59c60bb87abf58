//! `$lib.infosec.cvss`: vulnerability scores by the published formulas.

use myelin_error::{Result, err};
use myelin_model::types::{CvssVersion as Version, cvss_normalize as normalize, cvss_validate as validate};
use myelin_value::{Map, Value};

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item};
use crate::node::Node;
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "infosec.cvss",
    funcs: &[
        FuncDef::rw(
            "calculate",
            &[Arg::req("node"), Arg::opt("save", Dflt::Bool(true)), Arg::opt("vers", Dflt::Str("3.1"))],
            calculate,
        ),
        FuncDef::ro("vectToProps", &[Arg::req("text")], |rt, _, args| {
            rt.warn_once("$lib.infosec.cvss.vectToProps() is deprecated.")?;
            Ok(Item::deep(&Value::from(vect_to_props(&args.str(rt, 0)?)?)))
        }),
        FuncDef::ro("vectToScore", &[Arg::req("vect"), Arg::opt("vers", Dflt::Null)], vect_to_score),
        FuncDef::rw("saveVectToNode", &[Arg::req("node"), Arg::req("text")], |rt, _, args| {
            rt.warn_once("$lib.infosec.cvss.saveVectToNode() is deprecated.")?;
            let props = vect_to_props(&args.str(rt, 1)?)?;
            let node = req_node(&args)?;
            for (name, valu) in props.text_entries() {
                crate::edit::set_prop(rt, node, name, valu)?;
            }
            Ok(Item::NULL)
        }),
        FuncDef::ro("calculateFromProps", &[Arg::req("props"), Arg::opt("vers", Dflt::Str("3.1"))], |rt, _, args| {
            let Value::Map(props) = args.prim(rt, 0)? else {
                crate::fail!("BadArg", mesg = "The properties must be a dictionary.");
            };
            Ok(Item::deep(&Value::from(from_props(&props, &args.str(rt, 1)?)?)))
        }),
    ],
    consts: &[],
};

fn req_node(args: &Args) -> Flow<&Node> {
    match args.item(0).as_node() {
        Some(node) => Ok(node),
        None => crate::fail!("BadArg", mesg = "The argument must be a node.", name = "node"),
    }
}

const METRICS: [&str; 22] = [
    "AV", "AC", "PR", "UI", "S", "C", "I", "A", "E", "RL", "RC", "CR", "IR", "AR", "MS", "MC", "MI", "MA", "MAV",
    "MAC", "MPR", "MUI",
];

fn vect_to_props(text: &str) -> Result<Map> {
    let mut props = Map::new();
    for (indx, part) in text.split('/').enumerate() {
        let pair = part.split_once(':').filter(|(_, valu)| !valu.contains(':'));
        let Some((name, valu)) = pair else {
            return Err(err!("BadArg", mesg = format!("Invalid CVSS Vector: {text}")));
        };
        if indx == 0 && name == "CVSS" {
            if valu == "3.1" {
                continue;
            }
            return Err(err!("BadArg", mesg = "Currently only version 3.1 is supported.", vers = valu));
        }
        if !METRICS.contains(&name) {
            return Err(err!("BadArg", mesg = format!("Invalid Vector Element: {name}")));
        }
        props.insert(format!("cvss:{}", name.to_lowercase()), valu);
    }
    Ok(props)
}

/// The weight of a value of a metric of version 3. `scope` decides over privileges.
fn weight3(metric: &str, valu: &str, scope: &str) -> Option<f64> {
    Some(match (metric, valu) {
        ("PR", "N") | ("AV", "N") | ("UI", "N") => 0.85,
        ("PR", "L") => {
            if scope == "C" {
                0.68
            } else {
                0.62
            }
        }
        ("PR", "H") => {
            if scope == "C" {
                0.5
            } else {
                0.27
            }
        }
        ("AV", "A") | ("UI", "R") => 0.62,
        ("AV", "L") => 0.55,
        ("AV", "P") => 0.2,
        ("AC", "H") => 0.44,
        ("AC", "L") => 0.77,
        ("C" | "I" | "A", "N") => 0.0,
        ("C" | "I" | "A", "L") => 0.22,
        ("C" | "I" | "A", "H") => 0.56,
        ("E", "U") => 0.91,
        ("E", "P") => 0.94,
        ("E", "F") => 0.97,
        ("RL", "O") => 0.95,
        ("RL", "T") => 0.96,
        ("RL", "W") => 0.97,
        ("RC", "U") => 0.92,
        ("RC", "R") => 0.96,
        ("CR" | "IR" | "AR", "L") => 0.5,
        ("CR" | "IR" | "AR", "H") => 1.5,
        ("E" | "RL", "X" | "H" | "U") | ("RC", "X" | "C") | ("CR" | "IR" | "AR", "X" | "M") => 1.0,
        _ => return None,
    })
}

fn weight2(metric: &str, valu: &str) -> f64 {
    match (metric, valu) {
        ("AV", "L") => 0.395,
        ("AV", "A") => 0.646,
        ("AC", "H") => 0.35,
        ("AC", "M") => 0.61,
        ("AC", "L") => 0.71,
        ("Au", "M") => 0.45,
        ("Au", "S") => 0.56,
        ("Au", "N") => 0.704,
        ("C" | "I" | "A", "N") => 0.0,
        ("C" | "I" | "A", "P") => 0.275,
        ("C" | "I" | "A", "C") => 0.66,
        ("E", "U") => 0.85,
        ("E", "POC") => 0.9,
        ("E" | "RL" | "RC", "F" | "W" | "UR") => 0.95,
        ("RL", "OF") => 0.87,
        ("RL", "TF") | ("RC", "UC") => 0.9,
        ("CDP", "N" | "ND") | ("TD", "N") => 0.0,
        ("CDP", "L") => 0.1,
        ("CDP", "LM") => 0.3,
        ("CDP", "MH") => 0.4,
        ("CDP", "H") | ("CR" | "IR" | "AR", "L") => 0.5,
        ("TD", "L") => 0.25,
        ("TD", "M") => 0.75,
        ("CR" | "IR" | "AR", "H") => 1.51,
        _ => 1.0,
    }
}

/// Up to one place, as version 3.0 says it.
fn round_up(valu: f64) -> f64 {
    (valu * 10.0).ceil() / 10.0
}

/// Up to one place, as version 3.1 says it: what is beyond the fifth place does not count.
fn round_up_31(valu: f64) -> f64 {
    let scaled = (valu * 100_000.0).trunc();
    if scaled % 10_000.0 == 0.0 { scaled / 100_000.0 } else { ((scaled / 10_000.0).floor() + 1.0) / 10.0 }
}

/// To one place, halves away from zero, going by the digits that print.
fn round_half_up(valu: f64) -> f64 {
    let text = format!("{valu}");
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text.as_str()), |rest| (-1.0, rest));
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let tenths: f64 = format!("{whole}{}", &places[..1]).parse().unwrap_or(0.0);
    let up = places.as_bytes().get(1).is_some_and(|digit| *digit >= b'5');
    sign * (tenths + if up { 1.0 } else { 0.0 }) / 10.0
}

/// Python's `round(x, 1)`.
fn round_one(valu: f64) -> f64 {
    format!("{valu:.1}").parse().unwrap_or(valu)
}

struct Scores {
    base: f64,
    temporal: Option<f64>,
    environmental: Option<f64>,
}

impl Scores {
    fn overall(&self) -> f64 {
        let counts = |score: Option<f64>| score.filter(|score| *score != 0.0);
        counts(self.environmental).or(counts(self.temporal)).unwrap_or(self.base)
    }
}

type Vector<'a> = Vec<(&'static str, &'a str)>;

fn metric<'a>(vector: &Vector<'a>, name: &str, undefined: &'a str) -> &'a str {
    vector.iter().find(|(have, _)| *have == name).map_or(undefined, |(_, valu)| valu)
}

fn score2(vector: &Vector<'_>) -> Scores {
    let get = |name: &str| metric(vector, name, "ND");
    let weight = |name: &str| weight2(name, get(name));
    let defined = |names: &[&str]| names.iter().any(|name| get(name) != "ND");
    let of_impact = |impact: f64| {
        let exploit = 20.0 * weight("AV") * weight("AC") * weight("Au");
        (0.6 * impact + 0.4 * exploit - 1.5) * if impact == 0.0 { 0.0 } else { 1.176 }
    };
    let impact = 10.41 * (1.0 - (1.0 - weight("C")) * (1.0 - weight("I")) * (1.0 - weight("A")));
    let base = round_half_up(of_impact(impact));
    let (exploit, remedy, report) = (weight("E"), weight("RL"), weight("RC"));
    let temporal = defined(&["E", "RL", "RC"]).then(|| round_half_up(base * exploit * remedy * report));
    let environmental = defined(&["CDP", "TD", "CR", "IR", "AR"]).then(|| {
        let (conf, integ, avail) = (weight("C") * weight("CR"), weight("I") * weight("IR"), weight("A") * weight("AR"));
        let adjusted = f64::min(10.0, 10.41 * (1.0 - (1.0 - conf) * (1.0 - integ) * (1.0 - avail)));
        let adjusted = of_impact(adjusted) * exploit * remedy * report;
        round_half_up((adjusted + (10.0 - adjusted) * weight("CDP")) * weight("TD"))
    });
    Scores { base, temporal, environmental }
}

fn score3(vector: &Vector<'_>, round: fn(f64) -> f64) -> Scores {
    let get = |name: &str| metric(vector, name, "X");
    let scope = get("S");
    let weight = |name: &str| weight3(name, get(name), scope).unwrap_or(1.0);
    let base = {
        let iss = 1.0 - (1.0 - weight("C")) * (1.0 - weight("I")) * (1.0 - weight("A"));
        let impact = impact3(scope, iss, iss - 0.02, 15);
        let exploit = 8.22 * weight("AV") * weight("AC") * weight("PR") * weight("UI");
        total3(scope, impact, exploit, round)
    };
    let defined = |names: &[&str]| names.iter().any(|name| get(name) != "X");
    let temporal = defined(&["E", "RL", "RC"]).then(|| round(base * weight("E") * weight("RL") * weight("RC")));
    let modified = ["MAV", "MAC", "MPR", "MUI", "MS", "MC", "MI", "MA", "CR", "IR", "AR"];
    let environmental = defined(&modified).then(|| {
        let own = if get("MS") == "X" { scope } else { get("MS") };
        // A modified metric that is not defined is the one it modifies, with the scope that one had.
        let weight_m = |name: &str| match get(&format!("M{name}")) {
            "X" => weight(name),
            valu => weight3(name, valu, own).unwrap_or(1.0),
        };
        let (conf, integ, avail) =
            (weight("CR") * weight_m("C"), weight("IR") * weight_m("I"), weight("AR") * weight_m("A"));
        let miss = f64::min(1.0 - (1.0 - conf) * (1.0 - integ) * (1.0 - avail), 0.915);
        let impact = impact3(own, miss, miss * 0.9731 - 0.02, 13);
        let exploit = 8.22 * weight_m("AV") * weight_m("AC") * weight_m("PR") * weight_m("UI");
        if impact <= 0.0 {
            0.0
        } else {
            round(total3(own, impact, exploit, round) * weight("E") * weight("RL") * weight("RC"))
        }
    });
    Scores { base, temporal, environmental }
}

fn impact3(scope: &str, iss: f64, rest: f64, power: i32) -> f64 {
    if scope == "U" { 6.42 * iss } else { 7.52 * (iss - 0.029) - 3.25 * rest.powi(power) }
}

fn total3(scope: &str, impact: f64, exploit: f64, round: fn(f64) -> f64) -> f64 {
    let sum = impact + exploit;
    match scope {
        _ if impact <= 0.0 => 0.0,
        "U" => round(sum.min(10.0)),
        _ => round((1.08 * sum).min(10.0)),
    }
}

fn vect_to_score(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (vect, vers) = (args.str(rt, 0)?, args.opt_str(rt, 1)?);
    let vers = match vers.as_deref() {
        Some(vers @ ("2" | "3.0" | "3.1")) => vers,
        Some(vers) => crate::fail!("BadArg", mesg = format!("Valid values for vers are 2, 3.0 and 3.1, got {vers}")),
        None if vect.contains("Au:") || vect.starts_with("CVSS#2") => "2",
        None if vect.starts_with("CVSS:3.0/") => "3.0",
        None => "3.1",
    };
    let kind = if vers == "2" { Version::V2 } else { Version::V3 };
    let vector = validate(&vect, kind)?;
    let scores = match vers {
        "2" => score2(&vector),
        "3.0" => score3(&vector, round_up),
        _ => score3(&vector, round_up_31),
    };
    let opt = |score: Option<f64>| score.map_or(Value::Null, Value::Float);
    let retn = Map::new()
        .with("version", vers)
        .with("score", scores.overall())
        .with("base", scores.base)
        .with("temporal", opt(scores.temporal))
        .with("environmental", opt(scores.environmental))
        .with("normalized", normalize(&vect, kind)?);
    Ok(Item::deep(&Value::from(retn)))
}

fn calculate(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let save = args.bool(rt, 1)?;
    let node = req_node(&args)?;
    if &**node.form_name() != "risk:vuln" {
        crate::fail!("BadArg", mesg = "$lib.infosec.cvss.calculate() requires a risk:vuln node.");
    }
    let props: Map = node.props().into_iter().map(|(name, valu)| (Value::from(name), valu)).collect();
    let retn = from_props(&props, &args.str(rt, 2)?)?;
    if save {
        let part = |name: &str| retn.get("scores").and_then(|scores| scores.get(name)).cloned();
        for (prop, valu) in [
            ("cvss:score", retn.get("score").cloned()),
            ("cvss:score:base", part("base")),
            ("cvss:score:temporal", part("temporal")),
            ("cvss:score:environmental", part("environmental")),
        ] {
            if let Some(valu) = valu.filter(|valu| !valu.is_null()) {
                crate::edit::set_prop(rt, node, prop, &valu)?;
            }
        }
    }
    Ok(Item::deep(&Value::from(retn)))
}

/// Scores from the properties of a vulnerability, by version 3.1 but rounded as 3.0 does.
fn from_props(props: &Map, vers: &str) -> Result<Map> {
    if vers != "3.1" {
        return Err(err!("BadArg", mesg = "Currently only vers=3.1 is supported."));
    }
    let get = |name: &str| props.get_str(&format!("cvss:{name}")).filter(|valu| !valu.is_empty());
    let all = |names: &[&str]| names.iter().all(|name| get(name).is_some());
    let bad = |name: &str| err!("BadArg", mesg = format!("The value of cvss:{name} is not known."), name = name);
    let scope = get("s").unwrap_or_default();
    let weight = |name: &str| weight3(&name.to_uppercase(), get(name).unwrap_or("X"), scope).ok_or_else(|| bad(name));
    let float = |score: Option<f64>| score.map_or(Value::Null, Value::Float);
    let (mut score, mut base, mut temporal, mut environmental) = (None, None, None, None);
    let (mut impact, mut modimpact, mut exploit) = (0.0, 0.0, 0.0);
    if all(&["av", "ac", "pr", "ui", "s", "c", "i", "a"]) {
        let isc = 1.0 - (1.0 - weight("c")?) * (1.0 - weight("i")?) * (1.0 - weight("a")?);
        impact = impact3(scope, isc, isc - 0.02, 15);
        exploit = 8.22 * weight("av")? * weight("ac")? * weight("pr")? * weight("ui")?;
        let sum = if scope == "U" { impact + exploit } else { 1.08 * (impact + exploit) };
        let found = if impact <= 0.0 { 0.0 } else { round_up(sum).min(10.0) };
        (base, score) = (Some(found), Some(found));
        if found > 0.0 {
            let mut factor = 1.0;
            if all(&["e", "rl", "rc"]) {
                factor = weight("e")? * weight("rl")? * weight("rc")?;
                temporal = Some(round_up(found * factor));
                score = temporal;
            }
            if all(&["mav", "mac", "mpr", "mui", "ms", "mc", "mi", "ma", "cr", "ir", "ar"]) {
                let own = get("ms").filter(|valu| *valu != "X").unwrap_or(scope);
                let modified = |name: &str| {
                    let valu = get(&format!("m{name}")).filter(|valu| *valu != "X").or_else(|| get(name));
                    weight3(&name.to_uppercase(), valu.unwrap_or("X"), own).ok_or_else(|| bad(name))
                };
                let parts = [("c", "cr"), ("i", "ir"), ("a", "ar")];
                let mut rest = 1.0;
                for (name, req) in parts {
                    rest *= 1.0 - modified(name)? * weight(req)?;
                }
                let isc = f64::min(1.0 - rest, 0.915);
                modimpact = impact3(own, isc, isc * 0.9731 - 0.02, 13);
                let exploit = 8.22 * modified("av")? * modified("ac")? * modified("pr")? * modified("ui")?;
                environmental = Some(if modimpact <= 0.0 {
                    0.0
                } else {
                    round_up(total3(own, modimpact, exploit, round_up) * factor)
                });
                score = environmental;
            }
        }
    }
    let mut scores = Map::new()
        .with("base", float(base))
        .with("temporal", float(temporal))
        .with("environmental", float(environmental));
    for (name, valu) in [("impact", impact), ("modifiedimpact", modimpact), ("exploitability", exploit)] {
        if valu != 0.0 {
            scores.insert(name, round_one(valu));
        }
    }
    Ok(Map::new().with("ok", true).with("version", "3.1").with("score", float(score)).with("scores", scores))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_the_guide() {
        let vector = validate("AV:N/AC:L/Au:N/C:N/I:N/A:C", Version::V2).expect("valid");
        assert!((score2(&vector).base - 7.8).abs() < 1e-9);
        let vector = validate("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Version::V3).expect("valid");
        assert!((score3(&vector, round_up_31).base - 9.8).abs() < 1e-9);
        let vector = validate("CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", Version::V3).expect("valid");
        assert!((score3(&vector, round_up).base - 6.4).abs() < 1e-9);
    }
}
