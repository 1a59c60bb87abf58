//! Small libraries about records of the cortex: `$lib.macro`, `$lib.graph`, `$lib.pkg`, `$lib.globals`.

use myelin_error::{Error, err};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt, fail};
use myelin_value::{Map, Value};

use super::queue::{PkgQueues, PkgVars};
use super::util::{core, dict, tuple, user};
use crate::parts::easyperm::{self, Level};

const GRANT: &[Arg] = &[Arg::req("name"), Arg::req("scope"), Arg::req("iden"), Arg::req("level")];

static MACRO: LibDef = LibDef {
    path: "macro",
    funcs: &[
        FuncDef::rw("del", &[Arg::req("name")], |rt, _, args| {
            Ok(Item::stored(&core(rt)?.macros.del(&args.str(rt, 0)?, &user(rt)?)?))
        }),
        FuncDef::ro("get", &[Arg::req("name")], |rt, _, args| {
            let name = args.str(rt, 0)?;
            let macros = &core(rt)?.macros;
            if macros.find(&name)?.is_none() {
                return Ok(Item::NULL);
            }
            Ok(dict(macros.require(&name, &user(rt)?)?))
        }),
        FuncDef::rw("grant", GRANT, |rt, _, args| {
            let (name, scope, iden) = (args.str(rt, 0)?, args.str(rt, 1)?, args.str(rt, 2)?);
            let level = level(rt, &args, 3)?;
            core(rt)?.macros.grant(&name, &scope, &iden, level, &user(rt)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            let rows = core(rt)?.macros.list(&user(rt)?)?;
            let name = |mdef: &Map| mdef.get("name").cloned().unwrap_or_default();
            Ok(Item::list(rows.into_iter().map(|mdef| tuple([name(&mdef), mdef.into()]))))
        }),
        FuncDef::rw("mod", &[Arg::req("name"), Arg::req("info")], macro_mod),
        FuncDef::rw("set", &[Arg::req("name"), Arg::req("storm")], |rt, _, args| {
            let (name, storm) = (args.str(rt, 0)?, args.str(rt, 1)?);
            rt.parse(&storm)?;
            let (macros, user) = (&core(rt)?.macros, user(rt)?);
            match macros.find(&name)? {
                None => drop(macros.add(&name, &storm, &user)?),
                Some(_) => drop(macros.modify(&name, Map::new().with("storm", storm), &user)?),
            }
            Ok(Item::NULL)
        }),
    ],
    consts: &[],
};

fn level(rt: &Rt, args: &Args, indx: usize) -> Flow<Option<Level>> {
    Ok(args.opt_int(rt, indx)?.map(Level::from_number).transpose()?)
}

fn macro_mod(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (name, info) = (args.str(rt, 0)?, args.prim(rt, 1)?);
    let Some(info) = info.as_map() else {
        fail!("BadArg", mesg = "What changes in a macro is given as a dictionary.");
    };
    for (key, valu) in info.text_entries() {
        match key {
            "name" | "desc" => {}
            "storm" => drop(rt.parse(valu.as_str().unwrap_or_default())?),
            _ => fail!("BadArg", mesg = format!("A macro has no {key} that may be changed.")),
        }
    }
    core(rt)?.macros.modify(&name, info.clone(), &user(rt)?)?;
    Ok(Item::NULL)
}

static GRAPH: LibDef = LibDef {
    path: "graph",
    funcs: &[
        FuncDef::rw("activate", &[Arg::req("iden")], |rt, _, args| {
            rt.set_graph(graph(rt, &args.str(rt, 0)?)?.into());
            Ok(Item::NULL)
        }),
        FuncDef::rw("add", &[Arg::req("gdef")], |rt, _, args| {
            let gdef = args.prim(rt, 0)?.as_map().cloned().unwrap_or_default();
            Ok(Item::stored(&core(rt)?.graphs.add(gdef, &user(rt)?)?))
        }),
        FuncDef::rw("del", &[Arg::req("iden")], |rt, _, args| {
            core(rt)?.graphs.del(&args.str(rt, 0)?, &user(rt)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("get", &[Arg::opt("iden", Dflt::Null)], |rt, _, args| match args.opt_str(rt, 0)? {
            None => Ok(rt.graph().map_or(Item::NULL, |rules| Item::stored(&rules))),
            Some(iden) => Ok(dict(graph(rt, &iden)?)),
        }),
        FuncDef::rw(
            "grant",
            &[Arg::req("gden"), Arg::req("scope"), Arg::req("iden"), Arg::req("level")],
            |rt, _, args| {
                let (gden, scope, iden) = (args.str(rt, 0)?, args.str(rt, 1)?, args.str(rt, 2)?);
                let level = level(rt, &args, 3)?;
                core(rt)?.graphs.grant(&gden, &scope, &iden, level, &user(rt)?)?;
                Ok(Item::NULL)
            },
        ),
        FuncDef::ro("list", &[], |rt, _, _| {
            let (core, user) = (core(rt)?, user(rt)?);
            let mut found = core.graphs.list(&user);
            let of_packages = core.packages.loaded();
            let readable = |gdef: &&std::sync::Arc<Map>| easyperm::allows(gdef, &user, Level::Read);
            found.extend(of_packages.graphs.values().filter(readable).map(|gdef| Map::clone(gdef)));
            found.sort_by(|left, right| left.get_str("name").cmp(&right.get_str("name")));
            Ok(Item::list(found.into_iter().map(dict)))
        }),
        FuncDef::rw("mod", &[Arg::req("iden"), Arg::req("info")], |rt, _, args| {
            let (iden, info) = (args.str(rt, 0)?, args.prim(rt, 1)?);
            let info = info.as_map().cloned().unwrap_or_default();
            let editable = [
                "name",
                "desc",
                "refs",
                "edges",
                "forms",
                "pivots",
                "degrees",
                "filters",
                "filterinput",
                "yieldfiltered",
            ];
            if let Some((key, _)) = info.text_entries().find(|(key, _)| !editable.contains(key)) {
                fail!("BadArg", mesg = format!("User may not edit the field: {key}."));
            }
            core(rt)?.graphs.modify(&iden, info, &user(rt)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("revoke", &[Arg::req("gden"), Arg::req("scope"), Arg::req("iden")], |rt, _, args| {
            let (gden, scope, iden) = (args.str(rt, 0)?, args.str(rt, 1)?, args.str(rt, 2)?);
            core(rt)?.graphs.grant(&gden, &scope, &iden, None, &user(rt)?)?;
            Ok(Item::NULL)
        }),
    ],
    consts: &[],
};

/// A projection of a user or of a package.
fn graph(rt: &Rt, iden: &str) -> Flow<Map> {
    let core = core(rt)?;
    if let Some(gdef) = core.packages.loaded().graphs.get(iden) {
        return Ok(Map::clone(gdef));
    }
    Ok(core.graphs.get(iden, &user(rt)?)?)
}

static PKG: LibDef = LibDef {
    path: "pkg",
    funcs: &[
        FuncDef::rw("add", &[Arg::req("pkgdef"), Arg::opt("verify", Dflt::Bool(false))], |rt, _, args| {
            rt.confirm(&["pkg", "add"], None)?;
            let pkgdef = args.prim(rt, 0)?;
            if args.bool(rt, 1)? {
                return Err(Error::not_supported("Checking the signature of a package").into());
            }
            core(rt)?.packages.add(pkgdef_of(&pkgdef)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("del", &[Arg::req("name")], |rt, _, args| {
            rt.confirm(&["pkg", "del"], None)?;
            core(rt)?.packages.del(&args.str(rt, 0)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("deps", &[Arg::req("pkgdef")], |rt, _, args| {
            let pkgdef = args.prim(rt, 0)?;
            Ok(dict(core(rt)?.packages.dependencies(pkgdef_of(&pkgdef)?)?))
        }),
        FuncDef::ro("get", &[Arg::req("name")], |rt, _, args| {
            Ok(core(rt)?.packages.get(&args.str(rt, 0)?).map_or(Item::NULL, |pkgdef| dict(Map::clone(&pkgdef))))
        }),
        FuncDef::ro("has", &[Arg::req("name")], |rt, _, args| {
            Ok(Item::from(core(rt)?.packages.get(&args.str(rt, 0)?).is_some()))
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            let loaded = core(rt)?.packages.loaded();
            let mut names: Vec<_> = loaded.packages.iter().collect();
            names.sort_by(|left, right| left.0.cmp(right.0));
            Ok(Item::list(names.into_iter().map(|(_, pkgdef)| dict(Map::clone(pkgdef)))))
        }),
        FuncDef::rw("queues", &[Arg::req("name")], |rt, _, args| {
            let name = args.str(rt, 0)?;
            rt.confirm(&["power-ups", &name, "admin"], None)?;
            Ok(Item::obj(PkgQueues(name)))
        }),
        FuncDef::rw("vars", &[Arg::req("name")], |rt, _, args| {
            let name = args.str(rt, 0)?;
            rt.confirm(&["power-ups", &name, "admin"], None)?;
            Ok(Item::obj(PkgVars(name)))
        }),
    ],
    consts: &[],
};

fn pkgdef_of(valu: &Value) -> Flow<&Map> {
    match valu.as_map() {
        Some(map) => Ok(map),
        None => Err(err!("SchemaViolation", mesg = "A package is a dictionary.", name = "pkgdef").into()),
    }
}

static GLOBALS: LibDef = LibDef {
    path: "globals",
    funcs: &[
        FuncDef::ro("get", &[Arg::req("name"), Arg::opt("default", Dflt::Null)], |rt, _, args| {
            let name = global_name(rt, &args)?;
            rt.confirm(&["globals", "get", &name], None)?;
            Ok(core(rt)?.vars.get(&name)?.map_or_else(|| args.item(1).clone(), |valu| Item::deep(&valu)))
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            let mut items = core(rt)?.vars.items()?;
            items.retain(|(name, _)| rt.allowed(&["globals", "get", name], None));
            Ok(Item::list(items.into_iter().map(|(name, valu)| Item::list([Item::from(name), Item::deep(&valu)]))))
        }),
        FuncDef::rw("pop", &[Arg::req("name"), Arg::opt("default", Dflt::Null)], |rt, _, args| {
            let name = global_name(rt, &args)?;
            rt.confirm(&["globals", "pop", &name], None)?;
            Ok(core(rt)?.vars.pop(&name)?.map_or_else(|| args.item(1).clone(), |valu| Item::deep(&valu)))
        }),
        FuncDef::rw("set", &[Arg::req("name"), Arg::req("valu")], |rt, _, args| {
            let (name, valu) = (global_name(rt, &args)?, args.prim(rt, 1)?);
            rt.confirm(&["globals", "set", &name], None)?;
            Ok(Item::deep(&core(rt)?.vars.set(&name, valu)?))
        }),
    ],
    consts: &[],
};

fn global_name(rt: &Rt, args: &Args) -> Flow<String> {
    match args.item(0).as_str() {
        Some(name) => Ok(name.to_owned()),
        None => {
            let name = args.prim(rt, 0)?;
            fail!("StormRuntimeError", mesg = "The name of a persistent variable must be a string.", name = name)
        }
    }
}

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    for lib in [&MACRO, &GRAPH, &PKG, &GLOBALS] {
        registry.add_lib(lib);
    }
}
