//! `$lib.queue`, the queues of packages, and their objects.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use myelin_error::Error;
use myelin_storm::item::{Genr, StormObj, TypeDef};
use myelin_storm::{Arg, Args, Ctl, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt, fail};
use myelin_value::{Map, Value};

use super::util::{confirm_gate, core, genr, tuple};
use crate::parts::queues::{QueueName, gate_of};

static LIB: LibDef = LibDef {
    path: "queue",
    funcs: &[
        FuncDef::rw("add", &[Arg::req("name")], |rt, _, args| add(rt, &args.str(rt, 0)?)),
        FuncDef::rw("del", &[Arg::req("name")], del),
        FuncDef::rw("gen", &[Arg::req("name")], |rt, _, args| {
            let name = args.str(rt, 0)?;
            match get(rt, &name) {
                Err(error) if error.isa("NoSuchName") => add(rt, &name),
                other => other,
            }
        }),
        FuncDef::ro("get", &[Arg::req("name")], |rt, _, args| get(rt, &args.str(rt, 0)?)),
        FuncDef::ro("list", &[], list),
    ],
    consts: &[],
};

static DEF: TypeDef = TypeDef {
    name: "queue",
    funcs: &[
        FuncDef::rw("cull", &[Arg::req("offs")], cull),
        FuncDef::rw(
            "get",
            &[Arg::opt("offs", Dflt::Int(0)), Arg::opt("cull", Dflt::Bool(true)), Arg::opt("wait", Dflt::Bool(true))],
            |rt, this, args| take(rt, this, args.int(rt, 0)?, args.bool(rt, 1)?, args.int(rt, 2)? != 0),
        ),
        FuncDef::rw(
            "gets",
            &[
                Arg::opt("offs", Dflt::Int(0)),
                Arg::opt("wait", Dflt::Bool(true)),
                Arg::opt("cull", Dflt::Bool(false)),
                Arg::opt("size", Dflt::Null),
            ],
            |rt, this, args| {
                gets(rt, this, args.int(rt, 0)?, args.int(rt, 1)? != 0, args.bool(rt, 2)?, args.opt_int(rt, 3)?)
            },
        ),
        FuncDef::rw("pop", &[Arg::opt("offs", Dflt::Null), Arg::opt("wait", Dflt::Bool(false))], pop),
        FuncDef::rw("put", &[Arg::req("item")], put),
        FuncDef::rw("puts", &[Arg::req("items")], puts),
        FuncDef::ro("size", &[], size),
    ],
    getters: &[("name", name_of)],
    setters: &[],
};

static PKG_DEF: TypeDef = TypeDef {
    name: "pkg:queue",
    funcs: &[
        FuncDef::rw("cull", &[Arg::req("offs")], cull),
        FuncDef::ro("get", &[Arg::opt("offs", Dflt::Int(0)), Arg::opt("wait", Dflt::Bool(true))], |rt, this, args| {
            take(rt, this, args.int(rt, 0)?, false, args.bool(rt, 1)?)
        }),
        FuncDef::ro(
            "gets",
            &[Arg::opt("offs", Dflt::Int(0)), Arg::opt("wait", Dflt::Bool(true)), Arg::opt("size", Dflt::Null)],
            |rt, this, args| gets(rt, this, args.int(rt, 0)?, args.bool(rt, 1)?, false, args.opt_int(rt, 2)?),
        ),
        FuncDef::rw("pop", &[Arg::opt("offs", Dflt::Null), Arg::opt("wait", Dflt::Bool(false))], pop),
        FuncDef::rw("put", &[Arg::req("item")], put),
        FuncDef::rw("puts", &[Arg::req("items")], puts),
        FuncDef::ro("size", &[], size),
    ],
    getters: &[
        ("name", name_of),
        ("pkgname", |_, this| match &this_obj(this)?.0 {
            QueueName::Package { pkgname, .. } => Ok(Item::from(pkgname)),
            QueueName::User(_) => Ok(Item::NULL),
        }),
    ],
    setters: &[],
};

static PKG_QUEUES: TypeDef = TypeDef {
    name: "pkg:queues",
    funcs: &[
        FuncDef::rw("add", &[Arg::req("name")], |rt, this, args| {
            let name = pkg_name(rt, this, &args)?;
            core(rt)?.queues.add(&name, None)?;
            Ok(Item::obj(QueueObj(name)))
        }),
        FuncDef::rw("del", &[Arg::req("name")], |rt, this, args| {
            core(rt)?.queues.del(&pkg_name(rt, this, &args)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("gen", &[Arg::req("name")], |rt, this, args| {
            let (name, queues) = (pkg_name(rt, this, &args)?, &core(rt)?.queues);
            if !queues.exists(&name) {
                queues.add(&name, None)?;
            }
            Ok(Item::obj(QueueObj(name)))
        }),
        FuncDef::ro("get", &[Arg::req("name")], |rt, this, args| {
            let name = pkg_name(rt, this, &args)?;
            core(rt)?.queues.status(&name)?;
            Ok(Item::obj(QueueObj(name)))
        }),
        FuncDef::ro("list", &[], |rt, this, _| {
            let pkgname = pkg_of(rt, this)?;
            let rows = core(rt)?.queues.list_packages(Some(&pkgname));
            Ok(Item::Genr(Genr::of(rows.into_iter().map(|row| Item::stored(&row.into())).collect::<Vec<_>>())))
        }),
    ],
    getters: &[],
    setters: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&DEF, &PKG_DEF, &PKG_QUEUES]);
    registry.add_lib(&LIB);
}

/// A queue of a user or of a package.
struct QueueObj(QueueName);

impl StormObj for QueueObj {
    fn type_name(&self) -> &'static str {
        self.type_def().map_or("queue", |def| def.name)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(match self.0 {
            QueueName::User(_) => &DEF,
            QueueName::Package { .. } => &PKG_DEF,
        })
    }

    fn repr(&self, _rt: &Rt) -> Flow<String> {
        Ok(match &self.0 {
            QueueName::User(name) => format!("queue: {name}"),
            QueueName::Package { pkgname, name } => format!("pkg:queue: {pkgname} - {name}"),
        })
    }

    fn is_mutable(&self) -> bool {
        false
    }

    fn hash_key(&self) -> Option<Value> {
        Some(match &self.0 {
            QueueName::User(name) => Value::from(name),
            QueueName::Package { pkgname, name } => Value::list([Value::from(pkgname), Value::from(name)]),
        })
    }
}

/// The queues of one package.
pub struct PkgQueues(pub Arc<str>);

impl StormObj for PkgQueues {
    fn type_name(&self) -> &'static str {
        "pkg:queues"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&PKG_QUEUES)
    }
}

fn pkg_of(rt: &Rt, this: &Item) -> Flow<Arc<str>> {
    let Some(queues) = this.as_obj::<PkgQueues>() else {
        fail!("BadArg", mesg = "These are not the queues of a package.");
    };
    rt.confirm(&["power-ups", &queues.0, "admin"], None)?;
    Ok(queues.0.clone())
}

fn pkg_name(rt: &Rt, this: &Item, args: &Args) -> Flow<QueueName> {
    let pkgname = pkg_of(rt, this)?.to_string();
    Ok(QueueName::Package { pkgname, name: args.str(rt, 0)?.to_string() })
}

fn this_obj(this: &Item) -> Flow<&QueueObj> {
    match this.as_obj::<QueueObj>() {
        Some(queue) => Ok(queue),
        None => fail!("BadArg", mesg = "This is no queue."),
    }
}

/// The queue, if the user may do that with it.
fn allowed<'a>(rt: &Rt, this: &'a Item, verb: &str) -> Flow<&'a QueueName> {
    let queue = &this_obj(this)?.0;
    match queue {
        QueueName::User(name) => confirm_gate(rt, &["queue", verb], Some(&gate_of(name)))?,
        QueueName::Package { pkgname, .. } => rt.confirm(&["power-ups", pkgname, "admin"], None)?,
    }
    Ok(queue)
}

fn name_of(_rt: &Rt, this: &Item) -> Flow<Item> {
    Ok(match &this_obj(this)?.0 {
        QueueName::User(name) | QueueName::Package { name, .. } => Item::from(name),
    })
}

fn add(rt: &Rt, name: &str) -> Flow<Item> {
    confirm_gate(rt, &["queue", "add"], None)?;
    let name = QueueName::User(name.to_owned());
    core(rt)?.queues.add(&name, Some(rt.user().iden()))?;
    Ok(Item::obj(QueueObj(name)))
}

fn get(rt: &Rt, name: &str) -> Flow<Item> {
    confirm_gate(rt, &["queue", "get"], Some(&gate_of(name)))?;
    let name = QueueName::User(name.to_owned());
    core(rt)?.queues.status(&name)?;
    Ok(Item::obj(QueueObj(name)))
}

fn del(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let name = args.str(rt, 0)?;
    confirm_gate(rt, &["queue", "del"], Some(&gate_of(&name)))?;
    core(rt)?.queues.del(&QueueName::User(name.to_string()))?;
    Ok(Item::NULL)
}

fn list(rt: &Rt, _lib: &Item, _args: Args) -> Flow<Item> {
    let mut rows = Vec::new();
    for row in core(rt)?.queues.list() {
        if rt.allowed(&["queue", "get"], Some(&gate_of(row.get_str("name").unwrap_or_default()))) {
            rows.push(Item::stored(&Value::from(row)));
        }
    }
    Ok(Item::list(rows))
}

fn unsigned(offs: i64) -> u64 {
    u64::try_from(offs).unwrap_or(0)
}

fn cull(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let offs = args.int(rt, 0)?;
    let queue = allowed(rt, this, "get")?;
    if offs >= 0 {
        core(rt)?.queues.cull(queue, unsigned(offs))?;
    }
    Ok(Item::NULL)
}

fn size(rt: &Rt, this: &Item, _args: Args) -> Flow<Item> {
    Ok(Item::from(core(rt)?.queues.size(allowed(rt, this, "get")?)?))
}

fn put(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    push(rt, this, vec![args.prim(rt, 0)?])
}

fn puts(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let items = args.prim(rt, 0)?;
    let Some(items) = items.as_list() else {
        fail!("BadArg", mesg = "What is put into a queue is a list of items.", name = "items");
    };
    push(rt, this, items.to_vec())
}

fn push(rt: &Rt, this: &Item, items: Vec<Value>) -> Flow<Item> {
    let queue = allowed(rt, this, "put")?;
    Ok(Item::from(core(rt)?.queues.puts(queue, items)?))
}

/// Why a wait ended without an error of the queue.
fn keep_waiting(rt: &Rt) -> myelin_error::Result<()> {
    if rt.shared().cancel.is_cancelled() {
        return Err(Error::mesg("TaskCancelled", "The query was cancelled."));
    }
    Ok(())
}

fn next(rt: &Rt, queue: &QueueName, offs: u64, wait: bool) -> Flow<Option<(u64, Value)>> {
    match core(rt)?.queues.get(queue, offs, wait, &|| keep_waiting(rt)) {
        Err(error) if error.is("TaskCancelled") => Err(Ctl::cancelled()),
        other => Ok(other?),
    }
}

fn row(offs: u64, valu: Value) -> Item {
    tuple([offs.into(), valu])
}

/// Lets go of what lies before an offset.
fn cull_before(rt: &Rt, queue: &QueueName, offs: i64) -> Flow<()> {
    if offs > 0 {
        core(rt)?.queues.cull(queue, unsigned(offs - 1))?;
    }
    Ok(())
}

fn take(rt: &Rt, this: &Item, offs: i64, cull: bool, wait: bool) -> Flow<Item> {
    let queue = allowed(rt, this, "get")?;
    if cull {
        cull_before(rt, queue, offs)?;
    }
    Ok(next(rt, queue, unsigned(offs), wait)?.map_or(Item::NULL, |(offs, valu)| row(offs, valu)))
}

/// How many items are read at a time.
const PAGE: usize = 100;

fn gets(rt: &Rt, this: &Item, offs: i64, wait: bool, cull: bool, size: Option<i64>) -> Flow<Item> {
    let queue = allowed(rt, this, "get")?.clone();
    if cull {
        cull_before(rt, &queue, offs)?;
    }
    let (rt, mut offs, mut left) = (rt.clone(), unsigned(offs), size);
    let mut page: VecDeque<(u64, Value)> = VecDeque::new();
    Ok(genr(move || {
        if left.is_some_and(|left| left <= 0) && size != Some(0) {
            return Ok(None);
        }
        if page.is_empty() {
            page.extend(core(&rt)?.queues.gets(&queue, offs, Some(PAGE))?);
        }
        if page.is_empty() && wait {
            page.extend(next(&rt, &queue, offs, true)?);
        }
        let Some((at, valu)) = page.pop_front() else { return Ok(None) };
        offs = at + 1;
        // The first item always comes, as in the original.
        left = left.map(|left| left.max(1) - 1).filter(|_| true);
        Ok(Some(row(at, valu)))
    }))
}

fn pop(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let (offs, wait) = (args.opt_int(rt, 0)?, args.bool(rt, 1)?);
    let queue = allowed(rt, this, "get")?;
    let offs = match offs {
        Some(offs) => unsigned(offs),
        None => match next(rt, queue, 0, wait)? {
            Some((offs, _)) => offs,
            None => return Ok(Item::NULL),
        },
    };
    Ok(Item::from(core(rt)?.queues.pop(queue, offs)?))
}

/// Variables of a package, changed like a dictionary.
pub struct PkgVars(pub Arc<str>);

impl PkgVars {
    fn confirm(&self, rt: &Rt) -> Flow<()> {
        rt.confirm(&["power-ups", &self.0, "admin"], None)
    }
}

impl StormObj for PkgVars {
    fn type_name(&self) -> &'static str {
        "pkg:vars"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        self.confirm(rt)?;
        let found = core(rt)?.vars.pkg_get(&self.0, &name.tostr(rt)?)?;
        Ok(Some(found.map(|valu| Item::deep(&valu)).unwrap_or_default()))
    }

    fn setitem(&self, rt: &Rt, name: &Item, valu: Item) -> Flow<()> {
        self.confirm(rt)?;
        let name = name.tostr(rt)?;
        match valu {
            Item::Undef => drop(core(rt)?.vars.pkg_pop(&self.0, &name)?),
            valu => drop(core(rt)?.vars.pkg_set(&self.0, &name, valu.toprim(rt)?)?),
        }
        Ok(())
    }

    fn iter(&self, rt: &Rt) -> Flow<Genr> {
        self.confirm(rt)?;
        let items = core(rt)?.vars.pkg_items(&self.0)?;
        Ok(Genr::of(items.into_iter().map(|(name, valu)| tuple([name.into(), valu])).collect::<Vec<_>>()))
    }

    fn value(&self, rt: &Rt) -> Flow<Value> {
        self.confirm(rt)?;
        Ok(Value::from(core(rt)?.vars.pkg_items(&self.0)?.into_iter().collect::<Map>()))
    }
}
