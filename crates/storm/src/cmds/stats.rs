//! `stats.countby`: how often each value comes, as bars.

use std::cmp::Ordering;
use std::sync::Arc;

use indexmap::IndexMap;
use myelin_model::types::{Decimal, py};

use super::{ArgDef, CmdCx, CmdDef, Nargs, Opts};
use crate::ctl::Flow;
use crate::item::{Dflt, Item};
use crate::ops::{NodeGenr, from_fn};
use crate::registry::Registry;
use crate::rt::Rt;

/// Puts the command of this file into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_cmd(&COUNTBY);
}

static COUNTBY: CmdDef = CmdDef {
    name: "stats.countby",
    descr: "Count how often each value comes, and show it as bars.\n\n\
        Examples:\n\n    // Which networks addresses are in\n    inet:ipv4#mine | stats.countby :asn\n\n    \
        // Which names come most often\n    media:news -(refs)> geo:name | stats.countby --size 10",
    args: &[
        ArgDef::pos(&["valu"], "The value; the node itself when it is left out.").nargs(Nargs::Maybe),
        ArgDef::flag(&["--reverse"], "Show the rarest first."),
        ArgDef::opt(&["--size"], "How many bars to show.").typed("int"),
        ArgDef::opt(&["--char"], "What the bars are made of.").typed("str").dflt(Dflt::Str("#")),
        ArgDef::opt(&["--bar-width"], "How wide the longest bar is.").typed("int").dflt(Dflt::Int(50)),
        ArgDef::opt(&["--label-max-width"], "How wide the values may be.").typed("int"),
        ArgDef::flag(&["--yield"], "Yield the nodes."),
        ArgDef::flag(&["--by-name"], "Order by the values and not by how often they come."),
        ArgDef::flag(&["--percent"], "Show percentages too."),
    ],
    readonly: true,
    run: countby,
};

/// Whether a value was given, be it null.
fn has_valu(argv: &[Item]) -> bool {
    let mut argv = argv.iter();
    while let Some(arg) = argv.next() {
        match arg.as_str() {
            Some("--reverse" | "--yield" | "--by-name" | "--percent") => {}
            Some("--size" | "--char" | "--bar-width" | "--label-max-width") => drop(argv.next()),
            _ => return true,
        }
    }
    false
}

fn width(rt: &Rt, opts: &Opts, name: &str, flag: &str) -> Flow<Option<usize>> {
    let Some(width) = opts.opt_int(rt, name)? else { return Ok(None) };
    match usize::try_from(width) {
        Ok(width) => Ok(Some(width)),
        Err(_) => crate::fail!("BadArg", mesg = format!("Value for {flag} must be >= 0, got: {width}")),
    }
}

fn countby(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    let labels = width(cx.rt(), &cx.opts(), "label_max_width", "--label-max-width")?;
    let bars = width(cx.rt(), &cx.opts(), "bar_width", "--bar-width")?.unwrap_or(50);
    let by_valu = has_valu(&cx.argv());
    let mut counts: IndexMap<String, u64> = IndexMap::new();
    let mut done = false;
    Ok(from_fn(move || {
        if done {
            return Ok(None);
        }
        let rt = cx.rt();
        while let Some((node, path)) = input.next()? {
            rt.tick()?;
            let name = if by_valu {
                let item = cx.opts().get("valu");
                if item.is_mutable() {
                    crate::fail!("BadArg", mesg = "Mutable values cannot be used for counting.");
                }
                py::str_text(&item.toprim(rt)?)
            } else {
                node.repr_text(rt)?
            };
            *counts.entry(name).or_default() += 1;
            if cx.opts().flag("yield") {
                return Ok(Some((node, path)));
            }
        }
        done = true;
        show(rt, &cx.opts(), std::mem::take(&mut counts), labels, bars)?;
        Ok(None)
    }))
}

/// Numbers before other names, and by their size.
fn by_name(left: &str, right: &str) -> Ordering {
    match (Decimal::parse(left), Decimal::parse(right)) {
        (Some(one), Some(two)) => one.partial_cmp(&two).unwrap_or(Ordering::Equal),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

fn show(rt: &Rt, opts: &Opts, counts: IndexMap<String, u64>, labels: Option<usize>, bars: usize) -> Flow<()> {
    if counts.is_empty() {
        return rt.printf("No values to display!");
    }
    let total: u64 = counts.values().sum();
    let most = counts.values().copied().max().unwrap_or(1);
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    if opts.flag("by_name") {
        counts.sort_by(|left, right| by_name(&left.0, &right.0));
    } else {
        counts.sort_by_key(|(_, count)| *count);
    }
    let size = opts.opt_int(rt, "size")?.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
    let size = size.unwrap_or(counts.len()).min(counts.len());
    if opts.flag("reverse") {
        counts.truncate(size);
    } else {
        counts = counts.split_off(counts.len() - size);
        counts.reverse();
    }
    let ch = opts.str(rt, "char")?.chars().next().unwrap_or('#');
    let names = counts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let names = labels.map_or(names, |labels| labels.min(names));
    let digits = counts.iter().map(|(_, count)| count.to_string().len()).max().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
    let percent = |count: u64| format!("{:.2}%", count as f64 / total as f64 * 100.0);
    let percents = counts.iter().map(|(_, count)| percent(*count).len()).max().unwrap_or_default();
    for (name, count) in counts {
        let name: String = name.chars().take(names).collect();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "a width"
        )]
        let len = (count as f64 / most as f64 * bars as f64) as usize;
        let bar: String = std::iter::repeat_n(ch, len).collect();
        let middle = if opts.flag("percent") { format!("{:>percents$} | ", percent(count)) } else { String::new() };
        rt.printf(format!("{name:>names$} | {count:>digits$} | {middle}{bar}"))?;
    }
    Ok(())
}
