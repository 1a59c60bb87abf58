//! Names of services: `svcname.network`, and `name...` for a name in the network of this AHA.

use myelin_error::{Result, err};

/// A service's name in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SvcName {
    /// The name within the network.
    pub name: String,
    /// The network.
    pub network: String,
    /// Both, joined by a dot.
    pub full: String,
}

impl SvcName {
    /// Takes a name apart. Without a network the first dot parts it, so that `00.axon.net` is `00` in `axon.net`: callers
    /// which mean otherwise give the network.
    pub fn parse(name: &str, network: Option<&str>) -> Result<SvcName> {
        if let Some(network) = network {
            let full = format!("{name}.{network}");
            return Ok(SvcName { name: name.to_owned(), network: network.to_owned(), full });
        }
        let Some((svcname, network)) = name.split_once('.') else {
            let mesg = "Name must contain at least one \".\"";
            return Err(err!("BadArg", mesg = mesg, name = name, arg = "name"));
        };
        Ok(SvcName { name: svcname.to_owned(), network: network.to_owned(), full: name.to_owned() })
    }
}

/// Expands `name...` to `name.<network>`.
pub fn expand(name: &str, network: &str) -> String {
    match name.strip_suffix("..") {
        Some(stem) if stem.ends_with('.') => format!("{stem}{network}"),
        _ => name.to_owned(),
    }
}

/// A name relative to the network: early deployments gave AHA's own name in full.
pub fn relative<'a>(name: &'a str, network: &str) -> &'a str {
    name.strip_suffix(network).and_then(|stem| stem.strip_suffix('.')).filter(|stem| !stem.is_empty()).unwrap_or(name)
}

/// The part of a user name before the first `@`.
pub fn short_user(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}

/// The leader's name among services that share a number scheme (`00.axon`): what follows the last dot. Nothing without one.
pub fn leader_of(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, leader)| leader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_part_at_the_first_dot_or_where_the_caller_says() {
        let name = SvcName::parse("00.axon.net", None).expect("a name");
        assert_eq!((name.name.as_str(), name.network.as_str(), name.full.as_str()), ("00", "axon.net", "00.axon.net"));
        let name = SvcName::parse("00.axon", Some("net")).expect("a name");
        assert_eq!((name.name.as_str(), name.network.as_str(), name.full.as_str()), ("00.axon", "net", "00.axon.net"));
        assert!(SvcName::parse("axon", None).is_err_and(|error| error.is("BadArg")));
        // Shorthand is not expanded in registrations.
        let name = SvcName::parse("cortex...", None).expect("a name");
        assert_eq!((name.name.as_str(), name.network.as_str()), ("cortex", ".."));
    }

    #[test]
    fn three_dots_stand_for_the_network() {
        assert_eq!(expand("axon...", "loop.net"), "axon.loop.net");
        assert_eq!(expand("00.axon...", "loop"), "00.axon.loop");
        assert_eq!(expand("axon.loop", "loop"), "axon.loop");
        assert_eq!(expand("axon..", "loop"), "axon..");
    }

    #[test]
    fn parts_of_names() {
        assert_eq!(relative("aha.loop.net", "loop.net"), "aha");
        assert_eq!(relative("aha", "loop.net"), "aha");
        assert_eq!(relative("loop.net", "loop.net"), "loop.net");
        assert_eq!((leader_of("00.axon"), leader_of("axon")), (Some("axon"), None));
        assert_eq!((short_user("visi@net"), short_user("root")), ("visi", "root"));
    }
}
