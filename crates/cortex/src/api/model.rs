//! Calls about the data model: what it is, what values become, what users add.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_model::{NormCx, Type};
use myelin_telepath::{Args, MethTable};
use myelin_value::Value;

use super::CoreApi;

pub(super) fn add(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    extended(
        table
            .blocking("getModelDict", "", |api, _, _| Ok(api.core.model().model_dict()))
            .blocking("getModelDefs", "", |api, _, _| Ok(api.core.model().model_defs()))
            .blocking("getFormsByPrefix", "prefix", |api, _, args| {
                let forms = api.core.model().forms_by_prefix(args.str("prefix")?);
                Ok(forms.iter().map(|form| Value::from(&form.name)).collect::<Value>())
            })
            .blocking("getPropNorm", "prop, valu, typeopts=None", |api, _, args| {
                let (model, name) = (api.core.model(), args.str("prop")?);
                let missing = || err!("NoSuchProp", mesg = format!("The property {name} does not exist."), prop = name);
                norm(api, &model.prop(name).ok_or_else(missing)?.typ, &args)
            })
            .blocking("getTypeNorm", "name, valu, typeopts=None", |api, _, args| {
                let (model, name) = (api.core.model(), args.str("name")?);
                let missing = || err!("NoSuchType", mesg = format!("The type {name} does not exist."), name = name);
                norm(api, model.typ(name).ok_or_else(missing)?, &args)
            })
            .blocking("getCoreMods", "", |api, _, _| {
                api.admin()?;
                Ok(Value::empty_list())
            })
            .blocking("getFeedFuncs", "", |_, _, _| Ok(crate::info::feeds())),
    )
}

/// Normalises a value by a type, with further options if any were given: `[norm, info]`.
fn norm(api: &CoreApi, typ: &Arc<Type>, args: &Args) -> Result<Value> {
    let model = api.core.model();
    let typ = match args.get("typeopts").as_map().filter(|opts| !opts.is_empty()) {
        Some(opts) => typ.with_opts(&*model, opts)?,
        None => typ.clone(),
    };
    let norm = typ.norm(&NormCx::new(model), args.get("valu"))?;
    Ok(Value::list([norm.value, norm.info.pack()]))
}

fn extended(table: MethTable<CoreApi>) -> MethTable<CoreApi> {
    table
        .blocking("addType", "typename, basetype, typeopts, typeinfo", |api, _, args| {
            let name = args.str("typename")?;
            api.confirm(&["model", "type", "add", name])?;
            api.core.ext.add_type(
                name,
                args.str("basetype")?,
                args.get("typeopts").clone(),
                args.get("typeinfo").clone(),
            )
        })
        .blocking("addForm", "formname, basetype, typeopts, typeinfo", |api, _, args| {
            let name = args.str("formname")?;
            api.confirm(&["model", "form", "add", name])?;
            api.core.ext.add_form(
                name,
                args.str("basetype")?,
                args.get("typeopts").clone(),
                args.get("typeinfo").clone(),
            )
        })
        .blocking("delForm", "formname", |api, _, args| {
            let name = args.str("formname")?;
            api.confirm(&["model", "form", "del", name])?;
            api.core.ext.del_form(name)
        })
        .blocking("addFormProp", "form, prop, tdef, info", |api, _, args| {
            let form = args.str("form")?;
            api.confirm(&["model", "prop", "add", form])?;
            api.core.ext.add_prop(form, args.str("prop")?, args.get("tdef").clone(), args.get("info").clone())
        })
        .blocking("delFormProp", "form, name", |api, _, args| {
            let form = args.str("form")?;
            api.confirm(&["model", "prop", "del", form])?;
            api.core.ext.del_prop(form, args.str("name")?)
        })
        .blocking("addUnivProp", "name, tdef, info", |api, _, args| {
            api.confirm(&["model", "univ", "add"])?;
            api.core.ext.add_univ(args.str("name")?, args.get("tdef").clone(), args.get("info").clone())
        })
        .blocking("delUnivProp", "name", |api, _, args| {
            api.confirm(&["model", "univ", "del"])?;
            api.core.ext.del_univ(args.str("name")?)
        })
        .blocking("addTagProp", "name, tdef, info", |api, _, args| {
            api.confirm(&["model", "tagprop", "add"])?;
            api.core.ext.add_tagprop(args.str("name")?, args.get("tdef").clone(), args.get("info").clone())
        })
        .blocking("delTagProp", "name", |api, _, args| {
            api.confirm(&["model", "tagprop", "del"])?;
            api.core.ext.del_tagprop(args.str("name")?)
        })
        .blocking("addEdge", "edge, edgeinfo", |api, _, args| {
            api.confirm(&["model", "edge", "add"])?;
            api.core.ext.add_edge(args.get("edge").clone(), args.get("edgeinfo").clone())
        })
}
