//! Pipes on threads of their own: `parallel`, and `tee --parallel`.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;

use super::{ArgDef, CmdCx, CmdDef};
use crate::ctl::Flow;
use crate::item::Dflt;
use crate::node::NodePath;
use crate::ops::{NodeGenr, chain, from_fn, ready};
use crate::registry::Registry;
use crate::rt::{Rt, SubOpts};
use crate::walk::validate;

/// The stack of each thread; only what is used of it takes memory.
const STACK_BYTES: usize = 64 << 20;
/// How many threads one command starts at most. Further pipes wait for one that is done.
const MAX_THREADS: usize = 32;
/// How many nodes wait to be taken at most.
const QUEUE_SIZE: usize = 64;

/// Puts the commands of this file into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_cmd(&PARALLEL);
}

type Result = Flow<NodePath>;

/// Runs pipes at the same time; their nodes come in any order. The first error ends all.
pub fn all(rt: &Rt, genrs: Vec<NodeGenr>) -> Flow<NodeGenr> {
    let count = genrs.len().clamp(1, MAX_THREADS);
    let todo = Arc::new(Mutex::new(genrs.into_iter()));
    let (sender, receiver) = sync_channel(QUEUE_SIZE);
    for _ in 0..count {
        let (rt, todo, sender) = (rt.clone(), todo.clone(), sender.clone());
        let work = move || {
            while let Some(genr) = { todo.lock().next() } {
                if !drain(&rt, genr, &sender) {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("storm-part".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(work).map_err(myelin_error::Error::from)?;
    }
    Ok(received(receiver))
}

/// Hands on the nodes of a pipe. False when nobody wants more.
fn drain(rt: &Rt, mut genr: NodeGenr, sender: &SyncSender<Result>) -> bool {
    loop {
        let item = match rt.tick() {
            Ok(()) => genr.next(),
            Err(error) => Err(error),
        };
        let (item, more) = match item {
            Ok(None) => return true,
            Ok(Some(item)) => (Ok(item), true),
            Err(error) => (Err(error), false),
        };
        if sender.send(item).is_err() || !more {
            return false;
        }
    }
}

fn received(receiver: Receiver<Result>) -> NodeGenr {
    let receiver = Mutex::new(receiver);
    from_fn(move || receiver.lock().recv().ok().transpose())
}

static PARALLEL: CmdDef = CmdDef {
    name: "parallel",
    descr: "Run a query on several nodes at the same time.\n\n\
        The variables of one run do not show in another. Without nodes the query runs --size times.\n\n\
        Examples:\n\n    inet:ipv4#ask | parallel { $place = $lib.import(places).find(:latlong) [ :place=$place ] }",
    args: &[
        ArgDef::opt(&["--size"], "How many at the same time.").dflt(Dflt::Int(8)),
        ArgDef::pos(&["query"], "The query."),
    ],
    readonly: true,
    run: parallel,
};

fn parallel(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("parallel arguments must be runtsafe.")?;
    let rt = cx.rt().clone();
    let size = usize::try_from(cx.opts().int(&rt, "size")?).unwrap_or_default();
    let query = rt.parse(&cx.opts().str(&rt, "query")?)?;
    validate(&query, &rt.sub(&query, SubOpts::default())?)?;
    let mut first = Vec::new();
    while first.len() < size
        && let Some(item) = input.next()?
    {
        first.push(item);
    }
    let count = if first.is_empty() { size } else { first.len() };
    let shared = Arc::new(Mutex::new(chain(ready(first), move || Ok(input))));
    let mut genrs = Vec::new();
    for _ in 0..count {
        let (shared, vars) = (shared.clone(), rt.scope_vars());
        let sub = rt.beside(&query, vars)?;
        genrs.push(sub.execute_with(from_fn(move || shared.lock().next()))?);
    }
    all(&rt, genrs)
}
