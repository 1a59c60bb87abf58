//! Versions and what is required of them: `>=2.8.0,<3.0.0`.

use myelin_error::{Result, err};

/// A version of three numbers; a suffix (`rc1`) orders before none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    numbers: [u64; 3],
    released: bool,
}

impl Version {
    /// Reads `major[.minor[.patch]]`, with a `v` before and a suffix behind allowed.
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim().trim_start_matches('v');
        let mut numbers = [0; 3];
        let mut released = true;
        let mut parts = text.splitn(3, '.');
        for number in &mut numbers {
            let Some(part) = parts.next() else { break };
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            *number = part[..digits].parse().ok()?;
            released &= digits == part.len() || part[digits..].starts_with('+');
        }
        Some(Version { numbers, released })
    }
}

/// Whether a version meets every part of a comma-separated requirement.
///
/// # Errors
/// `BadVersion` when either text is not what it should be.
pub fn matches(version: &str, requirement: &str) -> Result<bool> {
    let bad = |text: &str| {
        err!("BadVersion", mesg = format!("{text} is no version or requirement: write 1.2.3 or >=1.2.0,<2.0.0."))
    };
    let have = Version::parse(version).ok_or_else(|| bad(version))?;
    for part in requirement.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let at = part.find(|c: char| !"<>=!~".contains(c)).unwrap_or(part.len());
        let (oper, text) = part.split_at(at);
        let wildcard = text.trim().strip_suffix(".*");
        let want = Version::parse(wildcard.unwrap_or(text)).ok_or_else(|| bad(requirement))?;
        let prefix = wildcard.map_or(3, |text| text.split('.').count().min(3));
        let same = have.numbers[..prefix] == want.numbers[..prefix] && (prefix < 3 || have.released == want.released);
        let good = match oper {
            "" | "==" | "===" => same,
            "!=" => !same,
            ">=" => have >= want,
            "<=" => have <= want,
            ">" => have > want,
            "<" => have < want,
            "~=" => {
                let kept = text.split('.').count().saturating_sub(1).clamp(1, 2);
                have >= want && have.numbers[..kept] == want.numbers[..kept]
            }
            _ => return Err(bad(requirement)),
        };
        if !good {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn requirements_are_conjunctions() {
        for (version, requirement, want) in [
            ("2.256.0", ">=2.8.0,<3.0.0", true),
            ("3.0.0", ">=2.8.0,<3.0.0", false),
            ("1.2.3", "==1.2.3", true),
            ("1.2.3", "==1.2.*", true),
            ("1.2.3", "!=1.2.3", false),
            ("1.4.0", "~=1.2", true),
            ("2.0.0", "~=1.2", false),
            ("1.0.0rc1", "<1.0.0", true),
        ] {
            assert_eq!(matches(version, requirement).expect("sound"), want, "{version} {requirement}");
        }
        assert!(matches("1.0.0", "newp").is_err());
    }
}
