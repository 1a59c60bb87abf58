//! Vulnerability scores: `cvss:v2` and `cvss:v3` vectors.

use myelin_error::{Result, err};

use super::ctors::Decl;
use super::textual::{TextOpts, TextRules, Textual};
use super::{Norm, NormCx, Type};

/// `cvss:v2`.
pub type CvssV2 = Textual<CvssV2Rules>;
/// `cvss:v3`.
pub type CvssV3 = Textual<CvssV3Rules>;

/// A metric: its name, whether a vector must have it, its values.
type Metric = (&'static str, bool, &'static [&'static str]);

/// Metrics of version 2 in the order in which vectors are written.
const V2: &[Metric] = &[
    ("AV", true, &["L", "A", "N"]),
    ("AC", true, &["H", "M", "L"]),
    ("Au", true, &["M", "S", "N"]),
    ("C", true, &["N", "P", "C"]),
    ("I", true, &["N", "P", "C"]),
    ("A", true, &["N", "P", "C"]),
    ("E", false, &["U", "POC", "F", "H", "ND"]),
    ("RL", false, &["OF", "TF", "W", "U", "ND"]),
    ("RC", false, &["UC", "UR", "C", "ND"]),
    ("CDP", false, &["N", "L", "LM", "MH", "H", "ND"]),
    ("TD", false, &["N", "L", "M", "H", "ND"]),
    ("CR", false, &["L", "M", "H", "ND"]),
    ("IR", false, &["L", "M", "H", "ND"]),
    ("AR", false, &["L", "M", "H", "ND"]),
];

/// Metrics of version 3 in the order in which vectors are written.
const V3: &[Metric] = &[
    ("AV", true, &["N", "A", "L", "P"]),
    ("AC", true, &["L", "H"]),
    ("PR", true, &["N", "L", "H"]),
    ("UI", true, &["N", "R"]),
    ("S", true, &["U", "C"]),
    ("C", true, &["H", "L", "N"]),
    ("I", true, &["H", "L", "N"]),
    ("A", true, &["H", "L", "N"]),
    ("E", false, &["X", "H", "F", "P", "U"]),
    ("RL", false, &["X", "U", "W", "T", "O"]),
    ("RC", false, &["X", "C", "R", "U"]),
    ("CR", false, &["X", "H", "M", "L"]),
    ("IR", false, &["X", "H", "M", "L"]),
    ("AR", false, &["X", "H", "M", "L"]),
    ("MAV", false, &["X", "N", "A", "L", "P"]),
    ("MAC", false, &["X", "L", "H"]),
    ("MPR", false, &["X", "N", "L", "H"]),
    ("MUI", false, &["X", "N", "R"]),
    ("MS", false, &["X", "U", "C"]),
    ("MC", false, &["X", "N", "L", "H"]),
    ("MI", false, &["X", "N", "L", "H"]),
    ("MA", false, &["X", "N", "L", "H"]),
];

/// Metric and value of every part of a vector, checked, in the order of the metrics.
///
/// # Errors
/// What is wrong with the vector.
fn validate<'a>(
    text: &'a str,
    tags: &[&str],
    metrics: &[Metric],
) -> std::result::Result<Vec<(&'static str, &'a str)>, String> {
    let mut body = text.trim_matches('(').trim_matches(')');
    for tag in tags {
        body = body.strip_prefix(tag).unwrap_or(body);
    }
    let mut found: Vec<(&str, &str)> = Vec::new();
    for part in body.split('/') {
        let pair = part.split_once(':').filter(|(_, valu)| !valu.contains(':'));
        let (name, valu) = pair.ok_or_else(|| format!("The vector {text} is malformed at {part:?}."))?;
        if found.iter().any(|(have, _)| *have == name) {
            return Err(format!("The vector {text} has the metric {name} twice."));
        }
        found.push((name, valu));
    }
    if let Some((name, _)) = found.iter().find(|(name, _)| !metrics.iter().any(|(have, ..)| have == name)) {
        return Err(format!("The vector {text} has the unknown metric {name}."));
    }
    let mut made = Vec::with_capacity(found.len());
    for (name, needed, values) in metrics {
        match found.iter().find(|(have, _)| have == name) {
            Some((_, valu)) if values.contains(valu) => made.push((*name, *valu)),
            Some((_, valu)) => return Err(format!("The vector {text} has an unknown value: {name}:{valu}.")),
            None if *needed => return Err(format!("The vector {text} lacks the metric {name}.")),
            None => {}
        }
    }
    Ok(made)
}

/// A vector without what is "not defined".
fn norm_vector(ty: &Type, text: &str, tags: &[&str], metrics: &[Metric], undefined: &str) -> Result<Norm> {
    let made =
        validate(text, tags, metrics).map_err(|mesg| err!("BadTypeValu", mesg = mesg, name = &ty.name, valu = text))?;
    let parts: Vec<String> =
        made.iter().filter(|(_, valu)| *valu != undefined).map(|(name, valu)| format!("{name}:{valu}")).collect();
    Ok(Norm::new(parts.join("/")))
}

/// The rules of `cvss:v2`.
pub struct CvssV2Rules;

impl TextRules for CvssV2Rules {
    fn make(_decl: &mut Decl<'_>) -> Result<CvssV2Rules> {
        Ok(CvssV2Rules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        norm_vector(ty, text, &["CVSS2#"], V2, "ND")
    }
}

/// The rules of `cvss:v3`.
pub struct CvssV3Rules;

impl TextRules for CvssV3Rules {
    fn make(_decl: &mut Decl<'_>) -> Result<CvssV3Rules> {
        Ok(CvssV3Rules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        norm_vector(ty, text, &["CVSS:3.1/", "CVSS:3.0/"], V3, "X")
    }
}
