//! `$lib` itself: printing, making collections, raising errors, importing modules.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use myelin_error::{Error, err};
use myelin_value::{Map, Value};

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item, StormObj, TypeDef};
use crate::registry::{LibDef, Registry};
use crate::rt::{Rt, VarMap, var_map};

static LIB: LibDef = LibDef {
    path: "",
    funcs: &[
        FuncDef::ro("print", &[Arg::req("mesg"), Arg::kwargs("kwargs")], |rt, _, args| {
            rt.printf(format_args(rt, &args)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("warn", &[Arg::req("mesg"), Arg::kwargs("kwargs")], |rt, _, args| {
            rt.warn(format_args(rt, &args)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro(
            "pprint",
            &[Arg::req("item"), Arg::opt("prefix", Dflt::Str("")), Arg::opt("clamp", Dflt::Null)],
            pprint,
        ),
        FuncDef::ro("fire", &[Arg::req("name"), Arg::kwargs("info")], |rt, _, args| {
            let mut info = Map::new();
            for (name, valu) in args.kwargs() {
                match valu.toprim(rt) {
                    Ok(valu) => drop(info.insert(name, valu)),
                    // What stands for no primitive is left out, as in any dictionary.
                    Err(error) if error.isa("NoSuchType") => {}
                    Err(error) => return Err(error),
                }
            }
            crate::edit::json_safe(&Value::from(info.clone()))?;
            rt.fire("storm:fire", Map::new().with("type", args.prim(rt, 0)?).with("data", info))?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("list", &[Arg::star("vals")], |rt, _, args| {
            rt.warn_once("$lib.list() is deprecated. Use ([]) instead.")?;
            Ok(Item::list(args.rest().iter().cloned()))
        }),
        FuncDef::ro("set", &[Arg::star("vals")], set),
        FuncDef::ro("text", &[Arg::star("args")], |rt, _, args| {
            rt.warn_once("$lib.text() is deprecated. Join a list of strings instead.")?;
            let parts: Flow<Vec<_>> = args.rest().iter().map(|item| item.tostr(rt)).collect();
            Ok(Item::obj(crate::types::text::Text(parking_lot::Mutex::new(parts?.concat()))))
        }),
        FuncDef::ro("len", &[Arg::req("item")], len),
        FuncDef::ro("min", &[Arg::star("args")], |rt, _, args| pick(rt, &args, false)),
        FuncDef::ro("max", &[Arg::star("args")], |rt, _, args| pick(rt, &args, true)),
        FuncDef::ro("range", &[Arg::req("stop"), Arg::opt("start", Dflt::Null), Arg::opt("step", Dflt::Null)], range),
        FuncDef::ro("sorted", &[Arg::req("valu"), Arg::opt("reverse", Dflt::Bool(false))], sorted),
        FuncDef::ro("cast", &[Arg::req("name"), Arg::req("valu")], |rt, _, args| {
            let typ = req_type(rt, &args)?;
            Ok(Item::stored(&typ.norm(&rt.norm_cx(), &args.prim(rt, 1)?)?.value))
        }),
        FuncDef::ro("trycast", &[Arg::req("name"), Arg::req("valu")], |rt, _, args| {
            let typ = req_type(rt, &args)?;
            match typ.norm(&rt.norm_cx(), &args.prim(rt, 1)?) {
                Ok(norm) => Ok(Item::Val(Value::list([Value::from(true), norm.value]))),
                Err(error) if error.isa("BadTypeValu") => Ok(Item::Val(Value::list([Value::from(false), Value::Null]))),
                Err(error) => Err(error.into()),
            }
        }),
        FuncDef::ro("repr", &[Arg::req("name"), Arg::req("valu")], |rt, _, args| {
            let (typ, valu) = (req_type(rt, &args)?, args.prim(rt, 1)?);
            match typ.repr(&rt.norm_cx(), &valu) {
                Ok(_) if valu.is_null() => crate::fail!("BadArg", mesg = format!("Null has no text as {}.", typ.name)),
                Ok(text) => Ok(Item::from(text)),
                Err(error) => {
                    let mesg = format!("The value has no text as {}: {}", typ.name, error.message());
                    Err(err!("BadArg", mesg = mesg).into())
                }
            }
        }),
        FuncDef::ro("copy", &[Arg::req("item")], |rt, _, args| copy(rt, args.item(0))),
        FuncDef::ro("guid", &[Arg::star("args"), Arg::opt("valu", Dflt::Undef)], guid),
        FuncDef::ro("exit", &[Arg::opt("mesg", Dflt::Null), Arg::kwargs("kwargs")], |rt, _, args| {
            if !args.is_null(0) {
                rt.warn(format_args(rt, &args)?)?;
            }
            Err(crate::Ctl::exit())
        }),
        FuncDef::ro("raise", &[Arg::req("name"), Arg::req("mesg"), Arg::kwargs("info")], raise),
        FuncDef::ro(
            "import",
            &[Arg::req("name"), Arg::opt("debug", Dflt::Bool(false)), Arg::opt("reqvers", Dflt::Null)],
            import,
        ),
    ],
    consts: &[
        ("null", |_, _| Ok(Item::NULL)),
        ("true", |_, _| Ok(Item::from(true))),
        ("false", |_, _| Ok(Item::from(false))),
        ("undef", |_, _| Ok(Item::Undef)),
        ("debug", |rt, _| Ok(Item::from(rt.debug()))),
    ],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&LIB);
    registry.add_type(&SETTERS);
}

/// The type of that name, or of the property of that name.
fn req_type(rt: &Rt, args: &Args) -> Flow<Arc<myelin_model::Type>> {
    let (name, model) = (args.str(rt, 0)?, rt.model());
    let found = model.typ(&name).cloned().or_else(|| model.prop(&name).map(|prop| prop.typ.clone()));
    match found {
        Some(typ) => Ok(typ),
        None => crate::fail!("NoSuchType", mesg = format!("No type or prop found for name {name}.")),
    }
}

/// `{name}` in a text replaced by arguments of that name.
fn format_args(rt: &Rt, args: &Args) -> Flow<String> {
    let mut text = match args.item(0) {
        item @ Item::Val(Value::Str(_)) => item.tostr(rt)?.to_string(),
        other => other.torepr(rt, true)?,
    };
    for (name, valu) in args.kwargs() {
        let with = valu.torepr(rt, true)?;
        text = text.replace(&format!("{{{name}}}"), &with);
    }
    Ok(text)
}

fn set(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    args.rest().iter().try_for_each(|item| super::help::req_member(rt, item))?;
    Ok(Item::set(args.rest().iter().cloned()))
}

fn len(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let item = args.item(0);
    let size = match item {
        Item::Val(Value::Str(text)) => Some(text.chars().count()),
        Item::Val(Value::Bytes(byts)) => Some(byts.len()),
        Item::Val(Value::Map(map)) => Some(map.len()),
        Item::List(_) | Item::Val(Value::List(_)) => item.members().map(|items| items.len()),
        Item::Dict(dict) | Item::Set(dict) => Some(dict.lock().len()),
        Item::Genr(genr) => {
            let mut size = 0;
            while genr.next_item()?.is_some() {
                size += 1;
            }
            Some(size)
        }
        Item::Obj(obj) => obj.size(rt)?,
        _ => None,
    };
    match size {
        Some(size) => Ok(Item::from(size)),
        None => {
            // Clients know primitives by the names that Python has for them.
            let name = match &item {
                Item::Val(Value::Null) => "builtins.NoneType",
                Item::Val(Value::Bool(_)) => "builtins.bool",
                Item::Val(Value::Int(_) | Value::Big(_)) => "builtins.int",
                Item::Val(Value::Float(_)) => "builtins.float",
                other => other.type_name(),
            };
            crate::fail!("StormRuntimeError", mesg = format!("Object {name} does not have a length."), name = name)
        }
    }
}

/// The smallest or largest of integers, in arguments or in lists of them.
fn pick(rt: &Rt, args: &Args, larger: bool) -> Flow<Item> {
    let mut best: Option<Value> = None;
    for item in args.rest() {
        let prim = Item::Val(item.toprim(rt)?);
        for item in prim.members().unwrap_or_else(|| vec![prim.clone()]) {
            let int = item.toint(rt)?;
            let better = best.as_ref().is_none_or(|have| {
                let order = myelin_model::types::py::cmp(&int, have);
                order == Some(if larger { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less })
            });
            if better {
                best = Some(int);
            }
        }
    }
    match best {
        Some(int) => Ok(Item::Val(int)),
        None => {
            crate::fail!("StormRuntimeError", mesg = "At least one argument, or a list with a value in it, is needed.")
        }
    }
}

fn range(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let stop = args.int(rt, 0)?;
    let start = args.opt_int(rt, 1)?.unwrap_or(0);
    let step = args.opt_int(rt, 2)?.unwrap_or(1);
    if step == 0 {
        crate::fail!("ValueError", mesg = "The step of a range is not zero.");
    }
    let mut at = start;
    Ok(Item::Genr(crate::item::Genr::from_fn(move || {
        if (step > 0 && at >= stop) || (step < 0 && at <= stop) {
            return Ok(None);
        }
        let item = Item::from(at);
        at = at.saturating_add(step);
        Ok(Some(item))
    })))
}

fn sorted(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let items = args.item(0).tovec(rt)?;
    let list = Item::list(items);
    list.deref(rt, &Item::from("sort"))?.call(rt, vec![args.item(1).clone()], Vec::new())?;
    list.toiter(rt).map(Item::Genr)
}

fn copy(rt: &Rt, item: &Item) -> Flow<Item> {
    match item {
        Item::Val(_) | Item::List(_) | Item::Dict(_) => Ok(Item::deep(&item.toprim(rt)?)),
        Item::Set(set) => Ok(Item::set(set.lock().values().cloned())),
        Item::Num(_) => Ok(item.clone()),
        other => {
            let name = other.type_name();
            crate::fail!("BadArg", mesg = format!("Type ({name}) does not support being copied!"))
        }
    }
}

fn guid(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let seed = match (args.rest(), args.item(1)) {
        ([], Item::Undef) => return Ok(Item::from(rt.norm_cx().env.rand_guid())),
        (rest, Item::Undef) => {
            if rest.iter().any(|item| matches!(item, Item::Genr(_))) {
                crate::fail!("NotMsgpackSafe", mesg = "A generator has no identity to make a guid of.");
            }
            Item::list(rest.iter().cloned()).toprim(rt)?
        }
        ([], valu) => valu.toprim(rt)?,
        _ => crate::fail!("BadArg", mesg = "Valu cannot be specified if positional arguments are provided"),
    };
    Ok(Item::from(myelin_value::guid_of(&seed)))
}

fn raise(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (name, mesg) = (args.str(rt, 0)?, args.str(rt, 1)?);
    let mut error = Error::new("StormRaise").with("mesg", mesg);
    for (key, valu) in args.kwargs() {
        let valu = match valu.toprim(rt) {
            Err(error) if error.isa("NoSuchType") => continue,
            valu => valu?,
        };
        super::jsontext::req_json_safe(&valu)?;
        error = error.with(key, valu);
    }
    // Names beyond the platform's own are possible: a `catch` goes by them.
    Err(if myelin_error::is_known(&name) { error.renamed(name.to_string()) } else { error.with("errname", &name) }
        .into())
}

fn pprint(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let prefix = args.str(rt, 1)?;
    let clamp = args.opt_int(rt, 2)?;
    if clamp.is_some_and(|clamp| clamp < 3) {
        crate::fail!("StormRuntimeError", mesg = "Invalid clamp length.", clamp = clamp);
    }
    let valu = args.prim(rt, 0);
    let text = match valu {
        Ok(valu) => super::pformat::pformat(&sorted_maps(&valu)),
        Err(_) => args.item(0).torepr(rt, false)?,
    };
    for line in text.lines() {
        let mut full = format!("{prefix}{line}");
        if let Some(clamp) = clamp.and_then(|clamp| usize::try_from(clamp).ok())
            && full.chars().count() > clamp
        {
            full = full.chars().take(clamp - 3).collect::<String>() + "...";
        }
        rt.printf(full)?;
    }
    Ok(Item::NULL)
}

/// A value with the keys of its maps in order, as Python's `pprint` shows it.
fn sorted_maps(valu: &Value) -> Value {
    match valu {
        Value::List(items) => Value::list(items.iter().map(sorted_maps)),
        Value::Map(map) => {
            let mut items: Vec<(Value, Value)> =
                map.iter().map(|(key, valu)| (key.clone(), sorted_maps(valu))).collect();
            items.sort_by(|(left, _), (right, _)| {
                myelin_model::types::py::cmp(left, right).unwrap_or(std::cmp::Ordering::Equal)
            });
            items.into_iter().collect::<Map>().into()
        }
        other => other.clone(),
    }
}

/// What may be set on `$lib`.
static SETTERS: TypeDef = TypeDef {
    name: "lib",
    funcs: &[],
    getters: &[],
    setters: &[("debug", true, |rt, this, valu| match this {
        Item::Lib(path) if path.is_empty() => {
            rt.set_debug(valu.tobool(rt)?);
            Ok(())
        }
        _ => crate::fail!("StormRuntimeError", mesg = "This library does not support assignment."),
    })],
};

/// A module of a package, as `$lib.import()` gives it.
struct Module {
    name: Arc<str>,
    vars: VarMap,
}

impl StormObj for Module {
    fn type_name(&self) -> &'static str {
        "lib"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        let name = name.tostr(rt)?;
        if name.starts_with("__") {
            let mesg = format!("Cannot dereference private value [{name}]");
            return Err(err!("StormRuntimeError", mesg = mesg, name = name).into());
        }
        match self.vars.get(&name) {
            Some(item) => Ok(Some(item.clone())),
            None => Err(err!("NoSuchName", mesg = format!("Cannot find name [{name}]"), name = name).into()),
        }
    }

    fn repr(&self, _rt: &Rt) -> Flow<String> {
        Ok(format!("Imported Module {}", self.name))
    }

    fn is_mutable(&self) -> bool {
        false
    }
}

/// Whether a module runs with all powers: the permissions it names decide, or else the one that has its name.
fn module_powers(rt: &Rt, def: &Map, name: &str) -> Flow<bool> {
    let deny = |mesg: String| {
        let user = rt.user();
        err!("AuthDeny", mesg = mesg, user = user.iden(), username = user.name())
    };
    if let Some(perms) = def.get("asroot:perms").and_then(Value::as_list) {
        let parts = |perm: &Value| -> Vec<String> {
            perm.as_list().unwrap_or_default().iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let perms: Vec<Vec<String>> = perms.iter().map(parts).collect();
        if perms.iter().any(|perm| rt.allowed(&perm.iter().map(String::as_str).collect::<Vec<_>>(), None)) {
            return Ok(true);
        }
        let wanted = perms.iter().map(|perm| perm.join(".")).collect::<Vec<_>>().join(" or ");
        match def.get_str("asroot:ondeny:import") {
            Some("allow") => {}
            Some("warn") => {
                rt.warn_once(&format!("Module ({name}) runs without further powers. Missing permission: {wanted}."))?;
            }
            _ => return Err(deny(format!("Module ({name}) requires permission: {wanted}")).into()),
        }
        return Ok(false);
    }
    let mut perm = vec!["storm", "asroot", "mod"];
    perm.extend(name.split('.'));
    let asroot = rt.allowed(&perm, None);
    if def.get("asroot").is_some_and(Value::is_truthy) {
        rt.warn_once(&format!(
            "Module ({name}) asks for all powers without asroot:perms, which is deprecated (storm.asroot.mod.{name})."
        ))?;
        if !asroot {
            let mesg = format!("Module ({name}) elevates privileges.  You need perm: storm.asroot.mod.{name}");
            return Err(deny(mesg).into());
        }
    }
    Ok(asroot)
}

fn import(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let name = args.str(rt, 0)?;
    let debug = args.bool(rt, 1)?;
    let reqvers = args.opt_str(rt, 2)?;
    let Some(def) = rt.host().module(&name, reqvers.as_deref()) else {
        let mesg = format!(
            "No storm module named {name} matching version requirement {}",
            reqvers.as_deref().unwrap_or("any")
        );
        return Err(err!("NoSuchName", mesg = mesg, name = name, reqvers = reqvers.as_deref()).into());
    };
    let asroot = module_powers(rt, &def, &name)?;
    let query = rt.parse(def.get_str("storm").unwrap_or_default())?;
    let conf = def.get("modconf").cloned().unwrap_or_else(|| Value::from(Map::new()));
    let sub = rt.beside(&query, var_map([("modconf", Item::deep(&conf))]))?;
    sub.set_asroot(asroot);
    sub.set_debug(rt.debug() || debug);
    let mut genr = sub.execute()?;
    while genr.next()?.is_some() {
        rt.tick()?;
    }
    let vars = sub.vars();
    for (key, valu) in vars.iter() {
        if let Item::Func(func) = valu {
            func.from_module.store(true, Ordering::Relaxed);
            *func.path.lock() = Arc::from(format!("$lib.{name}.{key}"));
        }
    }
    Ok(Item::obj(Module { name, vars }))
}
