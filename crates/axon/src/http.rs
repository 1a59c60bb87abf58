//! Requests: fetching a URL into the axon, sending a file as a body or as fields of a form.
//!
//! A failed request is an answer (`ok` false, `code` -1), not an error: that is what callers look at.

use std::time::Duration;

use futures::StreamExt;
use myelin_error::{Error, Result, err};
use myelin_value::{Map, Value};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Client, Method, Response, StatusCode, Url};

use crate::axon::{Axon, HashSet, blocking, sha256_of};

/// Redirections followed for one request.
const MAX_REDIRECTS: usize = 10;
/// Bytes of an answer that is returned and not stored.
const MAX_BODY: usize = 1 << 30;

/// A request and how to make it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The URL.
    pub url: String,
    /// The method.
    pub method: String,
    /// Added to the URL's query: a dict or a list of pairs.
    pub params: Value,
    /// A dict or a list of pairs.
    pub headers: Value,
    /// Sent as JSON.
    pub json: Value,
    /// Sent as it is: text, bytes, or a dict as a form.
    pub body: Value,
    /// Verify the server's certificate; null for the default, which is to do so.
    pub ssl: Value,
    /// `verify`, `client_cert`, `client_key`.
    pub ssl_opts: Value,
    /// Seconds; null for none.
    pub timeout: Value,
    /// A proxy's URL; true or null for the configured one, false for none.
    pub proxy: Value,
}

/// What went wrong with a request, by the name that callers know it under.
struct Failed {
    name: &'static str,
    mesg: String,
}

impl From<reqwest::Error> for Failed {
    fn from(error: reqwest::Error) -> Failed {
        let mut mesg = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            mesg = format!("{mesg}: {cause}");
            source = cause.source();
        }
        let name = match () {
            () if error.is_timeout() => "TimeoutError",
            () if error.is_connect() && (mesg.contains("socks") || mesg.contains("proxy")) => "ProxyConnectionError",
            () if error.is_connect() => "ClientConnectorError",
            () if error.is_builder() => "InvalidURL",
            () if error.is_redirect() => "TooManyRedirects",
            () if error.is_body() || error.is_decode() => "ClientPayloadError",
            () => "ClientError",
        };
        Failed { name, mesg }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        let mesg = error.message().to_owned();
        let name = if error.is("NoSuchFile") { "NoSuchFile" } else { "BadArg" };
        Failed { name, mesg }
    }
}

impl Failed {
    fn pack(self) -> Map {
        let info = Map::new()
            .with("efile", "http.rs")
            .with("eline", line!())
            .with("esrc", "")
            .with("ename", "request")
            .with("mesg", &self.mesg);
        let err = Value::list([self.name.into(), info.into()]);
        Map::new()
            .with("ok", false)
            .with("mesg", format!("{}: {}", self.name, self.mesg))
            .with("code", -1)
            .with("reason", format!("Exception occurred during request: {}: {}", self.name, self.mesg))
            .with("err", err)
    }
}

impl Axon {
    /// Fetches a URL and stores what it answers. Says what there was, with the hashes of the body.
    pub async fn wget(&self, request: Request) -> Result<Map> {
        self.require_ca_dir()?;
        match self.try_wget(&request).await {
            Ok(info) => Ok(info),
            Err(failed) => Ok(failed.pack()),
        }
    }

    /// Refuses to go on without the certificates that the options name: that is for the operator to mend.
    fn require_ca_dir(&self) -> Result<()> {
        match &self.conf().tls_ca_dir {
            Some(dirn) if !std::path::Path::new(dirn).is_dir() => {
                let mesg =
                    format!("The directory {} of tls:ca:dir is not there.", std::path::Path::new(dirn).display());
                Err(Error::mesg("FileNotFoundError", mesg))
            }
            _ => Ok(()),
        }
    }

    async fn try_wget(&self, request: &Request) -> Result<Map, Failed> {
        let client = self.http_client(request)?;
        let (response, mut info) = follow(&client, request).await?;
        let mut upload = self.upload();
        let mut hashes = HashSet::default();
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            (upload, hashes) = blocking(move || {
                upload.write(&chunk)?;
                hashes.update(&chunk);
                Ok((upload, hashes))
            })
            .await?;
        }
        let (size, _) = blocking(move || upload.save()).await?;
        info.insert("size", size);
        info.insert("hashes", hashes.digests());
        Ok(info)
    }

    /// Sends a file as the body of a request.
    pub async fn wput(&self, sha256: &[u8], request: Request) -> Result<Map> {
        self.require_ca_dir()?;
        match self.try_wput(sha256, &request).await {
            Ok(info) => Ok(info),
            Err(failed) => Ok(failed.pack()),
        }
    }

    async fn try_wput(&self, sha256: &[u8], request: &Request) -> Result<Map, Failed> {
        let client = self.http_client(request)?;
        let (body, _) = self.body_of(sha256).await?;
        let response = prepare(&client, request, url_of(request)?, method_of(request)?)?.body(body).send().await?;
        Ok(summary(&response))
    }

    /// Sends fields as a form; a field may be a file. Each is a dict of `name` and `sha256` or `value`, with `filename`,
    /// `content_type` and `content_transfer_encoding`.
    pub async fn post_files(&self, fields: &[Value], request: Request) -> Result<Map> {
        self.require_ca_dir()?;
        let done = match self.try_post_files(fields, &request).await {
            Ok(info) => info,
            Err(failed) => {
                let mut info = failed.pack();
                info.remove("mesg");
                info.with("url", &request.url).with("body", &b""[..]).with("headers", Map::new())
            }
        };
        Ok(done)
    }

    async fn try_post_files(&self, fields: &[Value], request: &Request) -> Result<Map, Failed> {
        let client = self.http_client(request)?;
        let mut form = Form::new();
        for field in fields {
            let name = field.get("name").and_then(Value::as_str).map(str::to_owned);
            let name =
                name.ok_or_else(|| err!("BadArg", mesg = "Each field requires a \"name\" key with a string value"))?;
            form = form.part(name, self.part_of(field).await?);
        }
        let response = prepare(&client, request, url_of(request)?, method_of(request)?)?.multipart(form).send().await?;
        let info = summary(&response);
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk?);
            if body.len() > MAX_BODY {
                return Err(err!("BadArg", mesg = "The answer is too large.").into());
            }
        }
        Ok(info.with("body", &body[..]))
    }

    async fn part_of(&self, field: &Value) -> Result<Part, Failed> {
        let text = |key: &str| field.get(key).and_then(Value::as_str);
        let mut part = match text("sha256").filter(|sha256| !sha256.is_empty()) {
            Some(sha256) => {
                let (body, size) = self.body_of(&sha256_of(sha256)?).await?;
                Part::stream_with_length(body, size)
            }
            None => match field.get("value").unwrap_or(&Value::Null) {
                Value::Str(text) => Part::text(text.to_string()),
                Value::Bytes(byts) => Part::bytes(byts.to_vec()),
                other => Part::text(json_text(other)?),
            },
        };
        if let Some(name) = text("filename") {
            part = part.file_name(name.to_owned());
        }
        if let Some(mime) = text("content_type") {
            part = part.mime_str(mime)?;
        }
        if let Some(coding) = text("content_transfer_encoding") {
            let valu = HeaderValue::from_str(coding).map_err(|_| bad_header("content-transfer-encoding"))?;
            part = part.headers(HeaderMap::from_iter([(HeaderName::from_static("content-transfer-encoding"), valu)]));
        }
        Ok(part)
    }

    async fn body_of(&self, sha256: &[u8]) -> Result<(Body, u64), Failed> {
        let (axon, sha256) = (self.clone(), sha256.to_vec());
        let (chunks, size) = blocking(move || Ok((axon.get(&sha256)?, axon.req_size(&sha256)?))).await?;
        let chunks = chunks.map(|chunk| chunk.map(Value::Bytes));
        let stream = crate::axon::stream_of(chunks).map(|chunk| match chunk {
            Ok(Value::Bytes(byts)) => Ok(bytes::Bytes::from_owner(byts)),
            Ok(_) => Ok(bytes::Bytes::new()),
            Err(error) => Err(std::io::Error::other(error)),
        });
        Ok((Body::wrap_stream(stream), size))
    }

    fn http_client(&self, request: &Request) -> Result<Client, Failed> {
        let opts = &request.ssl_opts;
        let verify =
            [opts.get("verify"), Some(&request.ssl)].into_iter().flatten().all(|it| it.is_null() || it.is_truthy());
        let mut builder =
            Client::builder().redirect(reqwest::redirect::Policy::none()).danger_accept_invalid_certs(!verify);
        let pem = |key: &str| opts.get(key).and_then(Value::as_str);
        if let Some(cert) = pem("client_cert") {
            let both = format!("{cert}\n{}", pem("client_key").unwrap_or_default());
            builder = builder.identity(reqwest::Identity::from_pem(both.as_bytes())?);
        }
        if let Some(dirn) = &self.conf().tls_ca_dir {
            for entry in std::fs::read_dir(dirn).map_err(Error::from)? {
                let byts = std::fs::read(entry.map_err(Error::from)?.path()).map_err(Error::from)?;
                for cert in reqwest::Certificate::from_pem_bundle(&byts)? {
                    builder = builder.add_root_certificate(cert);
                }
            }
        }
        builder = match &request.proxy {
            Value::Bool(false) => builder.no_proxy(),
            Value::Str(url) => builder.proxy(reqwest::Proxy::all(far_names(url))?),
            Value::Null | Value::Bool(true) => match &self.conf().http_proxy {
                Some(url) => builder.proxy(reqwest::Proxy::all(far_names(url))?),
                None => builder.no_proxy(),
            },
            _ => return Err(err!("BadArg", mesg = "HTTP proxy argument must be a string or bool.").into()),
        };
        let secs = request.timeout.as_f64().or_else(|| request.timeout.as_i64().map(|secs| secs as f64));
        if let Some(time) = secs.filter(|secs| *secs > 0.0).and_then(|secs| Duration::try_from_secs_f64(secs).ok()) {
            builder = builder.timeout(time);
        }
        Ok(builder.build()?)
    }
}

/// A proxy resolves the names of hosts, as those who configure one expect.
#[must_use]
pub fn far_names(url: &str) -> String {
    match url.split_once("://") {
        Some(("socks5", rest)) => format!("socks5h://{rest}"),
        Some(("socks4", rest)) => format!("socks4a://{rest}"),
        _ => url.to_owned(),
    }
}

/// Sends a request and follows redirections; returns the last answer, and what it and those before it were.
async fn follow(client: &Client, request: &Request) -> Result<(Response, Map), Failed> {
    let (mut url, mut method) = (url_of(request)?, method_of(request)?);
    let mut history = Vec::new();
    loop {
        let mut built = prepare(client, request, url.clone(), method.clone())?;
        if history.is_empty() || method != Method::GET {
            built = with_body(built, request)?;
        }
        let built = built.build()?;
        let sent = Map::new()
            .with("url", decoded(built.url()))
            .with("headers", headers_of(built.headers()))
            .with("method", built.method().as_str());
        let response = client.execute(built).await?;
        let mut info = summary(&response).with("request", sent);
        let next = response.headers().get("location").and_then(|valu| valu.to_str().ok());
        let next = next.filter(|_| response.status().is_redirection()).and_then(|next| url.join(next).ok());
        let Some(next) = next else {
            if !history.is_empty() {
                info.insert("history", Value::from(history));
            }
            return Ok((response, info));
        };
        if history.len() >= MAX_REDIRECTS {
            return Err(Failed { name: "TooManyRedirects", mesg: format!("more than {MAX_REDIRECTS} redirections") });
        }
        let to_get = response.status() == StatusCode::SEE_OTHER
            || (matches!(response.status().as_u16(), 301 | 302) && method == Method::POST);
        if to_get && method != Method::HEAD {
            method = Method::GET;
        }
        history.push(Value::from(info));
        url = next;
    }
}

fn prepare(client: &Client, request: &Request, url: Url, method: Method) -> Result<reqwest::RequestBuilder, Failed> {
    Ok(client.request(method, url).headers(header_map(&request.headers)?))
}

fn with_body(built: reqwest::RequestBuilder, request: &Request) -> Result<reqwest::RequestBuilder, Failed> {
    if !request.json.is_null() {
        return Ok(built.header("content-type", "application/json").body(json_text(&request.json)?));
    }
    Ok(match &request.body {
        Value::Null => built,
        Value::Str(text) => built.header("content-type", "text/plain; charset=utf-8").body(text.to_string()),
        Value::Bytes(byts) => built.header("content-type", "application/octet-stream").body(byts.to_vec()),
        other => built.form(&pairs(other, "body")?),
    })
}

fn url_of(request: &Request) -> Result<Url, Failed> {
    let mut url = Url::parse(&request.url)
        .map_err(|error| Failed { name: "InvalidURL", mesg: format!("{} ({error})", request.url) })?;
    let params = pairs(&request.params, "params")?;
    if !params.is_empty() {
        url.query_pairs_mut().extend_pairs(params);
    }
    Ok(url)
}

fn method_of(request: &Request) -> Result<Method, Failed> {
    Method::from_bytes(request.method.to_uppercase().as_bytes())
        .map_err(|_| err!("BadArg", mesg = format!("{} is no HTTP method.", request.method)).into())
}

/// A dict or a list of pairs, as pairs of text.
fn pairs(valu: &Value, name: &str) -> Result<Vec<(String, String)>> {
    let bad = || err!("BadArg", mesg = format!("{name} must be a dict or a list of pairs."), name = name);
    let text = |valu: &Value| match valu {
        Value::Str(text) => Ok(text.to_string()),
        Value::Bytes(byts) => Ok(String::from_utf8_lossy(byts).into_owned()),
        other => json_text(other),
    };
    match valu {
        Value::Null => Ok(Vec::new()),
        Value::Map(map) => map.iter().map(|(key, valu)| Ok((text(key)?, text(valu)?))).collect(),
        Value::List(items) => items
            .iter()
            .map(|item| match (item.at(0), item.at(1)) {
                (Some(key), Some(valu)) => Ok((text(key)?, text(valu)?)),
                _ => Err(bad()),
            })
            .collect(),
        _ => Err(bad()),
    }
}

fn header_map(valu: &Value) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, valu) in pairs(valu, "headers")? {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad_header(&name))?;
        headers.append(key, HeaderValue::from_str(&valu).map_err(|_| bad_header(&name))?);
    }
    Ok(headers)
}

fn bad_header(name: &str) -> Error {
    err!("BadArg", mesg = format!("The header {name} cannot be sent."), name = name)
}

fn json_text(valu: &Value) -> Result<String> {
    let text = myelin_value::json::to_json_text(valu);
    text.map_err(|_| err!("BadArg", mesg = format!("A {} cannot be sent as JSON.", valu.kind())))
}

fn summary(response: &Response) -> Map {
    Map::new()
        .with("ok", true)
        .with("url", decoded(response.url()))
        .with("code", i64::from(response.status().as_u16()))
        .with("headers", headers_of(response.headers()))
        .with("reason", reason_of(response.status()))
}

/// The standard phrase of a status code.
pub fn reason_of(code: StatusCode) -> String {
    code.canonical_reason().map_or_else(|| format!("Unknown HTTP status code {}", code.as_u16()), str::to_owned)
}

/// Headers as servers commonly write them: the client library keeps them in lower case.
fn headers_of(headers: &HeaderMap) -> Map {
    let title = |name: &str| -> String {
        let parts = name.split('-').map(|part| match part.split_at_checked(1) {
            Some((first, rest)) => format!("{}{rest}", first.to_uppercase()),
            None => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("-")
    };
    headers
        .iter()
        .map(|(name, valu)| (title(name.as_str()), String::from_utf8_lossy(valu.as_bytes()).into_owned()))
        .collect()
}

fn decoded(url: &Url) -> String {
    percent_encoding::percent_decode_str(url.as_str()).decode_utf8_lossy().into_owned()
}

/// The request that a call's arguments describe.
pub fn request_of(args: &myelin_telepath::Args) -> Result<Request> {
    let get = |name: &str| args.get(name).clone();
    Ok(Request {
        url: args.str("url")?.to_owned(),
        method: args.str("method")?.to_owned(),
        params: get("params"),
        headers: get("headers"),
        json: get("json"),
        body: get("body"),
        ssl: get("ssl"),
        ssl_opts: get("ssl_opts"),
        timeout: get("timeout"),
        proxy: get("proxy"),
    })
}
