//! `$lib.stix.export`: bundles of what nodes become.

use std::any::Any;

use indexmap::IndexMap;
use myelin_error::{Error, err};
use myelin_model::types::time::req_civil;
use myelin_value::{Map, Value, guid_of, rand_guid};
use parking_lot::Mutex;

use super::config::{MAX_SIZE, OBJECTS, OBSERVABLES};
use super::{call, config, dict, extension, uuid};
use crate::ctl::{Ctl, Flow};
use crate::item::{Arg, Args, Dflt, FuncDef, Item, StormObj, TypeDef};
use crate::registry::LibDef;
use crate::rt::{Rt, var_map};

/// The library.
pub static LIB: LibDef = LibDef {
    path: "stix.export",
    funcs: &[
        FuncDef::ro("config", &[], |_, _, _| Ok(Item::deep(&config::export().into()))),
        FuncDef::ro("bundle", &[Arg::opt("config", Dflt::Null)], |rt, _, args| {
            let conf = if args.is_null(0) { config::export().into() } else { args.prim(rt, 0)? };
            let conf = conf.as_map().cloned();
            let conf = conf.ok_or_else(|| bad("The configuration of a bundle is a dictionary."))?;
            check(rt, &conf)?;
            Ok(Item::obj(Bundle { rt: rt.clone(), conf, objects: Mutex::default() }))
        }),
        FuncDef::ro("timestamp", &[Arg::req("tick")], |rt, _, args| {
            let tick = args.prim(rt, 0)?.as_i64();
            let bad = || err!("StormRuntimeError", mesg = "A time is a number of milliseconds.");
            Ok(Item::from(timestamp(tick.ok_or_else(bad)?)?))
        }),
    ],
    consts: &[],
};

pub(super) static BUNDLE: TypeDef = TypeDef {
    name: "stix:bundle",
    funcs: &[
        FuncDef::ro("add", &[Arg::req("node"), Arg::opt("stixtype", Dflt::Null)], |rt, this, args| {
            let kind = args.opt_str(rt, 1)?;
            Ok(add(rt, this, &args, kind.as_deref())?.map_or(Item::NULL, Item::from))
        }),
        FuncDef::ro("pack", &[], |_, this, _| Ok(Item::deep(&bundle(this)?.pack()))),
        FuncDef::ro("size", &[], |_, this, _| Ok(Item::from(bundle(this)?.objects.lock().len()))),
    ],
    getters: &[],
    setters: &[],
};

fn bad(mesg: impl Into<String>) -> Error {
    Error::mesg("BadConfValu", mesg)
}

fn need(mesg: impl Into<String>) -> Ctl {
    Error::mesg("NeedConfValu", mesg).into()
}

/// A time as STIX has it, in milliseconds.
fn timestamp(tick: i64) -> myelin_error::Result<String> {
    let at = req_civil(tick)?;
    let day = format!("{:04}-{:02}-{:02}", at.year, at.month, at.day);
    Ok(format!("{day}T{:02}:{:02}:{:02}.{:03}Z", at.hour, at.minute, at.second, at.millis))
}

/// Refuses a configuration that says what cannot be done.
fn check(rt: &Rt, conf: &Map) -> Flow<()> {
    let custom = dict(conf.get("custom").and_then(|custom| custom.get("objects")));
    for (name, _) in custom.text_entries() {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(3..=250).contains(&name.len()) || !name.bytes().all(fits) {
            let mesg = format!("The name {name} of a type has to be 3 to 250 of a-z, 0-9 and -.");
            return Err(bad(mesg).into());
        }
    }
    let known = |kind: &str| OBJECTS.contains(&kind) || OBSERVABLES.contains(&kind) || custom.contains(kind);
    let size = match conf.get("maxsize") {
        None => MAX_SIZE,
        Some(valu) => valu.as_i64().ok_or_else(|| bad("The maxsize of a bundle is an integer."))?,
    };
    let perm = ["storm", "lib", "stix", "export", "maxsize"];
    if size > MAX_SIZE && !rt.allowed(&perm, None) {
        let perm = perm.join(".");
        let mesg = format!("A bundle of more than {MAX_SIZE} objects needs the permission {perm}.");
        return Err(err!("AuthDeny", mesg = mesg, perm = perm).into());
    }
    let Some(forms) = conf.get("forms").filter(|forms| !forms.is_null()) else {
        return Err(need("The configuration of a bundle lacks the key forms."));
    };
    let model = rt.model();
    for (form, info) in dict(Some(forms)).text_entries() {
        if model.form(form).is_none() {
            return Err(err!("NoSuchForm", mesg = format!("There is no form {form}."), name = form).into());
        }
        let Some(default) = info.get("default").and_then(Value::as_str) else {
            return Err(need(format!("The mapping of {form} names no default type.")));
        };
        if !known(default) {
            return Err(bad(format!("The default type {default} of {form} is no type of STIX.")).into());
        }
        let Some(stix) = info.get("stix").filter(|stix| !stix.is_null()) else {
            return Err(need(format!("The mapping of {form} lacks the key stix.")));
        };
        if stix.get(default).is_none_or(Value::is_null) {
            return Err(bad(format!("The mapping of {form} says nothing of its default type {default}.")).into());
        }
        for (kind, info) in dict(Some(stix)).text_entries() {
            if !known(kind) {
                return Err(bad(format!("The type {kind} of {form} is no type of STIX.")).into());
            }
            check_mapping(form, kind, info, known)?;
        }
    }
    Ok(())
}

fn check_mapping(form: &str, kind: &str, info: &Value, known: impl Fn(&str) -> bool) -> Flow<()> {
    for (name, storm) in dict(info.get("props")).text_entries() {
        if storm.as_str().is_none() {
            return Err(bad(format!("The property {name} of {form} as {kind} is no Storm text.")).into());
        }
    }
    for key in ["rels", "revs"] {
        for row in info.get(key).and_then(Value::as_list).unwrap_or_default() {
            if row.as_list().is_none_or(|row| row.len() != 3) {
                return Err(
                    bad(format!("Each of the {key} of {form} as {kind} has a name, a type and Storm text.")).into()
                );
            }
        }
    }
    for pivot in info.get("pivots").and_then(Value::as_list).unwrap_or_default() {
        if pivot.get("storm").and_then(Value::as_str).is_none() {
            return Err(bad(format!("A pivot of {form} as {kind} has no Storm text.")).into());
        }
        if let Some(to) = pivot.get("stixtype").and_then(Value::as_str).filter(|to| !known(to)) {
            return Err(bad(format!("The type {to} of a pivot of {form} as {kind} is no type of STIX.")).into());
        }
    }
    Ok(())
}

/// Objects by their identifiers.
struct Bundle {
    /// The scope that made it, whose variables the Storm of properties sees.
    rt: Rt,
    conf: Map,
    objects: Mutex<IndexMap<String, Map>>,
}

fn bundle(this: &Item) -> Flow<&Bundle> {
    match this.as_obj::<Bundle>() {
        Some(bundle) => Ok(bundle),
        None => Err(err!("StormRuntimeError", mesg = "A method of bundles was called on something else.").into()),
    }
}

impl Bundle {
    fn extends(&self) -> bool {
        self.conf.get("synapse_extension").is_none_or(Value::is_truthy)
    }

    fn pack(&self) -> Value {
        let mut objects: Vec<Value> = self.objects.lock().values().cloned().map(Value::from).collect();
        if self.extends() {
            let day = "2021-04-29T13:40:00.000Z";
            let kinds: Value = ["property-extension"].into_iter().map(Value::from).collect();
            let definition = Map::new()
                .with("id", extension())
                .with("type", "extension-definition")
                .with("spec_version", "2.1")
                .with("name", "Vertex Project Synapse")
                .with("description", "Synapse specific STIX 2.1 extensions.")
                .with("created", day)
                .with("modified", day)
                .with("schema", "The Synapse Extensions for Stix 2.1")
                .with("version", "1.0")
                .with("extension_types", kinds);
            objects.insert(0, definition.into());
        }
        let iden = format!("bundle--{}", uuid(&Value::from(rand_guid()), '4'));
        Map::new().with("type", "bundle").with("id", iden).with("objects", Value::from(objects)).into()
    }

    fn relate(&self, from: Option<&str>, name: &str, to: Option<&str>, now: i64) -> Flow<()> {
        let end = |end: Option<&str>| end.map_or(Value::Null, Value::from);
        let seed = Value::list([end(from), name.into(), end(to)]);
        let iden = format!("relationship--{}", uuid(&seed, '4'));
        let now = timestamp(now)?;
        let object = Map::new()
            .with("id", iden.as_str())
            .with("type", "relationship")
            .with("relationship_type", name)
            .with("created", now.as_str())
            .with("modified", now)
            .with("source_ref", end(from))
            .with("target_ref", end(to))
            .with("spec_version", "2.1");
        self.objects.lock().insert(iden, object);
        Ok(())
    }
}

/// Adds a node and what its mapping leads to; its identifier.
fn add(rt: &Rt, this: &Item, args: &Args, kind: Option<&str>) -> Flow<Option<String>> {
    match args.item(0).as_node() {
        Some(node) => add_node(rt, this, node, kind),
        None => {
            full(bundle(this)?)?;
            rt.warn_once("Only nodes can be added to a STIX bundle.")?;
            Ok(None)
        }
    }
}

fn full(bundle: &Bundle) -> Flow<()> {
    let size = bundle.conf.get("maxsize").and_then(Value::as_i64).unwrap_or(MAX_SIZE);
    if i64::try_from(bundle.objects.lock().len()).is_ok_and(|len| len >= size) {
        let mesg = format!("The STIX bundle is full: it may hold {size} objects.");
        return Err(err!("StormRuntimeError", mesg = mesg).into());
    }
    Ok(())
}

fn add_node(rt: &Rt, this: &Item, node: &crate::Node, kind: Option<&str>) -> Flow<Option<String>> {
    rt.tick()?;
    let bundle = bundle(this)?;
    full(bundle)?;
    let form = &**node.form_name();
    let Some(info) = bundle.conf.get("forms").and_then(|forms| forms.get(form)) else {
        rt.warn_once(&format!("The STIX bundle has no mapping for {form}."))?;
        return Ok(None);
    };
    let kind = kind.or_else(|| info.get("default").and_then(Value::as_str)).unwrap_or_default().to_owned();
    let version = if OBSERVABLES.contains(&kind.as_str()) { '5' } else { '4' };
    let iden = format!("{kind}--{}", uuid(&node.ndef_value(), version));
    if bundle.objects.lock().contains_key(&iden) {
        return Ok(Some(iden));
    }
    let Some(mapping) = info.get("stix").and_then(|stix| stix.get(kind.as_str())).cloned() else {
        rt.warn_once(&format!("The STIX bundle has no mapping for {form} as {kind}."))?;
        return Ok(None);
    };
    let mut object = Map::new().with("id", iden.as_str()).with("type", kind.as_str()).with("spec_version", "2.1");
    if bundle.extends() {
        let ext = Map::new().with("extension_type", "property-extension").with("synapse_ndef", node.ndef_value());
        object.insert("extensions", Map::new().with(extension().as_str(), ext));
    }
    bundle.objects.lock().insert(iden.clone(), object);
    for (name, storm) in dict(mapping.get("props")).text_entries() {
        let vars = bundle.rt.scope_vars();
        let vars = var_map(
            vars.iter().map(|(name, valu)| (name.clone(), valu.clone())).chain([("bundle".into(), this.clone())]),
        );
        if let Some(valu) = call(rt, storm.as_str().unwrap_or_default(), vars, Some(node))? {
            let valu = valu.toprim(rt)?;
            if let Some(object) = bundle.objects.lock().get_mut(&iden) {
                object.insert(name, valu);
            }
        }
    }
    let text = |row: &Value, at: usize| row.at(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    for (key, outward) in [("rels", true), ("revs", false)] {
        for row in mapping.get(key).and_then(Value::as_list).unwrap_or_default() {
            let (name, to, storm) = (text(row, 0), text(row, 1), text(row, 2));
            let mut nodes = rt.storm(&storm, var_map::<&str>([]), Some(node.clone()))?;
            while let Some((other, _)) = nodes.next()? {
                let other = add_node(rt, this, &other, Some(&to).filter(|to| !to.is_empty()).map(String::as_str))?;
                let now = crate::edit::now_ms(rt);
                match outward {
                    true => bundle.relate(Some(&iden), &name, other.as_deref(), now)?,
                    false => bundle.relate(other.as_deref(), &name, Some(&iden), now)?,
                }
            }
        }
    }
    for pivot in mapping.get("pivots").and_then(Value::as_list).unwrap_or_default() {
        let storm = pivot.get("storm").and_then(Value::as_str).unwrap_or_default();
        let to = pivot.get("stixtype").and_then(Value::as_str);
        let mut nodes = rt.storm(storm, var_map::<&str>([]), Some(node.clone()))?;
        while let Some((other, _)) = nodes.next()? {
            add_node(rt, this, &other, to)?;
        }
    }
    Ok(Some(iden))
}

impl StormObj for Bundle {
    fn type_name(&self) -> &'static str {
        "stix:bundle"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&BUNDLE)
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.pack())
    }

    fn hash_key(&self) -> Option<Value> {
        Some(Value::from(guid_of(&Value::from(format!("{:p}", self)))))
    }
}
