//! `$lib.auth.gates` and the object `auth:gate`.

use std::any::Any;

use myelin_cell::AuthGate;
use myelin_storm::item::{StormObj, TypeDef};
use myelin_storm::{Arg, Flow, FuncDef, Item, LibDef, Registry, Rt, fail};
use myelin_value::{Map, Value};

use crate::libs::util::core;

static LIB: LibDef = LibDef {
    path: "auth.gates",
    funcs: &[
        FuncDef::ro("get", &[Arg::req("iden")], |rt, _, args| {
            let iden = args.prim(rt, 0)?;
            let gate = core(rt)?.cell.auth().gate(iden.as_str().unwrap_or_default());
            Ok(gate.map_or(Item::NULL, |gate| GateObj::of(&gate)))
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            Ok(Item::list(core(rt)?.cell.auth().gates().iter().map(|gate| GateObj::of(gate))))
        }),
    ],
    consts: &[],
};

static DEF: TypeDef = TypeDef {
    name: "auth:gate",
    funcs: &[],
    getters: &[
        ("iden", |_, this| field(this, "iden")),
        ("type", |_, this| field(this, "type")),
        ("roles", |_, this| field(this, "roles")),
        ("users", |_, this| field(this, "users")),
    ],
    setters: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&DEF]);
    registry.add_lib(&LIB);
}

/// A gate, packed when the object was made.
pub struct GateObj(Map);

impl GateObj {
    /// The object of a gate.
    pub fn of(gate: &AuthGate) -> Item {
        Item::obj(GateObj(gate.pack()))
    }
}

impl StormObj for GateObj {
    fn type_name(&self) -> &'static str {
        "auth:gate"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&DEF)
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.0.clone().into())
    }

    fn is_mutable(&self) -> bool {
        false
    }

    fn hash_key(&self) -> Option<Value> {
        self.0.get("iden").cloned()
    }
}

fn field(this: &Item, name: &str) -> Flow<Item> {
    match this.as_obj::<GateObj>() {
        Some(gate) => Ok(gate.0.get(name).map(Item::deep).unwrap_or_default()),
        None => fail!("BadArg", mesg = "This is no gate."),
    }
}
