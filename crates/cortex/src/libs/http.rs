//! `$lib.inet.http`: requests to web servers.
//!
//! A request that fails is an answer too: `code` is -1 and `err` says what went wrong.

use std::any::Any;
use std::time::Duration;

use myelin_axon::Request;
use myelin_error::{Error, err};
use myelin_storm::item::{Genr, StormObj, TypeDef};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_value::{Map, Value, json, msgpack};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, StatusCode, Url};

use super::axon::{proxy, strify};
use super::util::{core, data, this};
use crate::wait;

/// Redirections followed for one request.
const MAX_REDIRECTS: usize = 10;
/// Bytes of an answer at most.
const MAX_BODY: usize = 1 << 30;
/// How long a web socket is waited for that names no time.
const MAX_WAIT: Duration = Duration::from_secs(300);

const URL: Arg = Arg::req("url");
const HEADERS: Arg = Arg::opt("headers", Dflt::Null);
const JSON: Arg = Arg::opt("json", Dflt::Null);
const BODY: Arg = Arg::opt("body", Dflt::Null);
const VERIFY: Arg = Arg::opt("ssl_verify", Dflt::Bool(true));
const PARAMS: Arg = Arg::opt("params", Dflt::Null);
const TIMEOUT: Arg = Arg::opt("timeout", Dflt::Int(300));
const REDIRECTS: Arg = Arg::opt("allow_redirects", Dflt::Bool(true));
const NO_REDIRECTS: Arg = Arg::opt("allow_redirects", Dflt::Bool(false));
const FIELDS: Arg = Arg::opt("fields", Dflt::Null);
const PROXY: Arg = Arg::opt("proxy", Dflt::Bool(true));
const SSL_OPTS: Arg = Arg::opt("ssl_opts", Dflt::Null);

static LIB: LibDef = LibDef {
    path: "inet.http",
    funcs: &[
        FuncDef::rw("get", &[URL, HEADERS, VERIFY, PARAMS, TIMEOUT, REDIRECTS, PROXY, SSL_OPTS], |rt, _, args| {
            request(rt, easy(rt, "GET", &args)?)
        }),
        FuncDef::rw("head", &[URL, HEADERS, VERIFY, PARAMS, TIMEOUT, NO_REDIRECTS, PROXY, SSL_OPTS], |rt, _, args| {
            request(rt, easy(rt, "HEAD", &args)?)
        }),
        FuncDef::rw(
            "post",
            &[URL, HEADERS, JSON, BODY, VERIFY, PARAMS, TIMEOUT, REDIRECTS, FIELDS, PROXY, SSL_OPTS],
            |rt, _, args| request(rt, full(rt, "POST", &args, 0)?),
        ),
        FuncDef::rw(
            "request",
            &[Arg::req("meth"), URL, HEADERS, JSON, BODY, VERIFY, PARAMS, TIMEOUT, REDIRECTS, FIELDS, PROXY, SSL_OPTS],
            |rt, _, args| request(rt, full(rt, &args.str(rt, 0)?, &args, 1)?),
        ),
        FuncDef::rw("connect", &[URL, HEADERS, VERIFY, TIMEOUT, PARAMS, PROXY, SSL_OPTS], connect),
        FuncDef::ro("urlencode", &[Arg::req("text")], |rt, _, args| Ok(Item::from(quote_plus(&args.str(rt, 0)?)))),
        FuncDef::ro("urldecode", &[Arg::req("text")], |rt, _, args| {
            let text = args.str(rt, 0)?.replace('+', " ");
            Ok(Item::from(percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()))
        }),
        FuncDef::ro("codereason", &[Arg::req("code")], |rt, _, args| Ok(Item::from(reason(args.int(rt, 0)?)))),
    ],
    consts: &[],
};

static RESP: TypeDef = TypeDef {
    name: "inet:http:resp",
    funcs: &[
        FuncDef::rw(
            "json",
            &[Arg::opt("encoding", Dflt::Null), Arg::opt("errors", Dflt::Str("surrogatepass"))],
            to_json,
        ),
        FuncDef::rw("msgpack", &[], |_, item, _| {
            let mut decoder = msgpack::Decoder::new(msgpack::MAX_FRAME);
            decoder.feed(this::<Resp>(item)?.body());
            Ok(Item::Genr(Genr::from_fn(move || {
                let next = decoder.next_value();
                let next =
                    next.map_err(|error| err!("BadMesgFormat", mesg = format!("The body is no msgpack: {error}.")))?;
                Ok(next.map(|(valu, _)| data(valu)))
            })))
        }),
        FuncDef::rw("getRawHeaders", &[], |_, item, _| {
            let mut names = indexmap::IndexMap::<Value, Vec<Value>>::new();
            let raw = this::<Resp>(item)?.0.get("_raw_headers").cloned().unwrap_or_default();
            for pair in raw.as_list().unwrap_or_default() {
                if let (Some(name), Some(valu)) = (pair.at(0), pair.at(1)) {
                    names.entry(name.clone()).or_default().push(valu.clone());
                }
            }
            Ok(data(names.into_iter().map(|(name, valus)| (name, Value::from(valus))).collect::<Map>()))
        }),
    ],
    getters: &[
        ("code", |_, item| this::<Resp>(item)?.field("code")),
        ("reason", |_, item| this::<Resp>(item)?.field("reason")),
        ("url", |_, item| this::<Resp>(item)?.field("url")),
        ("body", |_, item| this::<Resp>(item)?.field("body")),
        ("headers", |_, item| this::<Resp>(item)?.field("headers")),
        ("request_headers", |_, item| this::<Resp>(item)?.field("request_headers")),
        ("err", |_, item| {
            let found = this::<Resp>(item)?.0.get("err").cloned();
            Ok(Item::Val(found.unwrap_or_else(Value::empty_list)))
        }),
        ("history", |_, item| {
            let history = this::<Resp>(item)?.0.get("history").cloned().unwrap_or_default();
            let past = history.as_list().unwrap_or_default().iter().filter_map(Value::as_map);
            Ok(Item::list(past.map(|info| Item::obj(Resp(info.clone()))).collect::<Vec<_>>()))
        }),
    ],
    setters: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&super::http_socket::SOCKET, &RESP]);
    registry.add_lib(&LIB);
}

/// What Storm asked for.
struct Ask {
    request: Request,
    redirects: bool,
    fields: Value,
}

fn easy(rt: &Rt, meth: &str, args: &Args) -> Flow<Ask> {
    let request = Request {
        method: meth.to_owned(),
        url: args.str(rt, 0)?.to_string(),
        headers: strify(args.prim(rt, 1)?, false),
        ssl: args.opt_bool(rt, 2)?.into(),
        params: strify(args.prim(rt, 3)?, true),
        timeout: args.opt_int(rt, 4)?.into(),
        proxy: proxy(rt, args.prim(rt, 6)?)?,
        ssl_opts: args.prim(rt, 7)?,
        ..Request::default()
    };
    Ok(Ask { request, redirects: args.bool(rt, 5)?, fields: Value::Null })
}

/// The arguments of `post`, and of `request` with one more before them.
fn full(rt: &Rt, meth: &str, args: &Args, from: usize) -> Flow<Ask> {
    let request = Request {
        method: meth.to_owned(),
        url: args.str(rt, from)?.to_string(),
        headers: strify(args.prim(rt, from + 1)?, false),
        json: args.prim(rt, from + 2)?,
        body: args.prim(rt, from + 3)?,
        ssl: args.opt_bool(rt, from + 4)?.into(),
        params: strify(args.prim(rt, from + 5)?, true),
        timeout: args.opt_int(rt, from + 6)?.into(),
        proxy: proxy(rt, args.prim(rt, from + 9)?)?,
        ssl_opts: args.prim(rt, from + 10)?,
    };
    Ok(Ask { request, redirects: args.bool(rt, from + 7)?, fields: args.prim(rt, from + 8)? })
}

fn request(rt: &Rt, ask: Ask) -> Flow<Item> {
    let fields = ask.fields.as_list().unwrap_or_default();
    if fields.iter().any(|field| field.get("sha256").is_some()) {
        rt.confirm(&["storm", "lib", "axon", "wput"], None)?;
        let info = wait::query(rt, core(rt)?.stores.axon.post_files(&ask.fields, ask.request))??;
        return Ok(Item::obj(Resp(info.as_map().cloned().unwrap_or_default())));
    }
    let default_proxy = core(rt)?.cell.conf().str("http:proxy");
    let ca_dir = core(rt)?.cell.conf().str("tls:ca:dir");
    let url = ask.request.url.clone();
    let client = client_of(&ask.request, default_proxy.as_deref(), ca_dir.as_deref())?;
    let done = match client {
        Ok(client) => wait::query(rt, send(&ask, &client))?,
        Err(failed) => Err(failed),
    };
    Ok(Item::obj(Resp(done.unwrap_or_else(|failed| failed.pack(&url)))))
}

/// The client for a request. Certificates that cannot be read are the fault of who runs or calls the service, so they end
/// the query; what else is wrong with a request is an answer.
fn client_of(request: &Request, default_proxy: Option<&str>, ca_dir: Option<&str>) -> Flow<Result<Client, Failed>> {
    if let Some(dirn) = ca_dir.filter(|dirn| !std::path::Path::new(dirn).is_dir()) {
        let mesg = format!("The directory {dirn} of tls:ca:dir is not there.");
        return Err(Error::mesg("FileNotFoundError", mesg).into());
    }
    Ok(client(request, default_proxy, ca_dir))
}

/// `(true, socket)`, or `(false, error)`.
fn connect(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let request = Request {
        url: args.str(rt, 0)?.to_string(),
        headers: strify(args.prim(rt, 1)?, false),
        ssl: args.opt_bool(rt, 2)?.into(),
        params: strify(args.prim(rt, 4)?, true),
        proxy: proxy(rt, args.prim(rt, 5)?)?,
        ssl_opts: args.prim(rt, 6)?,
        ..Request::default()
    };
    let timeout = args.opt_int(rt, 3)?.and_then(|secs| u64::try_from(secs).ok()).map_or(MAX_WAIT, Duration::from_secs);
    let default_proxy = core(rt)?.cell.conf().str("http:proxy");
    let ca_dir = core(rt)?.cell.conf().str("tls:ca:dir");
    let client = client_of(&request, default_proxy.as_deref(), ca_dir.as_deref())?;
    let open = async {
        let client = client?;
        let made = super::http_socket::connect(&client, url_of(&request)?, headers(&request.headers)?);
        let late = || Failed { name: "TimeoutError", mesg: "The server did not answer in time.".to_owned() };
        tokio::time::timeout(timeout, made).await.unwrap_or_else(|_| Err(late()))
    };
    Ok(match wait::query(rt, open)? {
        Ok(socket) => Item::list([Item::from(true), socket]),
        Err(failed) => Item::list([Item::from(false), data(failed.error())]),
    })
}

/// What went wrong with a request, by the name that Storm code knows it under.
pub(super) struct Failed {
    pub(super) name: &'static str,
    pub(super) mesg: String,
}

impl From<reqwest::Error> for Failed {
    fn from(error: reqwest::Error) -> Failed {
        let mut mesg = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            mesg = format!("{mesg}: {cause}");
            source = cause.source();
        }
        let certificate = mesg.contains("certificate");
        let name = match () {
            () if error.is_timeout() => "TimeoutError",
            () if error.is_connect()
                && (mesg.contains("socks") || mesg.contains("proxy") || mesg.contains("tunnel")) =>
            {
                "ProxyConnectionError"
            }
            () if error.is_connect() && certificate => "ClientConnectorCertificateError",
            () if error.is_connect() => "ClientConnectorError",
            () if error.is_builder() => "InvalidURL",
            () if error.is_body() || error.is_decode() => "ClientPayloadError",
            () => "ClientError",
        };
        Failed { name, mesg }
    }
}

impl Failed {
    pub(super) fn bad(mesg: impl Into<String>) -> Failed {
        Failed { name: "BadArg", mesg: mesg.into() }
    }

    /// Storm code reads the error as the platform packs one: where it arose, then what it says.
    fn error(&self) -> Value {
        let info = Map::new()
            .with("efile", "http.rs")
            .with("eline", line!())
            .with("esrc", "")
            .with("ename", "send")
            .with("mesg", self.mesg.as_str());
        Value::list([self.name.into(), info.into()])
    }

    fn pack(self, url: &str) -> Map {
        Map::new()
            .with("err", self.error())
            .with("code", -1)
            .with("reason", format!("Exception occurred during request: {}: {}", self.name, self.mesg))
            .with("headers", Map::new())
            .with("url", url)
            .with("body", &b""[..])
            .with("history", Value::empty_list())
            .with("request_headers", Map::new())
    }
}

fn client(request: &Request, default_proxy: Option<&str>, ca_dir: Option<&str>) -> Result<Client, Failed> {
    let opts = &request.ssl_opts;
    let verify = match &request.ssl {
        Value::Null => opts.get("verify").is_none_or(Value::is_truthy),
        ssl => ssl.is_truthy(),
    };
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .danger_accept_invalid_certs(!verify)
        .user_agent("Synapse");
    let pem = |key: &str| opts.get(key).and_then(Value::as_str);
    if let Some(cert) = pem("client_cert") {
        let both = format!("{cert}\n{}", pem("client_key").unwrap_or_default());
        builder = builder.identity(reqwest::Identity::from_pem(both.as_bytes())?);
    }
    let mut bundles = Vec::new();
    bundles.extend(pem("ca_cert").map(|text| text.as_bytes().to_vec()));
    if let Some(dirn) = ca_dir {
        let entries = std::fs::read_dir(dirn).map_err(|error| Failed::bad(error.to_string()))?;
        bundles.extend(entries.flatten().filter_map(|entry| std::fs::read(entry.path()).ok()));
    }
    for bundle in bundles {
        for cert in reqwest::Certificate::from_pem_bundle(&bundle)? {
            builder = builder.add_root_certificate(cert);
        }
    }
    builder = match (&request.proxy, default_proxy) {
        (Value::Str(url), _) => builder.proxy(reqwest::Proxy::all(myelin_axon::far_names(url))?),
        (Value::Null, Some(url)) => builder.proxy(reqwest::Proxy::all(myelin_axon::far_names(url))?),
        _ => builder.no_proxy(),
    };
    if let Some(secs) = request.timeout.as_u64().filter(|secs| *secs > 0) {
        builder = builder.timeout(Duration::from_secs(secs));
    }
    Ok(builder.build()?)
}

fn url_of(request: &Request) -> Result<Url, Failed> {
    let mut url = Url::parse(&request.url)
        .map_err(|error| Failed { name: "InvalidURL", mesg: format!("{} ({error})", request.url) })?;
    let params = pairs(&request.params)?;
    if !params.is_empty() {
        url.query_pairs_mut().extend_pairs(params);
    }
    Ok(url)
}

async fn send(ask: &Ask, client: &Client) -> Result<Map, Failed> {
    let request = &ask.request;
    for field in ask.fields.as_list().unwrap_or_default() {
        if field.get("name").is_none_or(|name| name.as_str().is_none()) {
            return Err(Failed::bad("Each field requires a \"name\" key with a string value."));
        }
    }
    let mut url = url_of(request)?;
    let mut method = Method::from_bytes(request.method.to_uppercase().as_bytes())
        .map_err(|_| Failed::bad(format!("{} is no HTTP method.", request.method)))?;
    let mut history = Vec::new();
    loop {
        let mut built = client.request(method.clone(), url.clone()).headers(headers(&request.headers)?);
        if history.is_empty() || method != Method::GET {
            built = with_body(built, ask)?;
        }
        let built = built.build()?;
        let sent = header_map(built.headers());
        let response = client.execute(built).await?;
        let status = response.status();
        let next = response.headers().get("location").and_then(|valu| valu.to_str().ok());
        let next = next.filter(|_| ask.redirects && status.is_redirection()).and_then(|next| url.join(next).ok());
        let raw = response.headers().iter().map(|(name, valu)| {
            Value::list([title(name.as_str()).into(), String::from_utf8_lossy(valu.as_bytes()).into_owned().into()])
        });
        let info = Map::new()
            .with("code", i64::from(status.as_u16()))
            .with("reason", reason(i64::from(status.as_u16())))
            .with("headers", header_map(response.headers()))
            .with("url", response.url().as_str())
            .with("_raw_headers", raw.collect::<Value>())
            .with("request_headers", sent);
        let Some(next) = next else {
            let body = response.bytes().await?;
            if body.len() > MAX_BODY {
                return Err(Failed { name: "ClientPayloadError", mesg: "The answer is too large.".to_owned() });
            }
            return Ok(info.with("body", &body[..]).with("history", Value::from(history)));
        };
        if history.len() >= MAX_REDIRECTS {
            return Err(Failed { name: "TooManyRedirects", mesg: format!("more than {MAX_REDIRECTS} redirections") });
        }
        history.push(Value::from(info.with("body", &b""[..]).with("history", Value::empty_list())));
        let to_get =
            status == StatusCode::SEE_OTHER || (matches!(status.as_u16(), 301 | 302) && method == Method::POST);
        if to_get && method != Method::HEAD {
            method = Method::GET;
        }
        url = next;
    }
}

fn with_body(built: reqwest::RequestBuilder, ask: &Ask) -> Result<reqwest::RequestBuilder, Failed> {
    let json_text = |valu: &Value| {
        json::to_json_text(valu).map_err(|_| Failed::bad(format!("A {} cannot be sent as JSON.", valu.kind())))
    };
    if !ask.request.json.is_null() {
        return Ok(built.header("content-type", "application/json").body(json_text(&ask.request.json)?));
    }
    if let Some(fields) = ask.fields.as_list().filter(|fields| !fields.is_empty()) {
        let mut form = Form::new();
        for field in fields {
            let text = |key: &str| field.get(key).and_then(Value::as_str).map(str::to_owned);
            let mut part = match field.get("value").unwrap_or(&Value::Null) {
                Value::Str(text) => Part::text(text.to_string()),
                Value::Bytes(byts) => Part::bytes(byts.to_vec()),
                other => Part::text(json_text(other)?),
            };
            if let Some(name) = text("filename") {
                part = part.file_name(name);
            }
            if let Some(mime) = text("content_type") {
                part = part.mime_str(&mime)?;
            }
            form = form.part(text("name").unwrap_or_default(), part);
        }
        return Ok(built.multipart(form));
    }
    Ok(match &ask.request.body {
        Value::Null => built,
        Value::Str(text) => built.header("content-type", "text/plain; charset=utf-8").body(text.to_string()),
        Value::Bytes(byts) => built.header("content-type", "application/octet-stream").body(byts.to_vec()),
        other => built.form(&pairs(&strify(other.clone(), true))?),
    })
}

/// Pairs of text, as [`strify`] leaves them.
fn pairs(valu: &Value) -> Result<Vec<(String, String)>, Failed> {
    let text = |valu: Option<&Value>| valu.and_then(Value::as_str).map(str::to_owned);
    match valu {
        Value::Null => Ok(Vec::new()),
        Value::List(items) => items
            .iter()
            .map(|item| text(item.at(0)).zip(text(item.at(1))).ok_or_else(|| Failed::bad("Expected pairs of text.")))
            .collect(),
        other => Err(Failed::bad(format!("A {} gives no names and values.", other.kind()))),
    }
}

fn headers(valu: &Value) -> Result<HeaderMap, Failed> {
    let mut headers = HeaderMap::new();
    for (name, valu) in pairs(valu)? {
        let bad = || Failed { name: "ValueError", mesg: format!("The header {name} cannot be sent.") };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        headers.append(key, HeaderValue::from_str(&valu).map_err(|_| bad())?);
    }
    Ok(headers)
}

/// A header's name as servers commonly write it: the client library keeps it in lower case.
fn title(name: &str) -> String {
    let parts = name.split('-').map(|part| match part.split_at_checked(1) {
        Some((first, rest)) => format!("{}{rest}", first.to_uppercase()),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("-")
}

fn header_map(headers: &HeaderMap) -> Map {
    let text = |valu: &HeaderValue| String::from_utf8_lossy(valu.as_bytes()).into_owned();
    headers.iter().map(|(name, valu)| (title(name.as_str()), text(valu))).collect()
}

/// The standard phrase of a status code.
fn reason(code: i64) -> String {
    let known = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    match known.and_then(|code| code.canonical_reason()) {
        Some(phrase) => phrase.to_owned(),
        None => format!("Unknown HTTP status code {code}"),
    }
}

/// Python's `quote_plus`.
fn quote_plus(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => quoted.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) => quoted.push(char::from(byte)),
            byte => quoted.push_str(&format!("%{byte:02X}")),
        }
    }
    quoted
}

/// An answer.
struct Resp(Map);

impl Resp {
    fn field(&self, key: &str) -> Flow<Item> {
        Ok(data(self.0.get(key).cloned().unwrap_or_default()))
    }

    fn body(&self) -> &[u8] {
        self.0.get("body").and_then(Value::as_bytes).unwrap_or_default()
    }
}

impl StormObj for Resp {
    fn type_name(&self) -> &'static str {
        "inet:http:resp"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&RESP)
    }

    fn value(&self, _rt: &Rt) -> Flow<Value> {
        Ok(self.0.clone().into())
    }
}

fn to_json(rt: &Rt, item: &Item, args: Args) -> Flow<Item> {
    let body = this::<Resp>(item)?.body();
    let encoding = args.opt_str(rt, 0)?.map_or_else(|| detect(body).to_owned(), |name| name.to_lowercase());
    let errors = args.str(rt, 1)?;
    let text = match &*encoding.replace(['-', '_'], "") {
        "utf8" | "ascii" | "utf8sig" => match std::str::from_utf8(body) {
            Ok(text) => text.to_owned(),
            Err(_) if &*errors == "ignore" => body.utf8_chunks().map(|chunk| chunk.valid()).collect(),
            Err(_) if &*errors == "replace" => String::from_utf8_lossy(body).into_owned(),
            Err(error) => {
                return Err(err!("StormRuntimeError", mesg = format!("The body is not UTF-8: {error}.")).into());
            }
        },
        "latin1" | "iso88591" => body.iter().map(|byte| char::from(*byte)).collect(),
        name @ ("utf16" | "utf16le" | "utf16be") => utf16(body, name == "utf16be")?,
        _ => return Err(Error::not_supported(format!("Decoding JSON as {encoding}")).into()),
    };
    let text = text.trim_start_matches('\u{feff}');
    match json::parse(text.as_bytes()) {
        Ok(valu) => Ok(data(valu)),
        Err(error) => {
            let mesg = format!("Unable to decode HTTP response as json: {error}");
            Err(err!("BadJsonText", mesg = mesg).into())
        }
    }
}

/// The encoding of a JSON text, by its first bytes.
fn detect(body: &[u8]) -> &'static str {
    match body {
        [0xfe, 0xff, ..] | [0, _, ..] => "utf-16-be",
        [0xff, 0xfe, ..] | [_, 0, ..] => "utf-16-le",
        _ => "utf-8",
    }
}

fn utf16(body: &[u8], big: bool) -> Flow<String> {
    let big = big || body.starts_with(&[0xfe, 0xff]);
    let unit = |pair: &[u8]| {
        let pair = [pair[0], pair.get(1).copied().unwrap_or_default()];
        if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    };
    let units: Vec<u16> = body.chunks(2).map(unit).collect();
    Ok(String::from_utf16(&units)
        .map_err(|error| err!("StormRuntimeError", mesg = format!("The body is not UTF-16: {error}.")))?)
}
