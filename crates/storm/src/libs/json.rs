//! `$lib.json`: JSON text and JSON schemas.

use std::any::Any;

use myelin_error::err;
use myelin_model::types::py;
use myelin_value::{Map, Value, json};

use super::jsontext;
use super::schema::Schema;
use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item, StormObj, TypeDef};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "json",
    funcs: &[
        FuncDef::ro("save", &[Arg::req("item"), Arg::opt("indent", Dflt::Bool(false))], save),
        FuncDef::ro("load", &[Arg::req("text")], |rt, _, args| Ok(Item::deep(&jsontext::loads(&args.str(rt, 0)?)?))),
        FuncDef::ro("schema", &[Arg::req("schema"), Arg::opt("use_default", Dflt::Bool(true))], schema),
    ],
    consts: &[],
};

fn save(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let indent = args.bool(rt, 1)?;
    let valu = match args.prim(rt, 0) {
        Ok(valu) => valu,
        Err(crate::Ctl::Err(_)) => {
            let shown = args.item(0).torepr(rt, false).unwrap_or_default();
            crate::fail!("MustBeJsonSafe", mesg = format!("Argument is not JSON compatible: {shown}"));
        }
        Err(ctl) => return Err(ctl),
    };
    Ok(Item::from(jsontext::dumps(&valu, false, indent)?))
}

fn schema(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (valu, use_default) = (args.prim(rt, 0)?, args.bool(rt, 1)?);
    let bad = |why: &str| {
        let mesg = format!("Unable to compile Json Schema: {why}");
        err!("StormRuntimeError", mesg = mesg, schema = valu.clone())
    };
    let json = json::to_json(&valu).map_err(|why| bad(why.0))?;
    let made = Schema::compile(json, use_default).map_err(|error| bad(error.message()))?;
    Ok(Item::obj(JsonSchema(made)))
}

/// A compiled schema.
pub struct JsonSchema(Schema);

pub(super) static TYPE: TypeDef = TypeDef {
    name: "json:schema",
    funcs: &[
        FuncDef::ro("schema", &[], |_, this, _| {
            let found = this.as_obj::<JsonSchema>();
            Ok(found.map(|schema| Item::deep(&json::from_json(schema.0.json()))).unwrap_or_default())
        }),
        FuncDef::ro("validate", &[Arg::req("item")], validate),
    ],
    getters: &[],
    setters: &[],
};

fn validate(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let Some(schema) = this.as_obj::<JsonSchema>() else { return Ok(Item::NULL) };
    match schema.0.check(&args.prim(rt, 0)?) {
        Ok(made) => Ok(Item::list([Item::from(true), Item::deep(&made)])),
        Err(error) if error.is("SchemaViolation") => {
            let info = Map::new().with("mesg", error.message());
            Ok(Item::Val(Value::list([Value::from(false), Value::from(info)])))
        }
        Err(error) => Err(error.into()),
    }
}

impl StormObj for JsonSchema {
    fn type_name(&self) -> &'static str {
        "json:schema"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&TYPE)
    }

    fn repr(&self, _rt: &Rt) -> Flow<String> {
        Ok(format!("json:schema: {}", py::repr_text(&json::from_json(self.0.json()))))
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Err(err!("NoSuchType", mesg = "Unable to convert object to Storm primitive.", name = "JsonSchema").into())
    }

    fn is_mutable(&self) -> bool {
        false
    }
}
