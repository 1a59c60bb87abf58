//! `$lib.trigger` and the object `trigger`.

use std::any::Any;
use std::sync::Arc;

use myelin_error::err;
use myelin_storm::item::{StormObj, TypeDef};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt, fail};
use myelin_value::{Map, Value};
use parking_lot::RwLock;

use super::util::{confirm_gate, core, this_view, user};
use crate::parts::triggers::Trigger;

static LIB: LibDef = LibDef {
    path: "trigger",
    funcs: &[
        FuncDef::rw("add", &[Arg::req("tdef")], add),
        FuncDef::rw("del", &[Arg::req("prefix")], del),
        FuncDef::rw("disable", &[Arg::req("prefix")], |rt, _, args| enable(rt, &args, false)),
        FuncDef::rw("enable", &[Arg::req("prefix")], |rt, _, args| enable(rt, &args, true)),
        FuncDef::ro("get", &[Arg::req("iden")], get),
        FuncDef::ro("list", &[Arg::opt("all", Dflt::Bool(false))], list),
        FuncDef::rw("mod", &[Arg::req("prefix"), Arg::req("query")], modify),
    ],
    consts: &[],
};

static DEF: TypeDef = TypeDef {
    name: "trigger",
    funcs: &[
        FuncDef::rw("move", &[Arg::req("viewiden")], move_to),
        FuncDef::ro("pack", &[], |_, this, _| Ok(Item::stored(&this_obj(this)?.0.read().clone().into()))),
        FuncDef::rw("set", &[Arg::req("name"), Arg::req("valu")], set),
    ],
    getters: &[],
    setters: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&DEF]);
    registry.add_computed("trigger", &["iden"]);
    registry.add_lib(&LIB);
}

/// A trigger, with its definition as it was when the object was made.
pub struct TriggerObj(RwLock<Map>);

impl TriggerObj {
    /// The object of a packed trigger.
    pub fn of(tdef: &Value) -> Item {
        Item::obj(TriggerObj(RwLock::new(tdef.as_map().cloned().unwrap_or_default())))
    }

    fn text(&self, key: &str) -> Arc<str> {
        Arc::from(self.0.read().get_str(key).unwrap_or_default())
    }
}

impl StormObj for TriggerObj {
    fn type_name(&self) -> &'static str {
        "trigger"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&DEF)
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        let found = self.0.read().get(&name.tostr(rt)?).map(Item::stored);
        Ok(Some(found.unwrap_or_default()))
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.0.read().clone().into())
    }

    fn is_mutable(&self) -> bool {
        false
    }

    fn hash_key(&self) -> Option<Value> {
        Some(Value::from(&*self.text("iden")))
    }
}

fn this_obj(this: &Item) -> Flow<&TriggerObj> {
    match this.as_obj::<TriggerObj>() {
        Some(trigger) => Ok(trigger),
        None => fail!("BadArg", mesg = "This is no trigger."),
    }
}

fn obj_of(rt: &Rt, trigger: &Trigger) -> Flow<Item> {
    Ok(TriggerObj::of(&trigger.pack(core(rt)?.cell.auth()).into()))
}

/// The one trigger that the user may see whose identifier begins with a text.
fn by_prefix(rt: &Rt, prefix: &str) -> Flow<Arc<Trigger>> {
    let mut found = None;
    for view in core(rt)?.stack.views() {
        if !rt.allowed(&["view", "read"], Some(view.iden())) {
            continue;
        }
        for trigger in core(rt)?.triggers.list(view.iden()) {
            if !trigger.iden().starts_with(prefix) {
                continue;
            }
            if found.is_some() {
                fail!("StormRuntimeError", mesg = "Several triggers begin with this identifier.", iden = prefix);
            }
            if rt.allowed(&["trigger", "get"], Some(trigger.iden())) {
                found = Some(trigger);
            }
        }
    }
    match found {
        Some(found) => Ok(found),
        None => {
            fail!("StormRuntimeError", mesg = "No trigger that you may see begins with this identifier.", iden = prefix)
        }
    }
}

fn add(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let tdef = args.prim(rt, 0)?;
    let Some(mut tdef) = tdef.as_map().cloned() else {
        fail!("BadArg", mesg = "A trigger is defined by a dictionary.", name = "tdef");
    };
    tdef.insert("user", rt.user().iden());
    let view = match tdef.remove("view") {
        None | Some(Value::Null) => rt.snap().view_iden().clone(),
        Some(view) => Item::from(view).tostr(rt)?,
    };
    tdef.insert("view", &*view);
    for (old, new) in [("query", "storm"), ("condition", "cond")] {
        match tdef.remove(old) {
            None | Some(Value::Null) => {}
            Some(valu) => {
                if old == "query" {
                    rt.warn("The key query of $lib.trigger.add() is deprecated: use storm.")?;
                }
                tdef.insert(new, valu);
            }
        }
    }
    for key in ["tag", "form", "prop", "verb", "n2form"] {
        match tdef.remove(key) {
            None | Some(Value::Null) => {}
            Some(Value::Str(tag)) if key == "tag" => drop(tdef.insert(key, tag.strip_prefix('#').unwrap_or(&tag))),
            Some(valu) => drop(tdef.insert(key, valu)),
        }
    }
    confirm_gate(rt, &["trigger", "add"], Some(&view))?;
    push_add(rt, &view, tdef)
}

fn push_add(rt: &Rt, view: &str, tdef: Map) -> Flow<Item> {
    let core = core(rt)?;
    let Some(view) = core.stack.view(view) else {
        fail!("NoSuchIden", mesg = format!("There is no view {view} for the trigger."), iden = view);
    };
    let tdef = core.triggers.prepare(&view, tdef, user(rt)?.iden())?;
    let packed = core.stack.push_view(&view, "trigger:add", [tdef.into()])?;
    Ok(TriggerObj::of(&packed))
}

fn del(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let trigger = by_prefix(rt, &args.str(rt, 0)?)?;
    confirm_gate(rt, &["trigger", "del"], Some(trigger.iden()))?;
    push_del(rt, &trigger)?;
    Ok(Item::from(trigger.iden()))
}

fn push_del(rt: &Rt, trigger: &Trigger) -> Flow<()> {
    let core = core(rt)?;
    let view = core.stack.require_view(trigger.view())?;
    core.stack.push_view(&view, "trigger:del", [trigger.iden().into()])?;
    Ok(())
}

fn push_set(rt: &Rt, trigger: &Trigger, name: &str, valu: Value) -> Flow<()> {
    let core = core(rt)?;
    match name {
        "user" => drop(core.cell.auth().req_user(valu.as_str().unwrap_or_default())?),
        "storm" => drop(rt.parse(valu.as_str().unwrap_or_default())?),
        _ => {}
    }
    let view = core.stack.require_view(trigger.view())?;
    core.stack.push_view(&view, "trigger:set", [trigger.iden().into(), name.into(), valu])?;
    Ok(())
}

fn modify(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let query = args.str(rt, 1)?;
    let trigger = by_prefix(rt, &args.str(rt, 0)?)?;
    confirm_gate(rt, &["trigger", "set", "storm"], Some(trigger.iden()))?;
    push_set(rt, &trigger, "storm", query.into())?;
    Ok(Item::from(trigger.iden()))
}

fn enable(rt: &Rt, args: &Args, enabled: bool) -> Flow<Item> {
    let trigger = by_prefix(rt, &args.str(rt, 0)?)?;
    confirm_gate(rt, &["trigger", "set", "enabled"], Some(trigger.iden()))?;
    push_set(rt, &trigger, "enabled", enabled.into())?;
    Ok(Item::from(trigger.iden()))
}

fn list(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let core = core(rt)?;
    let views = if args.bool(rt, 0)? { core.stack.views() } else { vec![this_view(rt)?] };
    let mut found = Vec::new();
    for view in views {
        if !rt.allowed(&["view", "read"], Some(view.iden())) {
            continue;
        }
        for trigger in core.triggers.list(view.iden()) {
            if rt.allowed(&["trigger", "get"], Some(trigger.iden())) {
                found.push(obj_of(rt, &trigger)?);
            }
        }
    }
    Ok(Item::list(found))
}

fn get(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let iden = args.str(rt, 0)?;
    let core = core(rt)?;
    let here = core.triggers.find(rt.snap().view_iden(), &iden);
    let found = here.or_else(|| core.stack.views().iter().find_map(|view| core.triggers.find(view.iden(), &iden)));
    let Some(trigger) = found else {
        return Err(err!("NoSuchIden", mesg = format!("There is no trigger {iden}."), iden = &*iden).into());
    };
    rt.confirm(&["trigger", "get"], Some(&iden))?;
    obj_of(rt, &trigger)
}

fn set(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let (iden, view) = (obj.text("iden"), obj.text("view"));
    let core = core(rt)?;
    core.stack.require_view(&view)?;
    let name = args.str(rt, 0)?;
    let valu = match &*name {
        "async" | "enabled" => Value::from(args.bool(rt, 1)?),
        "user" | "doc" | "name" | "storm" => Value::from(args.str(rt, 1)?),
        _ => args.prim(rt, 1)?,
    };
    if &*name == "user" {
        rt.confirm(&["trigger", "set", "user"], None)?;
    } else {
        rt.confirm(&["trigger", "set", &name], Some(&iden))?;
    }
    push_set(rt, &*core.triggers.require(&view, &iden)?, &name, valu.clone())?;
    obj.0.write().insert(&*name, valu);
    Ok(this.clone())
}

fn move_to(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let obj = this_obj(this)?;
    let target = args.str(rt, 0)?;
    let core = core(rt)?;
    core.stack.require_view(&target)?;
    let iden = obj.text("iden");
    rt.confirm(&["view", "read"], Some(&target))?;
    rt.confirm(&["trigger", "add"], Some(&target))?;
    rt.confirm(&["trigger", "del"], Some(&iden))?;
    let trigger = core.triggers.require(&obj.text("view"), &iden)?;
    let mut tdef = obj.0.read().clone().with("view", &*target).with("user", rt.user().iden());
    for key in ["startcount", "errcount", "lasterrs", "username"] {
        tdef.remove(key);
    }
    if let Err(error) = rt.parse(tdef.get_str("storm").unwrap_or_default()) {
        fail!("StormRuntimeError", mesg = format!("The trigger {iden} cannot be moved: {error}"));
    }
    push_del(rt, &trigger)?;
    let moved = push_add(rt, &target, tdef)?;
    if let Some(moved) = moved.as_obj::<TriggerObj>() {
        *obj.0.write() = moved.0.read().clone();
    }
    Ok(Item::NULL)
}
