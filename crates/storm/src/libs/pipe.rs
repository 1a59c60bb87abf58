//! `$lib.pipe`: a queue in memory that one query fills while another takes from it.
//!
//! The filler runs on a thread of its own. Both sides wait: the filler while the pipe is full, the taker while it is empty;
//! the end of the query wakes them.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use myelin_error::err;
use myelin_value::Value;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::ctl::{Ctl, Flow};
use crate::item::{Arg, Args, Dflt, FuncDef, Genr, Item, StormObj, TypeDef};
use crate::registry::LibDef;
use crate::rt::{Rt, SubOpts, var_map};

/// The most items a pipe holds, and the most that are taken at once.
const MAX_SIZE: i64 = 10_000;
/// The stack of the filler's thread; only what is used of it takes memory.
const STACK_BYTES: usize = 64 << 20;
/// How often a waiting side looks whether the query has ended.
const LOOK: Duration = Duration::from_millis(50);

/// The library.
pub static LIB: LibDef = LibDef {
    path: "pipe",
    funcs: &[FuncDef::ro("gen", &[Arg::req("filler"), Arg::opt("size", Dflt::Int(MAX_SIZE))], make)],
    consts: &[],
};

pub(super) static PIPE: TypeDef = TypeDef {
    name: "pipe",
    funcs: &[
        FuncDef::ro("put", &[Arg::req("item")], |rt, this, args| {
            pipe(this)?.puts(rt, [args.prim(rt, 0)?])?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("puts", &[Arg::req("items")], |rt, this, args| {
            let items = args.item(0).tovec(rt)?;
            let items = items.iter().map(|item| item.toprim(rt)).collect::<Flow<Vec<Value>>>()?;
            pipe(this)?.puts(rt, items)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("slice", &[Arg::opt("size", Dflt::Int(1000))], |rt, this, args| {
            let size = size_of(rt, &args, 0, "$pipe.slice()")?;
            Ok(pipe(this)?.slice(rt, size)?.map_or(Item::NULL, Item::list))
        }),
        FuncDef::ro("slices", &[Arg::opt("size", Dflt::Int(1000))], |rt, this, args| {
            let size = size_of(rt, &args, 0, "$pipe.slices()")?;
            let (rt, pipe) = (rt.clone(), pipe(this)?.0.clone());
            Ok(Item::Genr(Genr::from_fn(move || Ok(Pipe(pipe.clone()).slice(&rt, size)?.map(Item::list)))))
        }),
        FuncDef::ro("size", &[], |_, this, _| Ok(Item::from(pipe(this)?.0.state.lock().items.len()))),
    ],
    getters: &[],
    setters: &[],
};

/// A pipe.
struct Pipe(Arc<Shared>);

struct Shared {
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    items: VecDeque<Value>,
    closed: bool,
}

fn pipe(this: &Item) -> Flow<&Pipe> {
    match this.as_obj::<Pipe>() {
        Some(pipe) => Ok(pipe),
        None => Err(err!("StormRuntimeError", mesg = "A method of pipes was called on something else.").into()),
    }
}

fn size_of(rt: &Rt, args: &Args, indx: usize, what: &str) -> Flow<usize> {
    let size = args.int(rt, indx)?;
    if !(1..=MAX_SIZE).contains(&size) {
        return Err(err!("BadArg", mesg = format!("The size for {what} must be from 1 to {MAX_SIZE}.")).into());
    }
    Ok(usize::try_from(size).unwrap_or(1))
}

impl Pipe {
    /// Puts items in, as many at once as there is room for.
    fn puts(&self, rt: &Rt, items: impl IntoIterator<Item = Value>) -> Flow<()> {
        let mut state = self.0.state.lock();
        if state.closed {
            return Err(err!("BadArg", mesg = "The pipe is closed: nothing can be put into it any more.").into());
        }
        for item in items {
            self.put(rt, &mut state, item)?;
        }
        self.0.changed.notify_all();
        Ok(())
    }

    fn put(&self, rt: &Rt, state: &mut MutexGuard<'_, State>, item: Value) -> Flow<()> {
        while state.items.len() >= self.0.size {
            self.0.changed.notify_all();
            self.0.changed.wait_for(state, LOOK);
            // The filler has two handles: its own and that in its variable. Without a third nobody can take anything.
            if rt.shared().cancel.is_cancelled() || Arc::strong_count(&self.0) <= 2 {
                return Err(Ctl::cancelled());
            }
        }
        state.items.push_back(item);
        Ok(())
    }

    /// What is there, at most so many; waits for the first. Nothing once the pipe is closed and empty.
    fn slice(&self, rt: &Rt, size: usize) -> Flow<Option<Vec<Item>>> {
        let mut state = self.0.state.lock();
        while state.items.is_empty() {
            if state.closed {
                return Ok(None);
            }
            self.0.changed.wait_for(&mut state, LOOK);
            if rt.shared().cancel.is_cancelled() {
                return Err(Ctl::cancelled());
            }
        }
        let count = size.min(state.items.len());
        let items = state.items.drain(..count).map(|valu| Item::stored(&valu)).collect();
        self.0.changed.notify_all();
        Ok(Some(items))
    }

    fn close(&self) {
        self.0.state.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl StormObj for Pipe {
    fn type_name(&self) -> &'static str {
        "pipe"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&PIPE)
    }
}

fn make(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let size = size_of(rt, &args, 1, "$lib.pipe.gen()")?;
    let query = rt.parse(&args.str(rt, 0)?)?;
    let shared = Arc::new(Shared { size, state: Mutex::default(), changed: Condvar::new() });
    let vars = var_map([("pipe", Item::obj(Pipe(shared.clone())))]);
    let sub = rt.sub(&query, SubOpts { vars, ..SubOpts::default() })?;
    let filled = Pipe(shared.clone());
    let work = move || {
        let fill = || {
            let mut genr = sub.execute()?;
            while genr.next()?.is_some() {
                sub.tick()?;
            }
            Ok(())
        };
        let done: Flow<()> = fill();
        if let Err(Ctl::Err(error)) = done {
            // The client may be gone; then nobody misses the warning.
            let _ = sub.warn(format!("The query that fills a pipe failed: {error}"));
        }
        filled.close();
    };
    let thread = std::thread::Builder::new().name("storm-pipe".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(work).map_err(myelin_error::Error::from)?;
    Ok(Item::obj(Pipe(shared)))
}
