//! `$lib.model.ext`: what users add to the data model.

use std::sync::Arc;

use myelin_error::{Error, err};
use myelin_graph as graph;
use myelin_graph::{EditOp, NodeEdit};
use myelin_model::is_base_prop_name;
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_value::{Map, Value};

use super::util::{core, solo};
use crate::parts::now_millis;

const FORCE: Arg = Arg::opt("force", Dflt::Bool(false));
const EDGE_ARGS: &[Arg] = &[Arg::req("n1form"), Arg::req("verb"), Arg::req("n2form")];

static LIB: LibDef = LibDef {
    path: "model.ext",
    funcs: &[
        FuncDef::rw(
            "addEdge",
            &[Arg::req("n1form"), Arg::req("verb"), Arg::req("n2form"), Arg::req("edgeinfo")],
            |rt, _, args| {
                let (edge, info) = (edge_key(rt, &args)?, args.prim(rt, 3)?);
                rt.confirm(&["model", "edge", "add"], None)?;
                core(rt)?.ext.add_edge(edge, info)?;
                Ok(Item::NULL)
            },
        ),
        FuncDef::rw("addExtModel", &[Arg::req("model")], |rt, _, args| {
            rt.req_admin(None, None)?;
            core(rt)?.ext.add_all(&args.prim(rt, 0)?)?;
            Ok(Item::from(true))
        }),
        FuncDef::rw(
            "addForm",
            &[Arg::req("formname"), Arg::req("basetype"), Arg::req("typeopts"), Arg::req("typeinfo")],
            |rt, _, args| {
                let (name, base) = (args.str(rt, 0)?, args.str(rt, 1)?);
                rt.confirm(&["model", "form", "add", &name], None)?;
                core(rt)?.ext.add_form(&name, &base, args.prim(rt, 2)?, args.prim(rt, 3)?)?;
                Ok(Item::NULL)
            },
        ),
        FuncDef::rw(
            "addFormProp",
            &[Arg::req("formname"), Arg::req("propname"), Arg::req("typedef"), Arg::req("propinfo")],
            |rt, _, args| {
                let (form, name) = (args.str(rt, 0)?, args.str(rt, 1)?);
                rt.confirm(&["model", "prop", "add", &form], None)?;
                check_name(&name, "prop")?;
                core(rt)?.ext.add_prop(&form, &name, args.prim(rt, 2)?, args.prim(rt, 3)?)?;
                Ok(Item::NULL)
            },
        ),
        FuncDef::rw("addTagProp", &[Arg::req("propname"), Arg::req("typedef"), Arg::req("propinfo")], |rt, _, args| {
            let name = args.str(rt, 0)?;
            rt.confirm(&["model", "tagprop", "add"], None)?;
            check_name(&name, "name")?;
            core(rt)?.ext.add_tagprop(&name, args.prim(rt, 1)?, args.prim(rt, 2)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw(
            "addType",
            &[Arg::req("typename"), Arg::req("basetype"), Arg::req("typeopts"), Arg::req("typeinfo")],
            |rt, _, args| {
                let (name, base) = (args.str(rt, 0)?, args.str(rt, 1)?);
                rt.confirm(&["model", "type", "add", &name], None)?;
                core(rt)?.ext.add_type(&name, &base, args.prim(rt, 2)?, args.prim(rt, 3)?)?;
                Ok(Item::NULL)
            },
        ),
        FuncDef::rw(
            "addUnivProp",
            &[Arg::req("propname"), Arg::req("typedef"), Arg::req("propinfo")],
            |rt, _, args| {
                let name = args.str(rt, 0)?;
                rt.confirm(&["model", "univ", "add"], None)?;
                check_name(&name, "name")?;
                core(rt)?.ext.add_univ(&name, args.prim(rt, 1)?, args.prim(rt, 2)?)?;
                Ok(Item::NULL)
            },
        ),
        FuncDef::rw("delEdge", EDGE_ARGS, |rt, _, args| {
            let edge = edge_key(rt, &args)?;
            rt.confirm(&["model", "edge", "del"], None)?;
            core(rt)?.ext.del_edge(&edge)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("delForm", &[Arg::req("formname")], |rt, _, args| {
            let name = args.str(rt, 0)?;
            rt.confirm(&["model", "form", "del", &name], None)?;
            core(rt)?.ext.del_form(&name)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("delFormProp", &[Arg::req("formname"), Arg::req("propname"), FORCE], |rt, _, args| {
            let (form, name, force) = (args.str(rt, 0)?, args.str(rt, 1)?, args.bool(rt, 2)?);
            rt.confirm(&["model", "prop", "del", &form], None)?;
            let ext = &core(rt)?.ext;
            if force {
                ext.require_prop(&form, &name)?;
                clear_prop(rt, Some(&form), &name)?;
            }
            ext.del_prop(&form, &name)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("delTagProp", &[Arg::req("propname"), FORCE], |rt, _, args| {
            let (name, force) = (args.str(rt, 0)?, args.bool(rt, 1)?);
            rt.confirm(&["model", "tagprop", "del"], None)?;
            let ext = &core(rt)?.ext;
            if force {
                ext.require_tagprop(&name)?;
                clear_tagprop(rt, &name)?;
            }
            ext.del_tagprop(&name)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("delType", &[Arg::req("typename")], |rt, _, args| {
            let name = args.str(rt, 0)?;
            rt.confirm(&["model", "type", "del", &name], None)?;
            core(rt)?.ext.del_type(&name)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("delUnivProp", &[Arg::req("propname"), FORCE], |rt, _, args| {
            let (name, force) = (args.str(rt, 0)?, args.bool(rt, 1)?);
            rt.confirm(&["model", "univ", "del"], None)?;
            let ext = &core(rt)?.ext;
            if force {
                ext.require_univ(&name)?;
                clear_prop(rt, None, &format!(".{name}"))?;
            }
            ext.del_univ(&name)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("getExtModel", &[], |rt, _, _| Ok(Item::stored(&core(rt)?.ext.pack()))),
    ],
    consts: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&LIB);
}

/// Refuses the name of a property that no query could write.
fn check_name(name: &str, key: &str) -> Flow<()> {
    if is_base_prop_name(name) {
        return Ok(());
    }
    let error: Error = err!("BadPropDef", mesg = format!("{name} is no name for a property."));
    Err(error.with(key, name).into())
}

/// Form, verb, form: an asterisk stands for any form.
fn edge_key(rt: &Rt, args: &Args) -> Flow<Value> {
    let (n1form, verb, n2form) = (args.opt_str(rt, 0)?, args.str(rt, 1)?, args.opt_str(rt, 2)?);
    let lower = verb.chars().any(char::is_lowercase) && !verb.chars().any(char::is_uppercase);
    let plain = verb.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | ':' | '.'))
        && (1..=200).contains(&verb.chars().count());
    if !plain || !lower {
        let mesg = format!("{verb} is no verb for an edge.");
        return Err(err!("BadEdgeDef", mesg = mesg, n1form = n1form, verb = verb, n2form = n2form).into());
    }
    let form = |form: Option<Arc<str>>| Value::from(form.filter(|form| &**form != "*"));
    Ok(Value::list([form(n1form), Value::from(verb), form(n2form)]))
}

/// How many nodes are cleared by one event.
const BATCH: usize = 1000;

fn meta(rt: &Rt) -> Value {
    Map::new().with("user", rt.user().iden()).with("time", now_millis()).into()
}

/// Removes a property from every node of every layer; no trigger runs.
fn clear_prop(rt: &Rt, form: Option<&str>, name: &str) -> Flow<()> {
    let (model, prop) = (rt.model(), Arc::<str>::from(name));
    let full = form.map_or_else(|| name.to_owned(), |form| format!("{form}:{name}"));
    let stor = model.req_prop(&full)?.typ.stortype;
    let by = graph::LiftBy::Prop { form: form.map(Arc::from), prop: prop.clone() };
    clear(rt, &by, |_, buid, form| {
        NodeEdit::new(buid, form, [EditOp::PropDel { prop: prop.clone(), old: Value::Null, stor }])
    })
}

/// Removes a property of tags from every node of every layer; no trigger runs.
fn clear_tagprop(rt: &Rt, name: &str) -> Flow<()> {
    let model = rt.model();
    let (prop, stor) = (Arc::<str>::from(name), model.req_tagprop(name)?.typ.stortype);
    for layer in core(rt)?.stack.layers() {
        for (form, tag, have) in layer.tag_props() {
            let (Some(form), true) = (form, have == name) else { continue };
            let tag = Arc::<str>::from(tag);
            let by = graph::LiftBy::TagProp { form: Some(Arc::from(form)), tag: tag.clone(), prop: prop.clone() };
            clear_in(rt, &layer, &by, |_, buid, form| {
                let op = EditOp::TagPropDel { tag: tag.clone(), prop: prop.clone(), old: Value::Null, stor };
                NodeEdit::new(buid, form, [op])
            })?;
        }
    }
    Ok(())
}

type MakeEdit<'a> = &'a dyn Fn(&graph::Layer, myelin_value::Buid, Arc<str>) -> NodeEdit;

fn clear(
    rt: &Rt,
    by: &graph::LiftBy,
    make: impl Fn(&graph::Layer, myelin_value::Buid, Arc<str>) -> NodeEdit,
) -> Flow<()> {
    for layer in core(rt)?.stack.layers() {
        clear_in(rt, &layer, by, &make)?;
    }
    Ok(())
}

fn clear_in(
    rt: &Rt,
    layer: &Arc<graph::Layer>,
    by: &graph::LiftBy,
    make: impl Fn(&graph::Layer, myelin_value::Buid, Arc<str>) -> NodeEdit,
) -> Flow<()> {
    let make: MakeEdit<'_> = &make;
    let mut lift = solo(layer)?.lift(graph::Lift::all(by.clone()));
    let mut edits = Vec::new();
    while let Some(buid) = lift.next_buid()? {
        rt.tick()?;
        let Some(byts) = layer.sode(&buid)? else { continue };
        let Some(form) = graph::SodeRef::new(&byts).form()? else { continue };
        edits.push(make(layer, buid, Arc::from(form)));
        if edits.len() >= BATCH {
            layer.save_edits(&std::mem::take(&mut edits), &meta(rt))?;
        }
    }
    if !edits.is_empty() {
        layer.save_edits(&edits, &meta(rt))?;
    }
    rt.snap().clear_cache();
    Ok(())
}
