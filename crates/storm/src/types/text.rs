//! `$lib.text()`: text that grows. Long out of use, kept for old queries.

use std::any::Any;

use myelin_value::Value;
use parking_lot::Mutex;

use crate::ctl::Flow;
use crate::item::{Arg, Args, FuncDef, Item, StormObj, TypeDef};
use crate::libs::help::kwarg_format;
use crate::rt::Rt;

/// Text that grows.
pub struct Text(pub Mutex<String>);

/// Its methods.
pub static TYPE: TypeDef = TypeDef {
    name: "text",
    funcs: &[
        FuncDef::ro("add", &[Arg::req("text"), Arg::kwargs("kwargs")], add),
        FuncDef::ro("str", &[], |_, this, _| {
            Ok(this.as_obj::<Text>().map(|text| Item::from(text.0.lock().clone())).unwrap_or_default())
        }),
    ],
    getters: &[],
    setters: &[],
};

fn add(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let more = kwarg_format(rt, &args.str(rt, 0)?, args.kwargs())?;
    if let Some(text) = this.as_obj::<Text>() {
        text.0.lock().push_str(&more);
    }
    Ok(Item::NULL)
}

impl StormObj for Text {
    fn type_name(&self) -> &'static str {
        "text"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&TYPE)
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(Value::from(self.0.lock().as_str()))
    }

    fn size(&self, _rt: &Rt) -> Flow<Option<usize>> {
        Ok(Some(self.0.lock().chars().count()))
    }
}
