//! `$lib.version`: the version of the platform that this service stands in for.

use myelin_error::err;
use myelin_value::Value;

use crate::ctl::Flow;
use crate::item::{Arg, Args, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The version of the platform.
pub const VERSION: [i64; 3] = [2, 256, 0];
/// The commit that version was made from.
pub const COMMIT: &str = "7829c2fde0abb29b94a72944402ebe115049c5a4";

/// The library.
pub static LIB: LibDef = LibDef {
    path: "version",
    funcs: &[
        FuncDef::ro("synapse", &[], |_, _, _| Ok(Item::Val(Value::list(VERSION.map(Value::from))))),
        FuncDef::ro("commit", &[], |_, _, _| Ok(Item::from(COMMIT))),
        FuncDef::ro("matches", &[Arg::req("vertup"), Arg::req("reqstr")], matches),
    ],
    consts: &[],
};

fn matches(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let reqstr = args.str(rt, 1)?;
    let mut parts = Vec::new();
    for part in Item::Val(args.prim(rt, 0)?).tovec(rt)? {
        parts.push(part.tostr(rt)?.to_lowercase());
    }
    if parts.is_empty() {
        crate::fail!(
            "BadTypeValu",
            mesg = "Not enough version parts to form a version string with.",
            name = "fmtVersion"
        );
    }
    Ok(Item::from(in_spec(&parts.join("."), &reqstr)?))
}

/// The part of a Python version that is compared: release numbers, then a pre-release.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    release: Vec<u64>,
    pre: Stage,
}

/// Order within a release: development, pre-releases, the release, what comes after.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Dev(u64),
    Pre(u8, u64),
    Done,
    Post(u64),
}

fn parse(text: &str) -> Option<Version> {
    let text = text.trim().to_lowercase();
    let text = text.strip_prefix('v').unwrap_or(&text);
    let text = text.split('+').next().unwrap_or_default();
    let end = text.find(|ch: char| !ch.is_ascii_digit() && ch != '.').unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let numbers = if rest.is_empty() { numbers } else { numbers.trim_end_matches('.') };
    let mut release = numbers.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    while release.len() > 1 && release.last() == Some(&0) {
        release.pop();
    }
    let rest = rest.trim_start_matches(['.', '-', '_']);
    let split = rest.find(|ch: char| ch.is_ascii_digit()).unwrap_or(rest.len());
    let (word, number) = rest.split_at(split);
    let number = if number.is_empty() { 0 } else { number.parse().ok()? };
    let pre = match word.trim_end_matches(['.', '-', '_']) {
        "" if rest.is_empty() => Stage::Done,
        "" | "post" | "rev" | "r" => Stage::Post(number),
        "dev" => Stage::Dev(number),
        "a" | "alpha" => Stage::Pre(0, number),
        "b" | "beta" => Stage::Pre(1, number),
        "rc" | "c" | "pre" | "preview" => Stage::Pre(2, number),
        _ => return None,
    };
    Some(Version { release, pre })
}

/// Whether a version is within what a specifier set (`>=1.0,<2.0`) allows.
///
/// # Errors
/// `BadArg` for a specifier or a version that cannot be read.
pub fn in_spec(version: &str, spec: &str) -> Flow<bool> {
    let bad = |what: &str| err!("BadArg", mesg = format!("Invalid version or specifier: {what}"));
    let vers = parse(version).ok_or_else(|| bad(version))?;
    let parts: Vec<&str> = spec.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let early = matches!(vers.pre, Stage::Dev(_) | Stage::Pre(..));
    let mut early_asked = false;
    for part in &parts {
        let sign = ["===", "==", "!=", "~=", "<=", ">=", "<", ">"].into_iter().find(|sign| part.starts_with(sign));
        let Some(sign) = sign else { return Err(bad(part).into()) };
        let text = part[sign.len()..].trim();
        if let (Some(stem), "==" | "!=") = (text.strip_suffix(".*"), sign) {
            let stem: Option<Vec<u64>> = stem.split('.').map(|part| part.parse().ok()).collect();
            let stem = stem.ok_or_else(|| bad(part))?;
            let have = |indx: usize| vers.release.get(indx).copied().unwrap_or(0);
            let same = stem.iter().enumerate().all(|(indx, number)| have(indx) == *number);
            if same != (sign == "==") {
                return Ok(false);
            }
            continue;
        }
        let want = parse(text).ok_or_else(|| bad(part))?;
        early_asked |= matches!(want.pre, Stage::Dev(_) | Stage::Pre(..));
        let fits = match sign {
            "==" | "===" => vers == want,
            "!=" => vers != want,
            "<=" => vers <= want,
            ">=" => vers >= want,
            "<" => vers < want && !(early && vers.release == want.release && want.pre == Stage::Done),
            ">" => vers > want && !(matches!(vers.pre, Stage::Post(_)) && vers.release == want.release),
            _ => {
                let stem: Vec<u64> = text.split('.').filter_map(|part| part.parse().ok()).collect();
                if stem.len() < 2 {
                    return Err(bad(part).into());
                }
                let have = |indx: usize| vers.release.get(indx).copied().unwrap_or(0);
                vers >= want && stem[..stem.len() - 1].iter().enumerate().all(|(indx, number)| have(indx) == *number)
            }
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(!early || early_asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers() {
        for (version, spec, want) in [
            ("2.0.0", ">=2.0,<3.0", true),
            ("3.0.0", ">=2.0,<3.0", false),
            ("2.1.5", "==2.1.*", true),
            ("2.2.0", "~=2.1", true),
            ("3.0", "~=2.1", false),
            ("1.0", "==1.0.0", true),
            ("1.0.rc1", ">=0.9", false),
            ("1.0", "!=1.0", false),
            ("1.0", "", true),
        ] {
            assert_eq!(in_spec(version, spec).ok(), Some(want), "{version} {spec}");
        }
        assert!(in_spec("1.0", "newp").is_err());
    }
}
