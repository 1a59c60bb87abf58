//! `$lib.dmon`: queries that run in the background.

use myelin_error::err;
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_value::{Map, Value};

use super::util::{core, data};

const IDEN: &[Arg] = &[Arg::req("iden")];

static LIB: LibDef = LibDef {
    path: "dmon",
    funcs: &[
        FuncDef::rw(
            "add",
            &[Arg::req("text"), Arg::opt("name", Dflt::Str("noname")), Arg::opt("ddef", Dflt::Null)],
            add,
        ),
        FuncDef::ro("get", IDEN, |rt, _, args| Ok(core(rt)?.dmons.get(&args.str(rt, 0)?).map_or(Item::NULL, data))),
        FuncDef::ro("list", &[], |rt, _, _| {
            Ok(data(core(rt)?.dmons.list().into_iter().map(Value::from).collect::<Value>()))
        }),
        FuncDef::ro("log", IDEN, |rt, _, args| {
            rt.confirm(&["dmon", "log"], None)?;
            Ok(data(core(rt)?.dmons.log(&args.str(rt, 0)?)))
        }),
        FuncDef::rw("del", IDEN, |rt, _, args| {
            let iden = args.str(rt, 0)?;
            let dmons = &core(rt)?.dmons;
            let Some(ddef) = dmons.get(&iden) else {
                return Err(err!("NoSuchIden", mesg = format!("No storm dmon with iden: {iden}")).into());
            };
            if ddef.get_str("user") != Some(rt.user().iden()) {
                rt.confirm(&["dmon", "del", &iden], None)?;
            }
            dmons.del(&iden)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("bump", IDEN, |rt, _, args| {
            let Some(iden) = allowed(rt, &args)? else { return Ok(Item::from(false)) };
            Ok(data(core(rt)?.dmons.bump(&iden)?))
        }),
        FuncDef::rw("stop", IDEN, |rt, _, args| {
            let Some(iden) = allowed(rt, &args)? else { return Ok(Item::from(false)) };
            Ok(data(core(rt)?.dmons.enable(&iden, false)?))
        }),
        FuncDef::rw("start", IDEN, |rt, _, args| {
            let Some(iden) = allowed(rt, &args)? else { return Ok(Item::from(false)) };
            Ok(data(core(rt)?.dmons.enable(&iden, true)?))
        }),
    ],
    consts: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&LIB);
}

/// The iden of a dmon that the user may start and stop; nothing if there is none.
fn allowed(rt: &Rt, args: &Args) -> Flow<Option<String>> {
    let iden = args.str(rt, 0)?;
    let Some(ddef) = core(rt)?.dmons.get(&iden) else { return Ok(None) };
    let view = ddef.get("stormopts").and_then(|opts| opts.get("view")?.as_str());
    rt.confirm(&["dmon", "add"], view)?;
    Ok(Some(iden.to_string()))
}

fn add(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let mut vars = Map::new();
    let mut keep = |items: &myelin_storm::rt::VarMap| -> Flow<()> {
        for (name, item) in items.iter() {
            match item.toprim(rt) {
                Ok(valu) => {
                    vars.insert(name, valu);
                }
                Err(error) if error.isa("NoSuchType") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    if let Item::Query(query) = args.item(0) {
        keep(&query.vars())?;
    }
    keep(&rt.vars())?;
    let text = args.str(rt, 0)?;
    let mut ddef = args.prim(rt, 2)?.as_map().cloned().unwrap_or_default();
    ddef.remove("view");
    let view = match ddef.get("stormopts").and_then(|opts| opts.get("view")).filter(|view| !view.is_null()) {
        Some(view) => {
            let iden = Item::Val(view.clone()).tostr(rt)?;
            core(rt)?.stack.require_view(&iden)?;
            iden
        }
        None => rt.snap().view().iden(),
    };
    rt.confirm(&["dmon", "add"], Some(&view))?;
    let opts = Map::new().with("vars", vars).with("view", &*view);
    ddef.insert("name", args.prim(rt, 1)?);
    ddef.insert("user", rt.user().iden());
    ddef.insert("storm", &*text);
    ddef.insert("stormopts", opts);
    if !ddef.contains("enabled") {
        ddef.insert("enabled", true);
    }
    Ok(data(core(rt)?.dmons.add(ddef)?))
}
