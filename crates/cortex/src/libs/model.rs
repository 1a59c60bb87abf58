//! `$lib.model`: forms, properties and types as objects, deprecation locks, tag models, verbs of edges.

use std::any::Any;
use std::sync::Arc;

use myelin_model::pack::{pack_form, pack_prop, pack_tagprop};
use myelin_model::{Form, Norm, Prop, TagProp, Type};
use myelin_storm::item::{StormObj, TypeDef};
use myelin_storm::{Arg, Args, Flow, FuncDef, Item, LibDef, Registry, Rt, fail};
use myelin_value::{Map, Value};

use super::util::{confirm_gate, core, dict, this_view, tuple};

static LIB: LibDef = LibDef {
    path: "model",
    funcs: &[
        FuncDef::ro("form", &[Arg::req("name")], |rt, _, args| {
            Ok(rt.model().form(&args.str(rt, 0)?).map_or(Item::NULL, |form| Item::obj(FormObj(form.clone()))))
        }),
        FuncDef::ro("prop", &[Arg::req("name")], |rt, _, args| {
            Ok(rt.model().prop(&args.str(rt, 0)?).map_or(Item::NULL, |prop| Item::obj(PropObj(prop.clone()))))
        }),
        FuncDef::ro("tagprop", &[Arg::req("name")], |rt, _, args| {
            Ok(rt.model().tagprop(&args.str(rt, 0)?).map_or(Item::NULL, |prop| Item::obj(TagPropObj(prop.clone()))))
        }),
        FuncDef::ro("type", &[Arg::req("name")], |rt, _, args| {
            Ok(rt.model().typ(&args.str(rt, 0)?).map_or(Item::NULL, |typ| Item::obj(TypeObj(typ.clone()))))
        }),
    ],
    consts: &[],
};

static DEPRECATED: LibDef = LibDef {
    path: "model.deprecated",
    funcs: &[
        FuncDef::rw("lock", &[Arg::req("name"), Arg::req("locked")], |rt, _, args| {
            let (name, locked) = (args.str(rt, 0)?, args.bool(rt, 1)?);
            confirm_gate(rt, &["model", "deprecated", "lock"], None)?;
            core(rt)?.ext.set_depr_lock(&name, locked)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("locks", &[], |rt, _, _| Ok(dict(core(rt)?.ext.depr_locks().into_iter().collect()))),
    ],
    consts: &[],
};

static TAGS: LibDef = LibDef {
    path: "model.tags",
    funcs: &[
        FuncDef::rw("del", &[Arg::req("tagname")], |rt, _, args| {
            let tag = args.str(rt, 0)?;
            rt.confirm(&["model", "tag", "set"], None)?;
            core(rt)?.tagmodel.del(&tag)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("get", &[Arg::req("tagname")], |rt, _, args| {
            Ok(core(rt)?.tagmodel.get(&args.str(rt, 0)?).map_or(Item::NULL, |meta| Item::Val(meta.into())))
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            let rows = core(rt)?.tagmodel.list();
            Ok(Item::list(rows.into_iter().map(|(tag, meta)| tuple([tag.into(), meta.into()]))))
        }),
        FuncDef::rw("pop", &[Arg::req("tagname"), Arg::req("propname")], |rt, _, args| {
            let (tag, name) = (args.str(rt, 0)?, args.str(rt, 1)?);
            rt.confirm(&["model", "tag", "set"], None)?;
            Ok(Item::Val(core(rt)?.tagmodel.pop(&tag, &name)?))
        }),
        FuncDef::rw("set", &[Arg::req("tagname"), Arg::req("propname"), Arg::req("propvalu")], |rt, _, args| {
            let (tag, name, valu) = (args.str(rt, 0)?, args.str(rt, 1)?, args.prim(rt, 2)?);
            rt.confirm(&["model", "tag", "set"], None)?;
            core(rt)?.tagmodel.set(&tag, &name, valu)?;
            Ok(Item::NULL)
        }),
    ],
    consts: &[],
};

/// What can be said about a verb.
const EDGE_KEYS: [&str; 1] = ["doc"];

static EDGE: LibDef = LibDef {
    path: "model.edge",
    funcs: &[
        FuncDef::rw("del", &[Arg::req("verb"), Arg::req("key")], edge_del),
        FuncDef::ro("get", &[Arg::req("verb")], |rt, _, args| {
            let verb = known_verb(rt, &args)?;
            Ok(Item::Val(verb_info(rt, &verb)?.into()))
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            let verbs = super::view::verbs(&*this_view(rt)?)?;
            let rows: Flow<Vec<Item>> = verbs
                .into_iter()
                .map(|verb| {
                    let info = verb_info(rt, &verb)?;
                    Ok(tuple([verb.into(), info.into()]))
                })
                .collect();
            Ok(Item::list(rows?))
        }),
        FuncDef::rw("set", &[Arg::req("verb"), Arg::req("key"), Arg::req("valu")], edge_set),
        FuncDef::ro("validkeys", &[], |_, _, _| Ok(tuple(EDGE_KEYS.map(Value::from)))),
    ],
    consts: &[],
};

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&FORM, &PROP, &TAGPROP, &TYPE]);
    for lib in [&LIB, &DEPRECATED, &TAGS, &EDGE] {
        registry.add_lib(lib);
    }
}

fn known_verb(rt: &Rt, args: &Args) -> Flow<Arc<str>> {
    let verb = args.str(rt, 0)?;
    if !super::view::verbs(&*this_view(rt)?)?.iter().any(|have| **have == *verb) {
        fail!("NoSuchName", mesg = format!("No edge of this view has the verb {verb}."), name = verb);
    }
    Ok(verb)
}

/// What is said of a verb, and where it is kept.
fn verb_info(rt: &Rt, verb: &str) -> Flow<Map> {
    let kept = core(rt)?.cell.hive_get(&verb_path(verb))?;
    Ok(kept.as_map().cloned().unwrap_or_default())
}

fn verb_path(verb: &str) -> [&str; 5] {
    ["cortex", "model", "edges", verb, "extprops"]
}

fn edge_key(rt: &Rt, args: &Args) -> Flow<Arc<str>> {
    let key = args.str(rt, 1)?;
    if !EDGE_KEYS.contains(&&*key) {
        fail!("NoSuchProp", mesg = format!("There is no {key} of the verbs of edges."), name = key);
    }
    Ok(key)
}

fn edge_set(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (verb, key, valu) = (known_verb(rt, &args)?, edge_key(rt, &args)?, args.str(rt, 2)?);
    let info = verb_info(rt, &verb)?.with(&*key, &*valu);
    core(rt)?.cell.hive_set(&verb_path(&verb), info.into())?;
    Ok(Item::NULL)
}

fn edge_del(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (verb, key) = (known_verb(rt, &args)?, edge_key(rt, &args)?);
    let mut info = verb_info(rt, &verb)?;
    if info.remove(&key).is_none() {
        fail!("NoSuchProp", mesg = format!("Nothing is said of {key} for the verb {verb}."), verb = verb, name = key);
    }
    core(rt)?.cell.hive_set(&verb_path(&verb), info.into())?;
    Ok(Item::NULL)
}

macro_rules! model_obj {
    ($obj:ident, $inner:ty, $name:literal, $def:ident, $what:literal, $this:ident) => {
        #[doc = $what]
        struct $obj(Arc<$inner>);

        impl StormObj for $obj {
            fn type_name(&self) -> &'static str {
                $name
            }

            fn as_any(&self) -> &dyn Any {
                self
            }

            fn type_def(&self) -> Option<&'static TypeDef> {
                Some(&$def)
            }

            fn value(&self, _rt: &Rt) -> Flow<Value> {
                Ok(self.pack())
            }
        }

        fn $this(this: &Item) -> Flow<&Arc<$inner>> {
            match this.as_obj::<$obj>() {
                Some(obj) => Ok(&obj.0),
                None => fail!("BadArg", mesg = concat!("This is no ", $name, ".")),
            }
        }
    };
}

model_obj!(FormObj, Form, "model:form", FORM, "A form.", this_form);
model_obj!(PropObj, Prop, "model:property", PROP, "A property.", this_prop);
model_obj!(TagPropObj, TagProp, "model:tagprop", TAGPROP, "A property of tags.", this_tagprop);
model_obj!(TypeObj, Type, "model:type", TYPE, "A type.", this_type);

impl FormObj {
    fn pack(&self) -> Value {
        pack_form(&self.0)
    }
}

impl PropObj {
    fn pack(&self) -> Value {
        pack_prop(&self.0)
    }
}

impl TagPropObj {
    fn pack(&self) -> Value {
        pack_tagprop(&self.0)
    }
}

impl TypeObj {
    fn pack(&self) -> Value {
        let typ = &self.0;
        let base = typ.bases.last().map_or(Value::Null, |base| Value::from(&**base));
        let bases: Value = typ.bases.iter().map(|base| Value::from(&**base)).collect();
        let info = typ.info.clone().with("bases", bases).with("stortype", typ.stortype);
        Value::list([Value::from(&*typ.name), Value::list([base, typ.opts.clone().into()]), info.into()])
    }
}

/// Numbers and nodes are normalised as what they are, all else as the primitive it stands for.
fn norm_item(rt: &Rt, typ: &Type, item: &Item) -> Flow<Norm> {
    let cx = rt.norm_cx();
    Ok(match item {
        Item::Num(number) => typ.norm_number(&cx, number)?,
        Item::Node(node) => typ.norm_node(&cx, node.form_name(), node.valu())?,
        other => typ.norm(&cx, &other.toprim(rt)?)?,
    })
}

static FORM: TypeDef = TypeDef {
    name: "model:form",
    funcs: &[FuncDef::ro("prop", &[Arg::req("name")], |rt, this, args| {
        let prop = this_form(this)?.prop(&args.str(rt, 0)?).cloned();
        Ok(prop.map_or(Item::NULL, |prop| Item::obj(PropObj(prop))))
    })],
    getters: &[
        ("name", |_, this| Ok(Item::from(&*this_form(this)?.name))),
        ("type", |_, this| Ok(Item::obj(TypeObj(this_form(this)?.typ.clone())))),
    ],
    setters: &[],
};

static PROP: TypeDef = TypeDef {
    name: "model:property",
    funcs: &[],
    getters: &[
        ("name", |_, this| Ok(Item::from(&*this_prop(this)?.name))),
        ("full", |_, this| Ok(Item::from(&*this_prop(this)?.full))),
        ("form", |rt, this| {
            let model = rt.model();
            let form = this_prop(this)?.form.as_deref().and_then(|form| model.form(form));
            Ok(form.map_or(Item::NULL, |form| Item::obj(FormObj(form.clone()))))
        }),
        ("type", |_, this| Ok(Item::obj(TypeObj(this_prop(this)?.typ.clone())))),
    ],
    setters: &[],
};

static TAGPROP: TypeDef = TypeDef {
    name: "model:tagprop",
    funcs: &[],
    getters: &[
        ("name", |_, this| Ok(Item::from(&*this_tagprop(this)?.name))),
        ("type", |_, this| Ok(Item::obj(TypeObj(this_tagprop(this)?.typ.clone())))),
    ],
    setters: &[],
};

static TYPE: TypeDef = TypeDef {
    name: "model:type",
    funcs: &[
        FuncDef::ro("norm", &[Arg::req("valu")], |rt, this, args| {
            let norm = norm_item(rt, this_type(this)?, args.item(0))?;
            let info = norm.info.pack();
            Ok(tuple([norm.value, info]))
        }),
        FuncDef::ro("repr", &[Arg::req("valu")], |rt, this, args| {
            let typ = this_type(this)?;
            let norm = norm_item(rt, typ, args.item(0))?;
            Ok(Item::stored(&typ.repr(&rt.norm_cx(), &norm.value)?))
        }),
    ],
    getters: &[
        ("name", |_, this| Ok(Item::from(&*this_type(this)?.name))),
        ("opts", |_, this| Ok(dict(this_type(this)?.opts.clone()))),
        ("stortype", |_, this| Ok(Item::from(this_type(this)?.stortype.code()))),
        ("mutable", |_, this| Ok(Item::from(this_type(this)?.is_mutable()))),
    ],
    setters: &[],
};
