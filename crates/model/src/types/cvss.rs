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

/// A generation of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `CVSS2#…`
    V2,
    /// `CVSS:3.0/…` and `CVSS:3.1/…`
    V3,
}

impl Version {
    fn tags(self) -> &'static [&'static str] {
        match self {
            Version::V2 => &["CVSS2#"],
            Version::V3 => &["CVSS:3.1/", "CVSS:3.0/"],
        }
    }

    fn metrics(self) -> &'static [Metric] {
        match self {
            Version::V2 => V2,
            Version::V3 => V3,
        }
    }

    fn undefined(self) -> &'static str {
        match self {
            Version::V2 => "ND",
            Version::V3 => "X",
        }
    }
}

/// Metric and value of every part of a vector, checked, in the order of the metrics.
///
/// # Errors
/// `BadDataValu` says what is wrong with the vector.
pub fn validate(text: &str, version: Version) -> Result<Vec<(&'static str, &str)>> {
    let bad = |what: String| err!("BadDataValu", mesg = format!("The vector {text} {what}."));
    let mut body = text.trim_matches('(').trim_matches(')');
    for tag in version.tags() {
        body = body.strip_prefix(tag).unwrap_or(body);
    }
    let mut found: Vec<(&str, &str)> = Vec::new();
    for part in body.split('/') {
        let pair = part.split_once(':').filter(|(_, valu)| !valu.contains(':'));
        let (name, valu) = pair.ok_or_else(|| bad(format!("is malformed at {part:?}")))?;
        if found.iter().any(|(have, _)| *have == name) {
            return Err(bad(format!("has the metric {name} twice")));
        }
        found.push((name, valu));
    }
    let metrics = version.metrics();
    if let Some((name, _)) = found.iter().find(|(name, _)| !metrics.iter().any(|(have, ..)| have == name)) {
        return Err(bad(format!("has the unknown metric {name}")));
    }
    let mut made = Vec::with_capacity(found.len());
    for (name, needed, values) in metrics {
        match found.iter().find(|(have, _)| have == name) {
            Some((_, valu)) if values.contains(valu) => made.push((*name, *valu)),
            Some((_, valu)) => return Err(bad(format!("has an unknown value: {name}:{valu}"))),
            None if *needed => return Err(bad(format!("lacks the metric {name}"))),
            None => {}
        }
    }
    Ok(made)
}

/// A vector in the order of the metrics, without what is "not defined".
///
/// # Errors
/// `BadDataValu` says what is wrong with the vector.
pub fn normalize(text: &str, version: Version) -> Result<String> {
    let parts = validate(text, version)?;
    let parts = parts.iter().filter(|(_, valu)| *valu != version.undefined());
    let parts: Vec<String> = parts.map(|(name, valu)| format!("{name}:{valu}")).collect();
    Ok(parts.join("/"))
}

fn norm_vector(ty: &Type, text: &str, version: Version) -> Result<Norm> {
    let norm = normalize(text, version);
    norm.map(Norm::new).map_err(|error| err!("BadTypeValu", mesg = error.message(), name = &ty.name, valu = text))
}

/// The rules of `cvss:v2`.
pub struct CvssV2Rules;

impl TextRules for CvssV2Rules {
    fn make(_decl: &mut Decl<'_>) -> Result<CvssV2Rules> {
        Ok(CvssV2Rules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        norm_vector(ty, text, Version::V2)
    }
}

/// The rules of `cvss:v3`.
pub struct CvssV3Rules;

impl TextRules for CvssV3Rules {
    fn make(_decl: &mut Decl<'_>) -> Result<CvssV3Rules> {
        Ok(CvssV3Rules)
    }

    fn norm_text(&self, _opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        norm_vector(ty, text, Version::V3)
    }
}
