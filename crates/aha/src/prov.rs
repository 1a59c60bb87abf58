//! What a new service is told: its provisioning entry, completed from what the caller gave.

use myelin_error::{Result, err};
use myelin_value::{Map, Value};

use crate::names::leader_of;

/// Characters a certificate's name has at most.
const MAX_NAME: usize = 64;

/// What AHA adds to every entry.
pub struct ProvDefaults {
    /// The network.
    pub network: String,
    /// AHA's own `aha:admin`.
    pub admin: Option<String>,
}

/// The user a service connects to AHA as.
pub fn prov_user(provinfo: &Map) -> &str {
    let conf = provinfo.get("conf").and_then(Value::as_map);
    conf.and_then(|conf| conf.get_str("aha:user")).unwrap_or("root")
}

/// Completes an entry. `urls` is what `getAhaUrls` says for [`prov_user`].
pub fn complete(name: &str, provinfo: &Map, iden: &str, defaults: &ProvDefaults, urls: Value) -> Result<Map> {
    check_name(name, &format!("{name}.{}", defaults.network), "Hostname")?;
    let network = &defaults.network;
    let user = prov_user(provinfo).to_owned();
    let mut conf = provinfo.get("conf").and_then(Value::as_map).cloned().unwrap_or_default();
    if let Some(admin) = &defaults.admin {
        set_default(&mut conf, "aha:admin", admin);
    }
    set_default(&mut conf, "aha:user", &user);
    conf.insert("aha:network", network);
    set_default(&mut conf, "aha:name", name);
    let port = provinfo.get("dmon:port").and_then(Value::as_i64).unwrap_or(0);
    set_default(&mut conf, "dmon:listen", format!("ssl://0.0.0.0:{port}?hostname={name}.{network}&ca={network}"));
    if let Some(port) = provinfo.get("https:port") {
        set_default(&mut conf, "https:port", port.clone());
    }
    if let Some(leader) = leader_of(name) {
        set_default(&mut conf, "aha:leader", leader);
    }
    set_default(&mut conf, "aha:registry", urls);
    if let Some(mirror) = provinfo.get_str("mirror") {
        conf.insert("mirror", format!("aha://{user}@{mirror}..."));
    }
    let mut done = provinfo.clone();
    done.insert("iden", iden);
    done.insert("conf", conf);
    Ok(done)
}

/// Refuses a name that no certificate can have.
pub fn check_name(name: &str, full: &str, kind: &str) -> Result<()> {
    if name.is_empty() {
        return Err(err!("BadArg", mesg = "Empty name values are not allowed for provisioning."));
    }
    let size = full.chars().count();
    if size > MAX_NAME {
        let mesg = format!("{kind} value must not exceed {MAX_NAME} characters in length. {full} has {size}.");
        return Err(err!("BadArg", mesg = mesg, name = name));
    }
    Ok(())
}

/// What the user of a provisioned service must be allowed.
pub fn needed_perms(name: &str, network: &str) -> Vec<Vec<String>> {
    let perm = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
    let mut perms = vec![perm(&["aha", "service", "get", network]), perm(&["aha", "service", "add", network, name])];
    if let Some(leader) = leader_of(name) {
        perms.push(perm(&["aha", "service", "add", network, leader]));
    }
    perms
}

/// Adds the certificate to present to URLs which name neither it nor a user: early deployments wrote bare URLs into
/// `aha:urls`, and a peer that is told one of those could not log in.
pub fn with_certname(urls: &Value, user: &str, network: &str) -> Value {
    match urls {
        Value::Str(url) => {
            let rest = url.strip_prefix("ssl://");
            let place = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or(rest));
            let bare = place.is_some_and(|place| !place.contains('@')) && !url.contains("certname=");
            if !bare {
                return urls.clone();
            }
            let sep = if url.contains('?') { '&' } else { '?' };
            format!("{url}{sep}certname={user}@{network}").into()
        }
        Value::List(items) => items.iter().map(|url| with_certname(url, user, network)).collect(),
        other => other.clone(),
    }
}

fn set_default(conf: &mut Map, key: &str, valu: impl Into<Value>) {
    if !conf.contains(key) {
        conf.insert(key, valu);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> ProvDefaults {
        ProvDefaults { network: "loop".into(), admin: None }
    }

    #[test]
    fn entries_are_completed_as_the_reference_does() {
        let given = Map::new().with("mirror", "cortex").with("dmon:port", 4000).with("https:port", Value::Null);
        let done = complete("01.cortex", &given, "ab", &defaults(), "ssl://aha".into()).expect("an entry");
        let conf = done.get("conf").and_then(Value::as_map).expect("conf");
        let get = |key: &str| conf.get(key).cloned();
        assert_eq!(done.get_str("iden"), Some("ab"));
        assert_eq!(get("aha:user"), Some("root".into()));
        assert_eq!(get("aha:name"), Some("01.cortex".into()));
        assert_eq!(get("aha:leader"), Some("cortex".into()));
        assert_eq!(get("aha:network"), Some("loop".into()));
        assert_eq!(get("aha:registry"), Some("ssl://aha".into()));
        assert_eq!(get("https:port"), Some(Value::Null));
        assert_eq!(get("mirror"), Some("aha://root@cortex...".into()));
        assert_eq!(get("dmon:listen"), Some("ssl://0.0.0.0:4000?hostname=01.cortex.loop&ca=loop".into()));
        assert_eq!(get("aha:admin"), None);
    }

    #[test]
    fn what_the_caller_set_stays_but_the_network() {
        let conf =
            Map::new().with("aha:user", "svc").with("aha:network", "newp").with("dmon:listen", "tcp://0.0.0.0:0");
        let done = complete("axon", &Map::new().with("conf", conf), "ab", &defaults(), Value::Null).expect("an entry");
        let conf = done.get("conf").and_then(Value::as_map).expect("conf");
        assert_eq!(conf.get_str("aha:user"), Some("svc"));
        assert_eq!(conf.get_str("aha:network"), Some("loop"));
        assert_eq!(conf.get_str("dmon:listen"), Some("tcp://0.0.0.0:0"));
        assert!(!conf.contains("aha:leader") && !conf.contains("https:port") && !conf.contains("mirror"));
    }

    #[test]
    fn names_have_bounds() {
        for name in ["", &"x".repeat(60)] {
            assert!(complete(name, &Map::new(), "ab", &defaults(), Value::Null).is_err_and(|error| error.is("BadArg")));
        }
        assert_eq!(needed_perms("00.axon", "loop").len(), 3);
        assert_eq!(needed_perms("axon", "loop")[1], ["aha", "service", "add", "loop", "axon"]);
    }

    #[test]
    fn bare_urls_are_given_a_certificate() {
        let add = |url: &str| with_certname(&url.into(), "root", "net");
        assert_eq!(add("ssl://aha:27492"), "ssl://aha:27492?certname=root@net".into());
        assert_eq!(add("ssl://aha:27492/x?a=b"), "ssl://aha:27492/x?a=b&certname=root@net".into());
        for kept in ["ssl://root@aha:27492", "ssl://aha?certname=x@y", "tcp://aha:1"] {
            assert_eq!(add(kept), kept.into());
        }
        let list = Value::list(["ssl://a".into(), "tcp://b".into()]);
        assert_eq!(with_certname(&list, "u", "n"), Value::list(["ssl://a?certname=u@n".into(), "tcp://b".into()]));
    }
}
