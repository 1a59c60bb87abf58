//! Repairs of what older versions left in a cortex, each of which an operator applies once, in order.
//!
//! The version of the last one applied is in the global variable `cortex:runtime:stormfixes`.

use myelin_storm::rt::SubOpts;
use myelin_storm::{Flow, Item, Rt};
use myelin_value::Value;

use super::util::{core, data};

/// The global variable with the version of the last fix that was applied.
pub const APPLIED: &str = "cortex:runtime:stormfixes";

struct HotFix {
    version: [i64; 3],
    title: &'static str,
    notes: &'static [&'static str],
    /// The queries that it runs in each view.
    each: &'static [&'static str],
}

const FIXES: &[HotFix] = &[
    HotFix {
        version: [1, 0, 0],
        title: "Make the nodes that properties refer to and that were once not made with them.",
        notes: &[],
        each: &[
            "inet:dns:request:query:name:fqdn [ inet:fqdn=:query:name:fqdn ]",
            "inet:dns:request:query:name:ipv4 [ inet:ipv4=:query:name:ipv4 ]",
            "inet:dns:request:query:name:ipv6 [ inet:ipv6=:query:name:ipv6 ]",
            "inet:dns:query:name:fqdn [ inet:fqdn=:name:fqdn ]",
            "inet:dns:query:name:ipv4 [ inet:ipv4=:name:ipv4 ]",
            "inet:dns:query:name:ipv6 [ inet:ipv6=:name:ipv6 ]",
            "inet:asnet4:net4:min [ inet:ipv4=:net4:min inet:ipv4=:net4:max ]",
            "inet:asnet6:net6:min [ inet:ipv6=:net6:min inet:ipv6=:net6:max ]",
            "inet:whois:iprec:net4:min [ inet:ipv4=:net4:min inet:ipv4=:net4:max ]",
            "inet:whois:iprec:net6:min [ inet:ipv6=:net6:min inet:ipv6=:net6:max ]",
            "it:app:snort:hit:src:ipv4 [ inet:ipv4=:src:ipv4 ]",
            "it:app:snort:hit:src:ipv6 [ inet:ipv6=:src:ipv6 ]",
            "it:app:snort:hit:dst:ipv4 [ inet:ipv4=:dst:ipv4 ]",
            "it:app:snort:hit:dst:ipv6 [ inet:ipv6=:dst:ipv6 ]",
        ],
    },
    HotFix {
        version: [2, 0, 0],
        title: "Make a crypto:currency:coin for each coin that an address names.",
        notes: &[],
        each: &["crypto:currency:address [ crypto:currency:coin=:coin ]"],
    },
    HotFix {
        version: [3, 0, 0],
        title: "Set it:sec:cpe:v2_2 where it is missing.",
        notes: &[],
        each: &["it:sec:cpe -:v2_2 [ :v2_2=$node.value() ]"],
    },
    HotFix {
        version: [4, 0, 0],
        title: "Make a risk:vulnerable node for each risk:hasvuln node.",
        notes: &[
            "Apply it once nothing makes risk:hasvuln nodes any more.",
            "Tags, tag properties, edges and node data are copied.",
            "$lib.model.migration.s.riskHasVulnToVulnerable() does the same for one node.",
        ],
        each: &["risk:hasvuln $lib.model.migration.s.riskHasVulnToVulnerable($node)"],
    },
];

/// The version of the last fix there is.
pub fn latest() -> Value {
    FIXES.iter().map(|fix| fix.version).max().unwrap_or_default().into_iter().map(Value::from).collect()
}

fn text(version: [i64; 3]) -> String {
    format!("({}, {}, {})", version[0], version[1], version[2])
}

/// Those that were not applied yet.
fn pending(rt: &Rt) -> Flow<impl Iterator<Item = &'static HotFix>> {
    let have = core(rt)?.vars.get(APPLIED)?.unwrap_or_default();
    let part = |at: usize| have.at(at).and_then(Value::as_i64).unwrap_or(0);
    let have = [part(0), part(1), part(2)];
    Ok(FIXES.iter().filter(move |fix| fix.version > have))
}

/// Says what would be applied, and whether there is anything.
pub fn check(rt: &Rt) -> Flow<Item> {
    let mut any = false;
    for fix in pending(rt)? {
        any = true;
        rt.printf(format!("Would apply fix {} for [{}]", text(fix.version), fix.title))?;
        for line in fix.notes {
            rt.printf(format!("    {line}"))?;
        }
        if fix.notes.is_empty() {
            rt.printf("")?;
        }
    }
    Ok(Item::from(any))
}

/// Applies what was not applied yet, in every view, those that others are forks of first.
pub fn apply(rt: &Rt) -> Flow<Item> {
    for fix in pending(rt)? {
        rt.printf(format!("Applying hotfix {} for [{}]", text(fix.version), fix.title))?;
        for each in fix.each {
            let text = format!("for $view in $lib.view.list(deporder=(true)) {{ view.exec $view.iden {{ {each} }} }}");
            let query = rt.parse(&text)?;
            let mut genr = rt.sub(&query, SubOpts { funcscope: true, ..SubOpts::default() })?.execute()?;
            while genr.next()?.is_some() {
                rt.tick()?;
            }
        }
        core(rt)?.vars.set(APPLIED, fix.version.into_iter().map(Value::from).collect())?;
        rt.printf(format!("Applied hotfix {}", text(fix.version)))?;
    }
    Ok(data(core(rt)?.vars.get(APPLIED)?.unwrap_or_else(|| [0, 0, 0].into_iter().map(Value::from).collect())))
}
