//! `$x.name`, `$x.name = valu` and `$x(…)`.

use std::sync::Arc;

use myelin_error::err;
use myelin_value::Value;

use super::obj::no_assign;
use super::{Bound, FuncDef, Item, TypeDef};
use crate::ctl::Flow;
use crate::rt::Rt;

impl Item {
    /// A method of the runtime bound to this object.
    pub fn bind(&self, def: &'static FuncDef) -> Item {
        Item::Bound(Arc::new(Bound::Def { this: self.clone(), def }))
    }

    /// The table of its methods and properties.
    pub fn type_def(&self, rt: &Rt) -> Option<&'static TypeDef> {
        match self {
            Item::Obj(obj) => obj.type_def(),
            other => rt.registry().prim_type(other.type_name()),
        }
    }

    /// `$x.name`.
    ///
    /// # Errors
    /// `NoSuchName` when it has no such name.
    pub fn deref(&self, rt: &Rt, name: &Item) -> Flow<Item> {
        match self {
            Item::Val(Value::Null) => return Ok(Item::NULL),
            Item::Dict(dict) => {
                let key = super::Key::new(name.toprim(rt)?);
                return Ok(dict.lock().get(&key).cloned().unwrap_or_default());
            }
            Item::Val(Value::Map(map)) => {
                let key = name.toprim(rt)?;
                return Ok(map.get_value(&key).cloned().map(Item::Val).unwrap_or_default());
            }
            Item::Lib(path) => return deref_lib(rt, self, path, &name.tostr(rt)?),
            Item::Val(Value::Int(_) | Value::Big(_)) | Item::Func(_) | Item::Bound(_) | Item::Genr(_) => {
                let kind = self.type_name();
                let mesg = format!("Unable to convert python primitive to StormType ( {kind} )");
                return Err(err!("NoSuchType", mesg = mesg, python_type = kind).into());
            }
            _ => {}
        }
        let text = name.tostr(rt)?;
        if let Some(def) = self.type_def(rt) {
            if let Some(func) = def.func(&text) {
                return Ok(self.to_ref().bind(func));
            }
            if let Some(getter) = def.getter(&text) {
                return getter(rt, self);
            }
        }
        match self {
            Item::List(_) | Item::Val(Value::List(_)) => return self.index(rt, name),
            Item::Obj(obj) => {
                if let Some(found) = obj.deref(rt, name)? {
                    return Ok(found);
                }
            }
            _ => {}
        }
        let kind = self.type_name();
        let mesg = format!("Cannot find name [{text}] on type {kind}");
        Err(err!("NoSuchName", mesg = mesg, name = text, styp = python_class(kind)).into())
    }

    /// Immutable lists become mutable ones when a method is bound to them.
    fn to_ref(&self) -> Item {
        match self {
            Item::Val(valu @ Value::List(_)) => Item::from_prim(valu.clone()),
            other => other.clone(),
        }
    }

    /// The member of a list at a position, negative ones from the end.
    ///
    /// # Errors
    /// `BadCast` when the position is no integer, `StormRuntimeError` when it is out of range.
    pub fn index(&self, rt: &Rt, name: &Item) -> Flow<Item> {
        let items = self.members().unwrap_or_default();
        let indx = name.toi64(rt)?;
        match at(items.len(), indx) {
            Some(at) => Ok(items[at].clone()),
            None => Err(err!(
                "StormRuntimeError",
                mesg = "list index out of range",
                valurepr = Item::list(items.iter().cloned()).torepr(rt, false)?,
                len = items.len(),
                indx = indx
            )
            .into()),
        }
    }

    /// Whether `$x.name = valu` may run in a read-only query.
    pub fn setitem_readonly(&self, rt: &Rt, name: &Item) -> bool {
        if matches!(self, Item::Node(_)) {
            return false;
        }
        if let (Some(def), Ok(text)) = (self.type_def(rt), name.tostr(rt))
            && let Some(setter) = def.setters.iter().find(|setter| setter.0 == &*text)
        {
            return setter.1;
        }
        match self {
            Item::Obj(obj) => obj.setitem_readonly(),
            _ => true,
        }
    }

    /// `$x.name = valu`.
    ///
    /// # Errors
    /// `StormRuntimeError` when it takes no assignments, `NoSuchName` when it has no such name to set.
    pub fn setitem(&self, rt: &Rt, name: &Item, valu: Item) -> Flow<()> {
        match self {
            Item::Dict(dict) => {
                if name.is_mutable() {
                    let text = name.torepr(rt, false)?;
                    let mesg = "Mutable values are not allowed as dictionary keys";
                    return Err(err!("BadArg", mesg = mesg, name = text).into());
                }
                let key = super::Key::new(name.toprim(rt)?);
                match valu {
                    Item::Undef => dict.lock().shift_remove(&key),
                    valu => dict.lock().insert(key, valu),
                };
                Ok(())
            }
            Item::List(list) => {
                let indx = name.toi64(rt)?;
                let mut list = list.lock();
                match (at(list.len(), indx), valu) {
                    (Some(at), Item::Undef) => {
                        list.remove(at);
                    }
                    (None, Item::Undef) => {}
                    (Some(at), valu) => list[at] = valu,
                    (None, _) => {
                        crate::fail!("IndexError", mesg = "list assignment index out of range");
                    }
                }
                Ok(())
            }
            Item::Val(Value::List(_) | Value::Map(_)) => Ok(()),
            _ => self.setitem_table(rt, name, valu),
        }
    }

    fn setitem_table(&self, rt: &Rt, name: &Item, valu: Item) -> Flow<()> {
        let def = self.type_def(rt);
        if let Some(def) = def.filter(|def| !def.setters.is_empty()) {
            let text = name.tostr(rt)?;
            if let Some((_, readonly, setter)) = def.setters.iter().find(|(have, ..)| *have == &*text) {
                if rt.readonly() && !readonly {
                    let mesg = format!("Setting {text} on {} is not marked readonly safe.", def.name);
                    return Err(err!("IsReadOnly", mesg = mesg, name = text).into());
                }
                return setter(rt, self, valu);
            }
            if matches!(self, Item::Lib(path) if !path.is_empty()) {
                return Err(no_assign("This library"));
            }
            if !matches!(self, Item::Obj(_)) {
                let mesg = format!("Setting {text} is not supported on {}.", def.name);
                return Err(err!("NoSuchName", mesg = mesg, name = text).into());
            }
            if let Item::Obj(obj) = self {
                return match obj.setitem(rt, name, valu) {
                    Err(error) if error.err().is_some_and(|error| error.message().contains("support assignment")) => {
                        let mesg = format!("Setting {text} is not supported on {}.", def.name);
                        Err(err!("NoSuchName", mesg = mesg, name = text).into())
                    }
                    other => other,
                };
            }
        }
        match self {
            Item::Obj(obj) => obj.setitem(rt, name, valu),
            other => Err(no_assign(other.type_name())),
        }
    }

    /// Whether it can be called.
    pub fn is_callable(&self) -> bool {
        match self {
            Item::Func(_) | Item::Bound(_) => true,
            Item::Obj(obj) => obj.is_callable(),
            _ => false,
        }
    }

    /// Calls it.
    ///
    /// # Errors
    /// `StormRuntimeError` when it is not callable or the arguments do not fit; whatever it gives.
    pub fn call(&self, rt: &Rt, args: Vec<Item>, kwargs: Vec<(Arc<str>, Item)>) -> Flow<Item> {
        match self {
            Item::Func(func) => crate::expr::call_closure(func, args, kwargs),
            Item::Bound(func) => func.call(rt, args, kwargs),
            Item::Obj(obj) => obj.call(rt, args, kwargs),
            other => {
                let mesg = format!("'{}' object is not callable.", other.type_name());
                Err(err!("StormRuntimeError", mesg = mesg).into())
            }
        }
    }
}

fn deref_lib(rt: &Rt, lib: &Item, path: &Arc<Vec<Arc<str>>>, name: &Arc<str>) -> Flow<Item> {
    if name.starts_with("__") {
        let mesg = format!("Cannot dereference private value [{name}]");
        return Err(err!("StormRuntimeError", mesg = mesg, name = name).into());
    }
    let registry = rt.registry();
    for def in registry.libs(path) {
        if let Some(func) = def.funcs.iter().find(|func| func.name == &**name) {
            return Ok(lib.bind(func));
        }
        if let Some((_, getter)) = def.consts.iter().find(|(have, _)| *have == &**name) {
            return getter(rt, lib);
        }
    }
    let mut sub = (**path).clone();
    sub.push(name.clone());
    if registry.has_lib(&sub) {
        return Ok(Item::Lib(Arc::new(sub)));
    }
    Err(err!("NoSuchName", mesg = format!("Cannot find name [{name}]"), name = name).into())
}

/// A Python index as an offset.
pub(super) fn at(len: usize, indx: i64) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    let indx = if indx < 0 { indx + len } else { indx };
    (0..len).contains(&indx).then(|| usize::try_from(indx).ok()).flatten()
}

/// The class name that error info carries for a type.
pub fn python_class(kind: &str) -> String {
    match kind {
        "auth:gate" | "auth:role" | "auth:user" | "user:vars" | "user:profile" => {
            python_class(kind.rsplit(':').next().unwrap_or_default())
        }
        "auth:user:json" => "UserJson".to_owned(),
        "auth:user:profile" => "UserProfile".to_owned(),
        "auth:user:vars" => "UserVars".to_owned(),
        "aha:pool" => "AhaPool".to_owned(),
        "cache:fixed" => "FixedCache".to_owned(),
        "cmdopts" => "CmdOpts".to_owned(),
        "cronjob" => "CronJob".to_owned(),
        "crypto:ecc:key" => "CryptoEccKey".to_owned(),
        "crypto:jwt" => "Jwt".to_owned(),
        "crypto:jwt:dict" => "JwtDict".to_owned(),
        "crypto:rsa:key" => "CryptoRsaKey".to_owned(),
        "http:api:request:headers" => "HttpHeaderDict".to_owned(),
        "http:api:vars" => "HttpApiVars".to_owned(),
        "inet:http:oauth:v1:client" => "OAuthV1Client".to_owned(),
        "inet:http:resp" => "HttpResp".to_owned(),
        "inet:http:socket" => "WebSocket".to_owned(),
        "inet:imap:server" => "ImapServer".to_owned(),
        "inet:smtp:message" => "SmtpMessage".to_owned(),
        "json:schema" => "JsonSchema".to_owned(),
        "model:form" => "ModelForm".to_owned(),
        "model:property" => "ModelProp".to_owned(),
        "model:tagprop" => "ModelTagProp".to_owned(),
        "model:type" => "ModelType".to_owned(),
        "node:data" => "NodeData".to_owned(),
        "node:path:meta" => "PathMeta".to_owned(),
        "node:path:vars" => "PathVars".to_owned(),
        "node:props" => "NodeProps".to_owned(),
        "pkg:queue" => "StormPkgQueue".to_owned(),
        "pkg:queues" => "PkgQueues".to_owned(),
        "pkg:vars" => "PkgVars".to_owned(),
        "spooled:set" => "SpooledSet".to_owned(),
        "stat:tally" => "StatTally".to_owned(),
        "stix:bundle" => "StixBundle".to_owned(),
        "tabular:printer" => "TabularPrinter".to_owned(),
        "telepath:proxy" => "Proxy".to_owned(),
        "telepath:proxy:genrmethod" => "ProxyGenrMethod".to_owned(),
        "telepath:proxy:method" => "ProxyMethod".to_owned(),
        "user:profile:dict" => "StormUserProfileDict".to_owned(),
        "user:vars:dict" => "StormUserVarsDict".to_owned(),
        "xml:element" => "XmlElement".to_owned(),
        "node:path" => "Path".to_owned(),
        "storm:query" => "Query".to_owned(),
        "boolean" => "Bool".to_owned(),
        "http:api" => "HttpApi".to_owned(),
        "http:api:request" => "HttpReq".to_owned(),
        "http:api:methods" => "HttpApiMethods".to_owned(),
        "http:api:perms" => "HttpPermsList".to_owned(),
        "proj:comment" => "ProjectTicketComment".to_owned(),
        "proj:comments" => "ProjectTicketComments".to_owned(),
        "proj:epic" => "ProjectEpic".to_owned(),
        "proj:epics" => "ProjectEpics".to_owned(),
        "proj:project" => "Project".to_owned(),
        "proj:sprint" => "ProjectSprint".to_owned(),
        "proj:sprints" => "ProjectSprints".to_owned(),
        "proj:ticket" => "ProjectTicket".to_owned(),
        "proj:tickets" => "ProjectTickets".to_owned(),
        other => {
            let mut chars = other.chars();
            chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
        }
    }
}
