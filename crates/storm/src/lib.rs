#![forbid(unsafe_code)]
//! The Storm runtime: operators, expressions, functions, commands and libraries.
//!
//! ```text
//! text ─ storm-syntax ─▶ Query ─ run ─▶ Rt (scope) ─ ops ─▶ NodeIter ▶ NodeIter ▶ … ─▶ messages
//!                                       │ Snap: view, user, live nodes      │ edit: Editor ─▶ NodeEdits ─▶ view
//!                                       └ Host: the service around          └ expr: Item
//! ```
//!
//! Nouns: [`Item`] is a runtime value; [`Rt`] a scope of variables; [`Snap`] a view as one query sees it; [`Host`] the
//! service; [`NodeIter`](ops::NodeIter) an operator at work; [`StormQuery`] a query with its options.
//!
//! Invariants: operators keep their state in themselves, never on the stack across a call of their input (see [`ctl`]);
//! edits go through [`edit`] and nowhere else; every edit is checked for permission by the operator that asks for it.
//!
//! # How to add a library
//! One file in `libs/` (or in the crate whose parts it speaks of) and one line in `register`:
//!
//! ```ignore
//! //! `$lib.demo`: what it is for.
//! static LIB: LibDef = LibDef {
//!     path: "demo",                       // "a.b" for $lib.a.b, "" for $lib itself; several LibDefs may share a path
//!     funcs: &[
//!         // ro: read-only queries may call it; rw: they may not.
//!         FuncDef::ro("join", &[Arg::req("sepr"), Arg::opt("upper", Dflt::Bool(false)), Arg::star("vals")], join),
//!     ],
//!     consts: &[("answer", |_rt, _lib| Ok(Item::from(42)))],
//! };
//! pub fn register(registry: &mut Registry) { registry.add_lib(&LIB); }
//!
//! fn join(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
//!     let sepr = args.str(rt, 0)?;                    // tostr; also int, bool, prim, opt_str, opt_int, item, take
//!     let parts: Flow<Vec<_>> = args.rest().iter().map(|item| item.tostr(rt)).collect();
//!     if parts.is_err() { fail!("BadArg", mesg = "our own words", name = "vals"); }
//!     Ok(Item::from(parts?.join(&*sepr)))
//! }
//! ```
//! `Result<T, myelin_error::Error>` turns into [`Flow`] with `?`. Lists that a query may change are [`Item::list`] or
//! [`Item::deep`]; `Item::from(value)` of a list is an immutable tuple. Generators: [`item::Genr::from_fn`]. Permissions:
//! `rt.confirm(&["a", "b"], gate)?`, `rt.req_admin(None, None)?`. Messages: `rt.printf`, `rt.warn`, `rt.fire`. Loops call
//! `rt.tick()?`; waiting is `rt.sleep(…)?`. Parts of a service: `rt.host_as::<Cortex>()?`. Node edits: [`edit`].
//! What lives as long as the query: `rt.shared().ext(…)`.
//!
//! # How to add an object type
//! A struct that implements [`StormObj`](item::StormObj) (`type_name`, `as_any`, `type_def`, usually `value`), with a
//! static [`TypeDef`](item::TypeDef) of methods, getters and setters. In a handler, `this.as_obj::<Demo>()` is the struct.
//! Make one with `Item::obj(Demo { … })`. Methods of the built-in kinds (`str`, `bytes`, `number`, `dict`, …) are a `TypeDef`
//! with that name, put into the registry with `add_type`; there `this` is the `Item` itself. See `types/`.
//!
//! # How to add a command
//! A static [`CmdDef`](cmds::CmdDef) in `cmds/` and one line in `register`:
//!
//! ```ignore
//! static LIMIT: CmdDef = CmdDef {
//!     name: "limit", descr: "Stop after a number of nodes.", readonly: true,
//!     args: &[ArgDef::pos(&["count"], "How many.").typed("int"), ArgDef::flag(&["--loud", "-l"], "Say so.")],
//!     run: limit,
//! };
//! fn limit(cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> { Ok(ops::from_fn(move || { … input.next()? … })) }
//! ```
//! Arguments may differ from node to node: read `cx.opts()` after pulling the node. `cx.runtsafe()` says whether they do.
//!
//! # How to test
//! [`testing::Bench`] (feature `testing`) is a host on a temporary layer: `Bench::new().storm("…")` gives the messages.

pub mod cmds;
pub mod ctl;
pub mod edit;
mod embeds;
pub mod expr;
pub mod feed;
pub mod glob;
pub mod host;
pub mod item;
pub mod libs;
pub mod node;
pub mod ops;
pub mod plan;
pub mod raw;
pub mod registry;
pub mod rt;
pub mod run;
pub mod scrape;
pub mod snap;
pub mod store;
pub mod store_graph;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod types;
pub mod walk;

pub use ctl::{Ctl, Ctrl, Flow};
pub use host::{Host, User};
pub use item::{Arg, Args, Dflt, FuncDef, Item};
pub use node::{Node, Path};
pub use registry::{LibDef, Registry};
pub use rt::{Rt, Sink};
pub use run::StormQuery;
pub use snap::Snap;
pub use store::View;
