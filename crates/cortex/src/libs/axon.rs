//! `$lib.axon` and `$lib.bytes`: the files of the cortex.

use std::sync::Arc;

use myelin_axon::{Request, hex_of};
use myelin_error::{Result, err};
use myelin_model::types::py;
use myelin_storm::item::Genr;
use myelin_storm::rt::var_map;
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_telepath::Todo;
use myelin_value::{Map, Value};

use super::util::{core, data};
use crate::parts::stores::FileStore;
use crate::wait::{self, Values};

/// Bytes that one `read` gives at most.
const MAX_READ: i64 = 1 << 20;

const SHA256: &[Arg] = &[Arg::req("sha256")];
const ERRORS: Arg = Arg::opt("errors", Dflt::Str("ignore"));
const FETCH: [Arg; 9] = [
    Arg::opt("headers", Dflt::Null),
    Arg::opt("params", Dflt::Null),
    Arg::opt("method", Dflt::Str("GET")),
    Arg::opt("json", Dflt::Null),
    Arg::opt("body", Dflt::Null),
    Arg::opt("ssl", Dflt::Bool(true)),
    Arg::opt("timeout", Dflt::Null),
    Arg::opt("proxy", Dflt::Bool(true)),
    Arg::opt("ssl_opts", Dflt::Null),
];
const WGET: &[Arg] =
    &[Arg::req("url"), FETCH[0], FETCH[1], FETCH[2], FETCH[3], FETCH[4], FETCH[5], FETCH[6], FETCH[7], FETCH[8]];

static AXON: LibDef = LibDef {
    path: "axon",
    funcs: &[
        FuncDef::ro("readlines", &[Arg::req("sha256"), ERRORS], |rt, _, args| lines(rt, &args, "readlines")),
        FuncDef::ro("jsonlines", &[Arg::req("sha256"), ERRORS], |rt, _, args| lines(rt, &args, "jsonlines")),
        FuncDef::ro(
            "csvrows",
            &[Arg::req("sha256"), Arg::opt("dialect", Dflt::Str("excel")), ERRORS, Arg::kwargs("fmtparams")],
            csvrows,
        ),
        FuncDef::rw("del", SHA256, |rt, _, args| {
            allow(rt, "del")?;
            let sha256 = unhex(&args.str(rt, 0)?)?;
            Ok(Item::from(axon(rt)?.del(&sha256)?))
        }),
        FuncDef::rw("dels", &[Arg::req("sha256s")], |rt, _, args| {
            allow(rt, "del")?;
            let sha256s = args.prim(rt, 0)?;
            let Some(sha256s) = sha256s.as_list() else {
                return Err(err!("BadArg", mesg = "A list of SHA-256 hashes is expected.").into());
            };
            let mut hashes = Vec::new();
            for sha256 in sha256s {
                hashes.push(unhex(sha256.as_str().unwrap_or_default())?);
            }
            let done = hashes.iter().map(|sha256| Ok(axon(rt)?.del(sha256)?.into())).collect::<Flow<Vec<Value>>>()?;
            Ok(data(done))
        }),
        FuncDef::ro("has", SHA256, |rt, _, args| has(rt, &args, Known::No)),
        FuncDef::ro("size", SHA256, |rt, _, args| size(rt, &args, Known::No)),
        FuncDef::ro("hashset", SHA256, |rt, _, args| hashset(rt, &args, Known::No)),
        FuncDef::rw("put", &[Arg::req("byts")], |rt, _, args| put(rt, &args, Known::No)),
        FuncDef::rw("upload", &[Arg::req("genr")], |rt, _, args| upload(rt, &args, Known::No)),
        FuncDef::ro("metrics", &[], |rt, _, _| {
            allow(rt, "has")?;
            Ok(data(axon(rt)?.metrics()?))
        }),
        FuncDef::ro(
            "list",
            &[Arg::opt("offs", Dflt::Int(0)), Arg::opt("wait", Dflt::Bool(false)), Arg::opt("timeout", Dflt::Null)],
            list,
        ),
        FuncDef::ro(
            "read",
            &[Arg::req("sha256"), Arg::opt("offs", Dflt::Int(0)), Arg::opt("size", Dflt::Int(MAX_READ))],
            read,
        ),
        FuncDef::ro("unpack", &[Arg::req("sha256"), Arg::req("fmt"), Arg::opt("offs", Dflt::Int(0))], unpack),
        FuncDef::rw("wget", WGET, |rt, _, args| Ok(data(wget(rt, &args)?))),
        FuncDef::rw(
            "wput",
            &[
                Arg::req("sha256"),
                Arg::req("url"),
                FETCH[0],
                FETCH[1],
                Arg::opt("method", Dflt::Str("PUT")),
                FETCH[5],
                FETCH[6],
                FETCH[7],
                FETCH[8],
            ],
            wput,
        ),
        FuncDef::rw("urlfile", WGET, urlfile),
    ],
    consts: &[],
};

static BYTES: LibDef = LibDef {
    path: "bytes",
    funcs: &[
        FuncDef::ro("has", SHA256, |rt, _, args| has(rt, &args, Known::Yes)),
        FuncDef::ro("size", SHA256, |rt, _, args| size(rt, &args, Known::Yes)),
        FuncDef::ro("hashset", SHA256, |rt, _, args| hashset(rt, &args, Known::Yes)),
        FuncDef::rw("put", &[Arg::req("byts")], |rt, _, args| put(rt, &args, Known::Yes)),
        FuncDef::rw("upload", &[Arg::req("genr")], |rt, _, args| upload(rt, &args, Known::Yes)),
        FuncDef::ro("fromints", &[Arg::req("ints")], |rt, _, args| {
            let mut byts = Vec::new();
            if args.is_null(0) {
                myelin_storm::fail!("BadArg", mesg = "Bytes are made of a list of integers.");
            }
            // Of a dictionary, Python reads the keys.
            let items = match args.item(0).entries() {
                Some(entries) => entries.into_iter().map(|(key, _)| Item::Val(key)).collect(),
                None => args.item(0).tovec(rt)?,
            };
            for item in items {
                let int = item.toi64(rt).map_err(|error| match error.err() {
                    Some(error) => err!("BadArg", mesg = error.message()).into(),
                    None => error,
                })?;
                let byte = u8::try_from(int)
                    .map_err(|_| err!("BadArg", mesg = format!("{int} is no byte: bytes are 0 to 255.")))?;
                byts.push(byte);
            }
            Ok(Item::from(&byts[..]))
        }),
    ],
    consts: &[],
};

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&AXON);
    registry.add_lib(&BYTES);
}

fn axon(rt: &Rt) -> Flow<&FileStore> {
    Ok(&core(rt)?.stores.axon)
}

/// The permission by its name of today, or by that under `storm.lib`.
fn allow(rt: &Rt, perm: &str) -> Flow<()> {
    if rt.allowed(&["axon", perm], None) {
        return Ok(());
    }
    rt.confirm(&["storm", "lib", "axon", perm], None)
}

/// Whether a permission that no rule speaks of is given: `$lib.bytes` always was open to everybody.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Yes,
    No,
}

fn confirm(rt: &Rt, perm: &str, open: Known) -> Flow<()> {
    let perm = ["axon", perm];
    let denied = rt.user().allowed(&perm, None) == Some(false);
    if open == Known::Yes && !denied {
        return Ok(());
    }
    rt.confirm(&perm, None)
}

pub(super) fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits = text.as_bytes();
    let bad = || err!("BadArg", mesg = "A SHA-256 is 64 hex digits.", sha256 = text);
    if !digits.len().is_multiple_of(2) {
        return Err(bad());
    }
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    digits.chunks(2).map(|byte| pair(byte).ok_or_else(bad)).collect()
}

/// A sequence of values as what a loop runs over.
pub fn values(mut values: Values) -> Item {
    Item::Genr(Genr::from_fn(move || Ok(values.next().transpose()?.as_ref().map(Item::deep))))
}

fn has(rt: &Rt, args: &Args, open: Known) -> Flow<Item> {
    let Some(sha256) = args.opt_str(rt, 0)? else { return Ok(Item::NULL) };
    confirm(rt, "has", open)?;
    Ok(Item::from(axon(rt)?.has(&unhex(&sha256)?)?))
}

fn size(rt: &Rt, args: &Args, open: Known) -> Flow<Item> {
    let sha256 = args.str(rt, 0)?;
    confirm(rt, "has", open)?;
    Ok(Item::from(axon(rt)?.size(&unhex(&sha256)?)?))
}

fn hashset(rt: &Rt, args: &Args, open: Known) -> Flow<Item> {
    let sha256 = args.str(rt, 0)?;
    confirm(rt, "has", open)?;
    Ok(data(axon(rt)?.hashset(&unhex(&sha256)?)?))
}

fn stored((size, sha256): (u64, Vec<u8>)) -> Item {
    Item::Val(Value::list([size.into(), hex_of(&sha256).into()]))
}

fn put(rt: &Rt, args: &Args, open: Known) -> Flow<Item> {
    let Item::Val(Value::Bytes(byts)) = args.item(0) else {
        let name = if open == Known::Yes { "bytes" } else { "axon" };
        return Err(err!("BadArg", mesg = format!("$lib.{name}.put() requires a bytes argument")).into());
    };
    confirm(rt, "upload", open)?;
    Ok(stored(axon(rt)?.put(byts)?))
}

fn upload(rt: &Rt, args: &Args, open: Known) -> Flow<Item> {
    confirm(rt, "upload", open)?;
    let genr = args.item(0).toiter(rt)?;
    let done = axon(rt)?.upload(|| {
        rt.tick()?;
        Ok::<_, myelin_storm::Ctl>(match genr.next_item()? {
            None => None,
            Some(Item::Val(Value::Bytes(byts))) => Some(byts.to_vec()),
            Some(_) => return Err(err!("BadArg", mesg = "An upload takes bytes.").into()),
        })
    })?;
    Ok(stored(done))
}

fn lines(rt: &Rt, args: &Args, kind: &'static str) -> Flow<Item> {
    allow(rt, "get")?;
    let (sha256, errors) = (args.str(rt, 0)?, args.str(rt, 1)?);
    let todo = Todo::new(kind).arg(&sha256).kw("errors", &errors);
    let found = axon(rt)?.genr(todo, |axon| {
        use myelin_axon::lines::{Errors, Lines, json_line};
        let lines = Lines::new(axon.get(&unhex(&sha256)?)?, Errors::parse(&errors)?);
        if kind == "readlines" {
            return Ok(Box::new(lines.map(|line| line.map(Value::from))));
        }
        let sha256 = sha256.to_string();
        let parsed = lines.filter_map(move |line| line.and_then(|line| json_line(&line, &sha256)).transpose());
        Ok(Box::new(parsed))
    })?;
    Ok(values(found))
}

fn csvrows(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    allow(rt, "get")?;
    let (sha256, dialect, errors) = (unhex(&args.str(rt, 0)?)?, args.str(rt, 1)?, args.str(rt, 2)?);
    let mut params = Map::new();
    for (name, valu) in args.kwargs() {
        params.insert(name, valu.toprim(rt)?);
    }
    let mut todo = Todo::new("csvrows").arg(&sha256[..]).arg(&dialect).kw("errors", &errors);
    for (name, valu) in params.text_entries() {
        todo = todo.kw(name, valu.clone());
    }
    let found = axon(rt)?.genr(todo, |axon| {
        use myelin_axon::csv::{Dialect, Rows};
        use myelin_axon::lines::{Errors, Lines};
        let dialect = Dialect::parse(&dialect, &params)?;
        let chunks = axon.get(&sha256)?;
        Ok(Box::new(Rows::new(Lines::new(chunks, Errors::parse(&errors)?), dialect)))
    })?;
    Ok(values(found))
}

fn list(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    use futures::StreamExt;
    let (offs, waits, timeout) = (args.int(rt, 0)?, args.bool(rt, 1)?, args.opt_int(rt, 2)?);
    allow(rt, "has")?;
    let offs = u64::try_from(offs).unwrap_or_default();
    let todo = Todo::new("hashes").arg(offs).kw("wait", waits).kw("timeout", timeout);
    let cancel = rt.clone();
    let found = axon(rt)?.genr(todo, move |axon| {
        let timeout = timeout.and_then(|secs| u64::try_from(secs).ok()).map(std::time::Duration::from_secs);
        let mut stream = wait::enter(|| axon.hashes(offs, waits, timeout));
        Ok(Box::new(std::iter::from_fn(move || wait::query(&cancel, stream.next()).ok().flatten())))
    })?;
    let rows = found.map(|row| {
        let row = row?;
        let sha256 = row.at(1).and_then(|item| item.at(0)).and_then(Value::as_bytes).unwrap_or_default();
        let size = row.at(1).and_then(|item| item.at(1)).cloned().unwrap_or_default();
        Ok(Value::list([row.at(0).cloned().unwrap_or_default(), hex_of(sha256).into(), size]))
    });
    Ok(values(Box::new(rows)))
}

fn read(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (sha256, offs, size) = (args.str(rt, 0)?, args.int(rt, 1)?, args.int(rt, 2)?);
    if size > MAX_READ {
        return Err(err!("BadArg", mesg = format!("Size must be between 1 and {MAX_READ} bytes")).into());
    }
    allow(rt, "get")?;
    let mut byts = Vec::new();
    for chunk in axon(rt)?.get(&unhex(&sha256)?, Some((offs, size)))? {
        byts.extend_from_slice(chunk?.as_bytes().unwrap_or_default());
    }
    Ok(Item::from(&byts[..]))
}

fn unpack(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    allow(rt, "get")?;
    let (sha256, fmt, offs) = (unhex(&args.str(rt, 0)?)?, args.str(rt, 1)?, args.int(rt, 2)?);
    match axon(rt)? {
        FileStore::Own(axon) => Ok(data(myelin_axon::api::unpack(axon, &sha256, &fmt, offs)?)),
        FileStore::Remote(client) => {
            let todo = Todo::new("unpack").arg(&sha256[..]).arg(&fmt).arg(offs);
            Ok(data(wait::query(rt, client.call(todo))??))
        }
    }
}

/// Names and values of parameters and headers as text; with `multi`, a list is several values.
pub fn strify(valu: Value, multi: bool) -> Value {
    let text = |valu: &Value| Value::from(py::str_text(valu));
    let mut pairs = Vec::new();
    match &valu {
        Value::List(items) => {
            for item in items.iter() {
                let part = |indx| item.at(indx).map_or(Value::Null, text);
                pairs.push(Value::list([part(0), part(1)]));
            }
        }
        Value::Map(map) => {
            for (name, valu) in map.iter() {
                match valu {
                    Value::List(items) if multi => {
                        pairs.extend(items.iter().map(|item| Value::list([text(name), text(item)])));
                    }
                    valu => pairs.push(Value::list([text(name), text(valu)])),
                }
            }
        }
        _ => return valu,
    }
    Value::from(pairs)
}

/// Which proxy a request goes through: null for the one that the options name.
///
/// # Errors
/// `AuthDeny` for another without the permission; `BadArg` for what is no proxy.
pub fn proxy(rt: &Rt, valu: Value) -> Flow<Value> {
    match valu {
        Value::Null => {
            rt.warn_once("Setting the HTTP proxy argument to $lib.null is deprecated. Use $lib.true instead.")?;
            Ok(Value::Null)
        }
        Value::Bool(true) => Ok(Value::Null),
        Value::Bool(false) | Value::Str(_) => {
            rt.confirm(&["storm", "lib", "inet", "http", "proxy"], None)?;
            Ok(valu)
        }
        _ => Err(err!("BadArg", mesg = "HTTP proxy argument must be a string or bool.").into()),
    }
}

fn wget(rt: &Rt, args: &Args) -> Flow<Value> {
    allow(rt, "wget")?;
    let url = args.str(rt, 0)?;
    let request = Request {
        url: url.to_string(),
        headers: strify(args.prim(rt, 1)?, false),
        params: strify(args.prim(rt, 2)?, true),
        method: args.str(rt, 3)?.to_string(),
        json: args.prim(rt, 4)?,
        body: args.prim(rt, 5)?,
        ssl: args.bool(rt, 6)?.into(),
        timeout: args.prim(rt, 7)?,
        proxy: proxy(rt, args.prim(rt, 8)?)?,
        ssl_opts: args.prim(rt, 9)?,
    };
    let info = wait::query(rt, axon(rt)?.wget(request))??;
    let info = info.as_map().cloned().unwrap_or_default();
    Ok(info.with("original_url", url).into())
}

fn wput(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    allow(rt, "wput")?;
    let request = Request {
        url: args.str(rt, 1)?.to_string(),
        headers: strify(args.prim(rt, 2)?, false),
        params: strify(args.prim(rt, 3)?, true),
        method: args.str(rt, 4)?.to_string(),
        ssl: args.bool(rt, 5)?.into(),
        timeout: args.prim(rt, 6)?,
        proxy: proxy(rt, args.prim(rt, 7)?)?,
        ssl_opts: args.prim(rt, 8)?,
        ..Request::default()
    };
    let sha256 = unhex(&args.str(rt, 0)?)?;
    Ok(data(wait::query(rt, axon(rt)?.wput(&sha256, request))??))
}

/// Makes the nodes of a fetched file: the file, where it was found, and the redirections on the way.
const URLFILE: &str = "
[ file:bytes=$sha256 :size=$resp.size :md5=$resp.hashes.md5 :sha1=$resp.hashes.sha1 :sha256=$sha256 .seen=now ]
{ if ($base and not :name) { [ :name=$base ] } }
{ for $redir in $redirs { [ inet:urlredir=$redir .seen=now ] } }
| spin | [ inet:urlfile=($url, $sha256) .seen=now ]
";

fn urlfile(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let gate: Arc<str> = Arc::from(rt.snap().layer());
    rt.confirm(&["node", "add", "file:bytes"], Some(&gate))?;
    rt.confirm(&["node", "add", "inet:urlfile"], Some(&gate))?;
    let resp = wget(rt, &args)?;
    let code = resp.get("code").and_then(Value::as_i64).unwrap_or(-1);
    if code != 200 {
        let reason = resp.get("reason").and_then(Value::as_str).unwrap_or_default();
        rt.warn(format!("$lib.axon.urlfile(): HTTP code {code}: {reason}"))?;
        return Ok(Item::NULL);
    }
    let url = resp.get("original_url").and_then(Value::as_str).unwrap_or_default().to_owned();
    let path = url.split_once("://").map_or(&*url, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let base = path.split_once('/').map_or("", |(_, path)| path).trim_matches('/').rsplit('/').next();
    let mut redirs = Vec::new();
    if let Some(history) = resp.get("history").and_then(Value::as_list) {
        let mut from = Value::from(url.as_str());
        let later = history.iter().skip(1).chain([&resp]).filter_map(|info| info.get("url"));
        for to in later {
            redirs.push(Value::list([from, to.clone()]));
            from = to.clone();
        }
    }
    let sha256 = resp.get("hashes").and_then(|hashes| hashes.get("sha256")).cloned().unwrap_or_default();
    let vars = var_map([
        ("resp", data(resp)),
        ("sha256", Item::Val(sha256)),
        ("base", Item::from(base.filter(|base| !base.is_empty()))),
        ("url", Item::from(url)),
        ("redirs", data(redirs)),
    ]);
    let mut genr = rt.storm(URLFILE, vars, None)?;
    let mut found = Item::NULL;
    while let Some((node, _)) = genr.next()? {
        found = Item::Node(node);
    }
    Ok(found)
}
