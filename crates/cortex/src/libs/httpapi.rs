//! `$lib.cortex.httpapi`: the endpoints of the Extended HTTP API, and the request that the Storm of one answers.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use myelin_error::err;
use myelin_storm::item::{Genr, StormObj, TypeDef};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_value::{Map, Value, json};
use parking_lot::RwLock;

use super::util::{core, data, name_of, this};
use crate::libs::auth::users::UserObj;
use crate::libs::view::ViewObj;

static LIB: LibDef = LibDef {
    path: "cortex.httpapi",
    funcs: &[
        FuncDef::rw(
            "add",
            &[
                Arg::req("path"),
                Arg::opt("name", Dflt::Str("")),
                Arg::opt("desc", Dflt::Str("")),
                Arg::opt("runas", Dflt::Str("owner")),
                Arg::opt("authenticated", Dflt::Bool(true)),
                Arg::opt("readonly", Dflt::Bool(false)),
                Arg::opt("iden", Dflt::Null),
            ],
            add,
        ),
        FuncDef::rw("del", &[Arg::req("iden")], |rt, _, args| {
            confirm(rt, "del")?;
            core(rt)?.httpapis.del(&args.str(rt, 0)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("get", &[Arg::req("iden")], |rt, _, args| {
            confirm(rt, "get")?;
            Ok(Api::item(core(rt)?.httpapis.require(&args.str(rt, 0)?)?))
        }),
        FuncDef::ro("getByPath", &[Arg::req("path")], |rt, _, args| {
            confirm(rt, "get")?;
            let found = core(rt)?.httpapis.by_path(&args.str(rt, 0)?)?;
            Ok(found.map_or(Item::NULL, |(adef, _)| Api::item(adef)))
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            confirm(rt, "get")?;
            Ok(Item::list(core(rt)?.httpapis.list().into_iter().map(Api::item)))
        }),
        FuncDef::rw("index", &[Arg::req("iden"), Arg::opt("index", Dflt::Int(0))], |rt, _, args| {
            confirm(rt, "set")?;
            Ok(Item::from(core(rt)?.httpapis.set_index(&args.str(rt, 0)?, args.int(rt, 1)?)?))
        }),
        FuncDef::ro("response", &[Arg::req("requestinfo")], |rt, _, args| {
            let info = args.prim(rt, 0)?.as_map().cloned().unwrap_or_default();
            Ok(Item::obj(Request { info, replied: AtomicBool::new(false) }))
        }),
    ],
    consts: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&API, &METHODS, &PERMS, &REQUEST]);
    registry.add_lib(&LIB);
}

fn confirm(rt: &Rt, verb: &str) -> Flow<()> {
    rt.confirm(&["storm", "lib", "cortex", "httpapi", verb], None)
}

fn add(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    confirm(rt, "add")?;
    let adef = Map::new()
        .with("iden", args.prim(rt, 6)?)
        .with("path", args.str(rt, 0)?)
        .with("view", rt.snap().view_iden())
        .with("runas", args.str(rt, 3)?)
        .with("creator", rt.user().iden())
        .with("owner", rt.user().iden())
        .with("methods", Map::new())
        .with("authenticated", args.bool(rt, 4)?)
        .with("name", args.str(rt, 1)?)
        .with("desc", args.str(rt, 2)?)
        .with("readonly", args.bool(rt, 5)?);
    Ok(Api::item(core(rt)?.httpapis.add(adef)?))
}

/// An endpoint as it was when the query asked for it, with what the query changed since. Its methods, variables and
/// permissions are objects that share it.
struct Api(Arc<Shared>);

struct Shared {
    iden: String,
    info: RwLock<Map>,
}

impl Shared {
    fn get(&self, key: &str) -> Value {
        self.info.read().get(key).cloned().unwrap_or_default()
    }

    fn map(&self, key: &str) -> Map {
        self.get(key).as_map().cloned().unwrap_or_default()
    }

    fn list(&self, key: &str) -> Vec<Value> {
        self.get(key).as_list().unwrap_or_default().to_vec()
    }

    fn set(&self, rt: &Rt, key: &str, valu: Value) -> Flow<()> {
        confirm(rt, "set")?;
        let adef = core(rt)?.httpapis.modify(&self.iden, key, valu)?;
        let mut info = self.info.write();
        for key in [key, "updated"] {
            info.insert(key, adef.get(key).cloned().unwrap_or_default());
        }
        Ok(())
    }

    fn set_perms(&self, rt: &Rt, perms: Vec<Value>) -> Flow<()> {
        let perms = perms.into_iter().map(perm_def).collect::<Flow<Value>>()?;
        self.set(rt, "perms", perms)
    }

    fn user(&self, rt: &Rt, key: &str) -> Flow<Item> {
        let iden = self.get(key);
        match iden.as_str().and_then(|iden| core(rt).ok()?.cell.auth().user(iden)) {
            Some(user) => Ok(Item::obj(UserObj(user.iden().clone()))),
            None => {
                let mesg = format!("The {key} of the HTTP API does not exist any more.");
                Err(err!("NoSuchUser", mesg = mesg, user = iden).into())
            }
        }
    }
}

/// A permission, which may be given as text, with its default.
fn perm_def(perm: Value) -> Flow<Value> {
    let Some(text) = perm.as_str() else { return Ok(perm) };
    if text.starts_with('!') {
        let mesg = format!("A permission that is required cannot be negated: {text}");
        return Err(err!("BadArg", mesg = mesg).into());
    }
    Ok(Map::new().with("perm", text.split('.').map(Value::from).collect::<Value>()).with("default", false).into())
}

impl Api {
    fn item(adef: Map) -> Item {
        let iden = adef.get_str("iden").unwrap_or_default().to_owned();
        Item::obj(Api(Arc::new(Shared { iden, info: RwLock::new(adef) })))
    }

    fn get(item: &Item, key: &str) -> Flow<Item> {
        Ok(Item::from(this::<Api>(item)?.0.get(key)))
    }

    fn set_text(rt: &Rt, item: &Item, key: &str, valu: &Item) -> Flow<()> {
        let api = this::<Api>(item)?;
        confirm(rt, "set")?;
        api.0.set(rt, key, Value::from(valu.tostr(rt)?))
    }

    fn set_flag(rt: &Rt, item: &Item, key: &str, valu: &Item) -> Flow<()> {
        let api = this::<Api>(item)?;
        confirm(rt, "set")?;
        api.0.set(rt, key, Value::from(valu.tobool(rt)?))
    }
}

static API: TypeDef = TypeDef {
    name: "http:api",
    funcs: &[FuncDef::ro("pack", &[], |_, item, _| {
        let mut info = this::<Api>(item)?.0.info.read().clone();
        if !info.contains("pool") {
            info.insert("pool", false);
        }
        Ok(data(info))
    })],
    getters: &[
        ("iden", |_, item| Api::get(item, "iden")),
        ("created", |_, item| Api::get(item, "created")),
        ("updated", |_, item| Api::get(item, "updated")),
        ("name", |_, item| Api::get(item, "name")),
        ("desc", |_, item| Api::get(item, "desc")),
        ("path", |_, item| Api::get(item, "path")),
        ("pool", |_, item| Api::get(item, "pool")),
        ("runas", |_, item| Api::get(item, "runas")),
        ("readonly", |_, item| Api::get(item, "readonly")),
        ("authenticated", |_, item| Api::get(item, "authenticated")),
        ("creator", |rt, item| this::<Api>(item)?.0.user(rt, "creator")),
        ("owner", |rt, item| this::<Api>(item)?.0.user(rt, "owner")),
        ("view", |rt, item| {
            let iden = this::<Api>(item)?.0.get("view");
            let iden = iden.as_str().unwrap_or_default();
            let view = core(rt)?.stack.require_view(iden)?;
            Ok(ViewObj::of(core(rt)?, &view))
        }),
        ("vars", |_, item| Ok(Item::obj(Vars(this::<Api>(item)?.0.clone())))),
        ("perms", |_, item| Ok(Item::obj(Perms(this::<Api>(item)?.0.clone())))),
        ("methods", |_, item| Ok(Item::obj(Methods(this::<Api>(item)?.0.clone())))),
    ],
    setters: &[
        ("name", false, |rt, item, valu| Api::set_text(rt, item, "name", &valu)),
        ("desc", false, |rt, item, valu| Api::set_text(rt, item, "desc", &valu)),
        ("path", false, |rt, item, valu| Api::set_text(rt, item, "path", &valu)),
        ("runas", false, |rt, item, valu| Api::set_text(rt, item, "runas", &valu)),
        ("pool", false, |rt, item, valu| Api::set_flag(rt, item, "pool", &valu)),
        ("readonly", false, |rt, item, valu| Api::set_flag(rt, item, "readonly", &valu)),
        ("authenticated", false, |rt, item, valu| Api::set_flag(rt, item, "authenticated", &valu)),
        ("vars", false, |rt, item, valu| this::<Api>(item)?.0.set(rt, "vars", valu.toprim(rt)?)),
        ("view", false, |rt, item, valu| {
            confirm(rt, "set")?;
            let iden = match valu.as_obj::<ViewObj>() {
                Some(view) => view.value(rt)?.get("iden").cloned().unwrap_or_default(),
                None => Value::from(valu.tostr(rt)?),
            };
            this::<Api>(item)?.0.set(rt, "view", iden)
        }),
        ("owner", false, |rt, item, valu| {
            confirm(rt, "set")?;
            let iden = match valu.as_obj::<UserObj>() {
                Some(user) => Value::from(&*user.0),
                None => Value::from(valu.tostr(rt)?),
            };
            this::<Api>(item)?.0.set(rt, "owner", iden)
        }),
        ("perms", false, |rt, item, valu| {
            confirm(rt, "set")?;
            let perms = match valu.toprim(rt)? {
                // Text is a sequence too: of its letters.
                Value::Str(text) => text.chars().map(|chr| Value::from(chr.to_string())).collect(),
                perms => perms.as_list().unwrap_or_default().to_vec(),
            };
            this::<Api>(item)?.0.set_perms(rt, perms)
        }),
    ],
};

impl StormObj for Api {
    fn type_name(&self) -> &'static str {
        "http:api"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&API)
    }

    fn repr(&self, _rt: &Rt) -> Flow<String> {
        let text = |key: &str| self.0.get(key).as_str().unwrap_or_default().to_owned();
        let name = Some(text("name")).filter(|name| !name.is_empty()).unwrap_or_else(|| "<no name>".to_owned());
        Ok(format!("http:api: {name} ({}), path={}", self.0.iden, text("path")))
    }
}

/// The Storm of an endpoint, by HTTP method.
struct Methods(Arc<Shared>);

impl Methods {
    fn get(item: &Item, meth: &str) -> Flow<Item> {
        Ok(Item::from(this::<Methods>(item)?.0.map("methods").get(meth).cloned().unwrap_or_default()))
    }

    fn set(rt: &Rt, item: &Item, meth: &str, valu: &Item) -> Flow<()> {
        confirm(rt, "set")?;
        let api = &this::<Methods>(item)?.0;
        let mut methods = api.map("methods");
        if matches!(valu, Item::Undef) {
            methods.remove(meth);
        } else {
            let text = valu.tostr(rt)?;
            let text = text.trim();
            rt.parse(text)?;
            methods.insert(meth, text);
        }
        api.set(rt, "methods", methods.into())
    }
}

static METHODS: TypeDef = TypeDef {
    name: "http:api:methods",
    funcs: &[],
    getters: &[
        ("get", |_, item| Methods::get(item, "get")),
        ("put", |_, item| Methods::get(item, "put")),
        ("head", |_, item| Methods::get(item, "head")),
        ("post", |_, item| Methods::get(item, "post")),
        ("delete", |_, item| Methods::get(item, "delete")),
        ("patch", |_, item| Methods::get(item, "patch")),
        ("options", |_, item| Methods::get(item, "options")),
    ],
    setters: &[
        ("get", false, |rt, item, valu| Methods::set(rt, item, "get", &valu)),
        ("put", false, |rt, item, valu| Methods::set(rt, item, "put", &valu)),
        ("head", false, |rt, item, valu| Methods::set(rt, item, "head", &valu)),
        ("post", false, |rt, item, valu| Methods::set(rt, item, "post", &valu)),
        ("delete", false, |rt, item, valu| Methods::set(rt, item, "delete", &valu)),
        ("patch", false, |rt, item, valu| Methods::set(rt, item, "patch", &valu)),
        ("options", false, |rt, item, valu| Methods::set(rt, item, "options", &valu)),
    ],
};

fn pairs(map: &Map) -> Genr {
    let pairs: Vec<Item> = map.iter().map(|(key, valu)| Item::Val(Value::list([key.clone(), valu.clone()]))).collect();
    Genr::of(pairs)
}

impl StormObj for Methods {
    fn type_name(&self) -> &'static str {
        "http:api:methods"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&METHODS)
    }

    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        Ok(pairs(&self.0.map("methods")))
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.0.map("methods").into())
    }

    fn size(&self, _rt: &Rt) -> Flow<Option<usize>> {
        Ok(Some(self.0.map("methods").len()))
    }

    fn is_mutable(&self) -> bool {
        true
    }
}

/// The variables that the Storm of an endpoint sees.
struct Vars(Arc<Shared>);

impl StormObj for Vars {
    fn type_name(&self) -> &'static str {
        "http:api:vars"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        Ok(Some(self.0.map("vars").get(&name_of(rt, name)?).map_or(Item::NULL, Item::deep)))
    }

    fn setitem(&self, rt: &Rt, name: &Item, valu: Item) -> Flow<()> {
        confirm(rt, "set")?;
        let name = name_of(rt, name)?;
        let mut vars = self.0.map("vars");
        match valu {
            Item::Undef => drop(vars.remove(&name)),
            valu => drop(vars.insert(&*name, valu.toprim(rt)?)),
        }
        self.0.set(rt, "vars", vars.into())
    }

    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        Ok(pairs(&self.0.map("vars")))
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.0.map("vars").into())
    }

    fn size(&self, _rt: &Rt) -> Flow<Option<usize>> {
        Ok(Some(self.0.map("vars").len()))
    }

    fn repr(&self, rt: &Rt) -> Flow<String> {
        Item::Val(self.0.map("vars").into()).torepr(rt, false)
    }

    fn is_mutable(&self) -> bool {
        true
    }
}

/// The permissions that a user needs for an endpoint.
struct Perms(Arc<Shared>);

impl Perms {
    fn all(item: &Item) -> Flow<Vec<Value>> {
        Ok(this::<Perms>(item)?.0.list("perms"))
    }

    fn items(&self) -> Item {
        Item::list(self.0.list("perms").iter().cloned().map(Item::Val))
    }

    fn save(rt: &Rt, item: &Item, perms: Vec<Value>) -> Flow<Item> {
        this::<Perms>(item)?.0.set_perms(rt, perms)?;
        Ok(Item::NULL)
    }
}

static PERMS: TypeDef = TypeDef {
    name: "http:api:perms",
    funcs: &[
        FuncDef::ro("has", &[Arg::req("valu")], |rt, item, args| {
            let want = perm_def(args.prim(rt, 0)?)?;
            Ok(Item::from(Perms::all(item)?.iter().any(|have| have.py_eq(&want))))
        }),
        FuncDef::rw("pop", &[], |rt, item, _| {
            let mut perms = Perms::all(item)?;
            let Some(last) = perms.pop() else {
                return Err(
                    err!("StormRuntimeError", mesg = "No permission is required, so none can be popped.").into()
                );
            };
            Perms::save(rt, item, perms)?;
            Ok(Item::Val(last))
        }),
        FuncDef::ro("size", &[], |_, item, _| Ok(Item::from(Perms::all(item)?.len()))),
        FuncDef::ro("length", &[], |rt, item, _| {
            rt.warn_once("StormType List.length() is deprecated. Use the size() method.")?;
            Ok(Item::from(Perms::all(item)?.len()))
        }),
        FuncDef::ro("index", &[Arg::req("valu")], |rt, item, args| {
            this::<Perms>(item)?.items().index(rt, args.item(0))
        }),
        FuncDef::rw("append", &[Arg::req("valu")], |rt, item, args| {
            let mut perms = Perms::all(item)?;
            perms.push(args.prim(rt, 0)?);
            Perms::save(rt, item, perms)
        }),
        FuncDef::rw("reverse", &[], |rt, item, _| {
            let mut perms = Perms::all(item)?;
            perms.reverse();
            Perms::save(rt, item, perms)
        }),
        FuncDef::ro("sort", &[Arg::opt("reverse", Dflt::Bool(false))], |_, _, _| {
            Err(err!("StormRuntimeError", mesg = "Permissions have no order: http:api:perms cannot be sorted.").into())
        }),
        FuncDef::ro("slice", &[Arg::req("start"), Arg::opt("end", Dflt::Null)], |rt, item, args| {
            let perms = Perms::all(item)?;
            let len = i64::try_from(perms.len()).unwrap_or(i64::MAX);
            let at = |indx: i64| (if indx < 0 { indx + len } else { indx }).clamp(0, len);
            let (from, to) = (at(args.int(rt, 0)?), at(args.opt_int(rt, 1)?.unwrap_or(len)));
            let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to.max(from)).unwrap_or(0);
            Ok(Item::list(perms[range].iter().cloned().map(Item::Val)))
        }),
        FuncDef::rw("extend", &[Arg::req("valu")], |rt, item, args| {
            let mut perms = Perms::all(item)?;
            for perm in args.item(0).tovec(rt)? {
                perms.push(perm.toprim(rt)?);
            }
            Perms::save(rt, item, perms)
        }),
    ],
    getters: &[],
    setters: &[],
};

impl StormObj for Perms {
    fn type_name(&self) -> &'static str {
        "http:api:perms"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&PERMS)
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        self.items().index(rt, name).map(Some)
    }

    fn setitem(&self, rt: &Rt, name: &Item, valu: Item) -> Flow<()> {
        let indx = name.toi64(rt)?;
        let mut perms = self.0.list("perms");
        let len = i64::try_from(perms.len()).unwrap_or(i64::MAX);
        let at = usize::try_from(if indx < 0 { indx + len } else { indx }).ok().filter(|at| *at < perms.len());
        match (at, valu) {
            (Some(at), Item::Undef) => drop(perms.remove(at)),
            (None, Item::Undef) => return Ok(()),
            (Some(at), valu) => perms[at] = valu.toprim(rt)?,
            (None, _) => {
                let mesg = format!("There is no permission at {indx} that could be replaced.");
                return Err(err!("IndexError", mesg = mesg).into());
            }
        }
        self.0.set_perms(rt, perms)
    }

    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        Ok(Genr::of(self.0.list("perms").iter().cloned().map(Item::Val).collect::<Vec<_>>()))
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(Value::from(self.0.list("perms")))
    }

    fn size(&self, _rt: &Rt) -> Flow<Option<usize>> {
        Ok(Some(self.0.list("perms").len()))
    }

    fn repr(&self, rt: &Rt) -> Flow<String> {
        self.items().torepr(rt, false)
    }

    fn is_mutable(&self) -> bool {
        true
    }
}

/// A request to an endpoint, and the answer to it, which goes out as messages of the query.
struct Request {
    info: Map,
    replied: AtomicBool,
}

impl Request {
    fn get(item: &Item, key: &str) -> Flow<Item> {
        Ok(Item::Val(this::<Request>(item)?.info.get(key).cloned().unwrap_or_default()))
    }
}

static REQUEST: TypeDef = TypeDef {
    name: "http:api:request",
    funcs: &[
        FuncDef::ro("sendcode", &[Arg::req("code")], |rt, _, args| {
            send_code(rt, args.item(0))?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("sendheaders", &[Arg::req("headers")], |rt, _, args| {
            send_headers(rt, args.prim(rt, 0)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("sendbody", &[Arg::req("body")], |rt, _, args| {
            send_body(rt, args.prim(rt, 0)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro(
            "reply",
            &[Arg::req("code"), Arg::opt("headers", Dflt::Null), Arg::opt("body", Dflt::Undef)],
            reply,
        ),
    ],
    getters: &[
        ("args", |_, item| Request::get(item, "args")),
        ("body", |_, item| Request::get(item, "body")),
        ("method", |_, item| Request::get(item, "method")),
        ("params", |_, item| Request::get(item, "params")),
        ("client", |_, item| Request::get(item, "client")),
        ("uri", |_, item| Request::get(item, "uri")),
        ("path", |_, item| Request::get(item, "path")),
        ("user", |_, item| Request::get(item, "user")),
        ("headers", |_, item| {
            let headers = this::<Request>(item)?.info.get("headers").and_then(Value::as_map).cloned();
            Ok(Item::obj(Headers(headers.unwrap_or_default())))
        }),
        ("json", |_, item| {
            let body = this::<Request>(item)?.info.get("body").and_then(Value::as_bytes).unwrap_or_default();
            match json::parse(body) {
                Ok(valu) => Ok(data(valu)),
                Err(error) => {
                    let mesg = format!("The body of the request is not JSON: {error}");
                    Err(err!("StormRuntimeError", mesg = mesg).into())
                }
            }
        }),
        ("api", |rt, item| {
            confirm(rt, "get")?;
            let iden = this::<Request>(item)?.info.get_str("iden").unwrap_or_default();
            Ok(Api::item(core(rt)?.httpapis.require(iden)?))
        }),
    ],
    setters: &[],
};

fn send_code(rt: &Rt, code: &Item) -> Flow<()> {
    let code = code.toi64(rt)?;
    rt.fire("http:resp:code", Map::new().with("code", code))
}

fn send_headers(rt: &Rt, headers: Value) -> Flow<()> {
    if headers.as_map().is_none() {
        let mesg = format!("The headers of a response are a dictionary, not {}.", Item::from(headers).type_name());
        return Err(err!("BadArg", mesg = mesg).into());
    }
    rt.fire("http:resp:headers", Map::new().with("headers", headers))
}

fn send_body(rt: &Rt, body: Value) -> Flow<()> {
    if body.as_bytes().is_none() {
        let mesg = format!("The body of a response is bytes, not {}.", Item::from(body).type_name());
        return Err(err!("BadArg", mesg = mesg).into());
    }
    rt.fire("http:resp:body", Map::new().with("body", body))
}

fn reply(rt: &Rt, item: &Item, args: Args) -> Flow<Item> {
    let request = this::<Request>(item)?;
    if request.replied.load(Ordering::Relaxed) {
        return Err(err!("BadArg", mesg = "The request was replied to already: reply() works once.").into());
    }
    let mut headers = args.prim(rt, 1)?;
    let body = match args.item(2) {
        Item::Undef => None,
        body => match body.toprim(rt)? {
            Value::Bytes(byts) => Some(Value::Bytes(byts)),
            other => {
                let text = json::to_json_text(&other).map_err(|error| {
                    err!(
                        "MustBeJsonSafe",
                        mesg = format!("The body of the reply holds {}, which is not JSON.", error.0)
                    )
                })?;
                let known = match &headers {
                    Value::Null => Map::new(),
                    Value::Map(known) => (**known).clone(),
                    _ => return send_headers(rt, headers).map(|()| Item::NULL),
                };
                let known = known.with("Content-Type", "application/json; charset=utf8");
                headers = known.with("Content-Length", text.len()).into();
                Some(Value::from(text.as_bytes()))
            }
        },
    };
    send_code(rt, args.item(0))?;
    if headers.is_truthy() {
        send_headers(rt, headers)?;
    }
    if let Some(body) = body {
        send_body(rt, body)?;
    }
    request.replied.store(true, Ordering::Relaxed);
    Ok(Item::NULL)
}

impl StormObj for Request {
    fn type_name(&self) -> &'static str {
        "http:api:request"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&REQUEST)
    }
}

/// The headers of a request, found by name in either case.
struct Headers(Map);

impl StormObj for Headers {
    fn type_name(&self) -> &'static str {
        "http:api:request:headers"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        Ok(Some(self.0.get(&name_of(rt, name)?.to_lowercase()).map_or(Item::NULL, Item::deep)))
    }

    fn setitem(&self, rt: &Rt, name: &Item, _valu: Item) -> Flow<()> {
        let mesg = "The headers of a request cannot be changed.";
        Err(err!("StormRuntimeError", mesg = mesg, name = name.toprim(rt)?).into())
    }

    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        Ok(pairs(&self.0))
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.0.clone().into())
    }

    fn size(&self, _rt: &Rt) -> Flow<Option<usize>> {
        Ok(Some(self.0.len()))
    }

    fn is_mutable(&self) -> bool {
        true
    }
}
