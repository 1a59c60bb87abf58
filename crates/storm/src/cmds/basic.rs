//! The plainest commands, which show how one is made: `limit`, `count`, `uniq`, `spin`.

use std::collections::HashSet;
use std::sync::Arc;

use super::{ArgDef, CmdCx, CmdDef};
use crate::ctl::Flow;
use crate::ops::{NodeGenr, empty, from_fn};
use crate::registry::Registry;

/// Puts the commands of this file into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_cmd(&LIMIT);
    registry.add_cmd(&COUNT);
    registry.add_cmd(&UNIQ);
    registry.add_cmd(&SPIN);
}

static LIMIT: CmdDef = CmdDef {
    name: "limit",
    descr: "Stop after a number of nodes.",
    args: &[ArgDef::pos(&["count"], "How many nodes to let pass.").typed("int")],
    readonly: true,
    run: limit,
};

fn limit(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    let mut count = 0;
    let mut done = false;
    Ok(from_fn(move || {
        if done {
            return Ok(None);
        }
        let Some(item) = input.next()? else { return Ok(None) };
        count += 1;
        done = count >= cx.opts().int(cx.rt(), "count")?;
        Ok(Some(item))
    }))
}

static COUNT: CmdDef = CmdDef {
    name: "count",
    descr: "Print how many nodes came, and pass them on only when asked.",
    args: &[ArgDef::flag(&["--yield"], "Pass the nodes on.")],
    readonly: true,
    run: count,
};

fn count(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    let mut count = 0u64;
    let mut done = false;
    Ok(from_fn(move || {
        if done {
            return Ok(None);
        }
        if cx.opts().flag("yield") {
            if let Some(item) = input.next()? {
                count += 1;
                return Ok(Some(item));
            }
        } else {
            crate::ops::count(cx.rt(), &mut *input, &mut count)?;
        }
        done = true;
        cx.rt().printf(format!("Counted {count} nodes."))?;
        Ok(None)
    }))
}

static UNIQ: CmdDef = CmdDef {
    name: "uniq",
    descr: "Let each node pass once, or each value once.",
    args: &[ArgDef::opt(&["value"], "A value to be unique by, instead of the node.").nargs(super::Nargs::Maybe)],
    readonly: true,
    run: uniq,
};

fn uniq(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    let mut nodes = HashSet::new();
    let mut vals = HashSet::new();
    let by_valu = !cx.argv().is_empty();
    Ok(from_fn(move || {
        while let Some((node, path)) = input.next()? {
            let fresh =
                if by_valu { vals.insert(cx.opts().get("value").toprim(cx.rt())?) } else { nodes.insert(node.buid()) };
            if fresh {
                return Ok(Some((node, path)));
            }
        }
        Ok(None)
    }))
}

static SPIN: CmdDef =
    CmdDef { name: "spin", descr: "Take all nodes out of the pipe.", args: &[], readonly: true, run: spin };

fn spin(_cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    Ok(crate::ops::chain(
        from_fn(move || {
            while input.next()?.is_some() {}
            Ok(None)
        }),
        || Ok(empty()),
    ))
}
