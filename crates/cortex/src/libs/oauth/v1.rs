//! `$lib.inet.http.oauth.v1`: requests signed as RFC 5849 has it, with HMAC-SHA1.

use std::any::Any;

use base64::Engine;
use hmac::{Hmac, Mac};
use myelin_error::{Error, Result, err};
use myelin_storm::item::{StormObj, TypeDef};
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Rt};
use myelin_value::{Map, Value, rand_guid};
use reqwest::Url;
use sha1::{Digest, Sha1};

use crate::libs::util::{data, this};
use crate::parts::now_millis;

const FORM: &str = "application/x-www-form-urlencoded";
const HEADER: &str = "AUTH_HEADER";
const QUERY: &str = "QUERY";
const BODY: &str = "BODY";

/// The library.
pub static LIB: LibDef = LibDef {
    path: "inet.http.oauth.v1",
    funcs: &[FuncDef::rw(
        "client",
        &[
            Arg::req("ckey"),
            Arg::req("csecret"),
            Arg::req("atoken"),
            Arg::req("asecret"),
            Arg::opt("sigtype", Dflt::Str(QUERY)),
        ],
        |rt, _, args| {
            let text = |indx| Ok::<_, myelin_storm::Ctl>(args.str(rt, indx)?.to_string());
            let (key, secret, token, token_secret) = (text(0)?, text(1)?, text(2)?, text(3)?);
            Ok(Item::obj(Client { key, secret, token, token_secret, sigtype: text(4)? }))
        },
    )],
    consts: &[
        ("SIG_BODY", |_, _| Ok(Item::from(BODY))),
        ("SIG_QUERY", |_, _| Ok(Item::from(QUERY))),
        ("SIG_HEADER", |_, _| Ok(Item::from(HEADER))),
    ],
};

/// Who signs, and where the signature goes.
struct Client {
    key: String,
    secret: String,
    token: String,
    token_secret: String,
    sigtype: String,
}

pub(super) static CLIENT: TypeDef = TypeDef {
    name: "inet:http:oauth:v1:client",
    funcs: &[FuncDef::rw(
        "sign",
        &[
            Arg::req("baseurl"),
            Arg::opt("method", Dflt::Str("GET")),
            Arg::opt("headers", Dflt::Null),
            Arg::opt("params", Dflt::Null),
            Arg::opt("body", Dflt::Null),
        ],
        sign,
    )],
    getters: &[],
    setters: &[],
};

impl StormObj for Client {
    fn type_name(&self) -> &'static str {
        CLIENT.name
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_def(&self) -> Option<&'static TypeDef> {
        Some(&CLIENT)
    }
}

/// A request as it is signed.
struct Request {
    method: String,
    url: String,
    headers: Map,
    body: Value,
}

fn sign(rt: &Rt, item: &Item, args: Args) -> Flow<Item> {
    let client = this::<Client>(item)?;
    let url = with_params(&args.str(rt, 0)?, &args.prim(rt, 3)?)?;
    let mut headers = match args.prim(rt, 2)? {
        Value::Null => Map::new(),
        Value::Map(map) => (*map).clone(),
        _ => return Err(err!("BadArg", mesg = "The headers of a request are a dictionary.").into()),
    };
    if client.sigtype == BODY {
        headers.insert("Content-Type", FORM);
    }
    let method = args.str(rt, 1)?.to_uppercase();
    let oauth = [
        ("oauth_nonce", rand_guid()),
        ("oauth_timestamp", (now_millis() / 1000).to_string()),
        ("oauth_version", "1.0".to_owned()),
    ];
    let request = Request { method, url, headers, body: args.prim(rt, 4)? };
    let signed = client.sign(request, &oauth).map_err(|error| {
        err!("StormRuntimeError", mesg = format!("The request cannot be signed: {}", error.message()))
    })?;
    Ok(data(signed))
}

/// A URL with the parameters as its only query.
fn with_params(url: &str, params: &Value) -> Result<String> {
    let bad = |error: &dyn std::fmt::Display| err!("BadArg", mesg = format!("{url} is no URL: {error}."));
    let mut made = Url::parse(url).map_err(|error| bad(&error))?;
    made.set_query(None);
    let pairs = pairs_of(params)?;
    if !pairs.is_empty() {
        made.query_pairs_mut().extend_pairs(pairs);
    }
    // The path of a bare host is written only where the caller wrote it.
    let text = String::from(made);
    Ok(if text.ends_with('/') && !url.ends_with('/') { text[..text.len() - 1].to_owned() } else { text })
}

/// Names and values of a dictionary or of a list of pairs.
fn pairs_of(valu: &Value) -> Result<Vec<(String, String)>> {
    let text = |valu: &Value| match valu {
        Value::Str(text) => Ok(text.to_string()),
        Value::Int(int) => Ok(int.to_string()),
        Value::Bytes(byts) => Ok(String::from_utf8_lossy(byts).into_owned()),
        other => Err(err!("BadArg", mesg = format!("A {} is no name or value of a form.", other.kind()))),
    };
    match valu {
        Value::Null => Ok(Vec::new()),
        Value::Map(map) => map.iter().map(|(name, valu)| Ok((text(name)?, text(valu)?))).collect(),
        Value::List(items) => items
            .iter()
            .map(|item| match (item.at(0), item.at(1)) {
                (Some(name), Some(valu)) => Ok((text(name)?, text(valu)?)),
                _ => Err(err!("BadArg", mesg = "A form is a dictionary or a list of pairs.")),
            })
            .collect(),
        Value::Str(text) => form_pairs(text),
        Value::Bytes(byts) => form_pairs(&String::from_utf8_lossy(byts)),
        other => Err(err!("BadArg", mesg = format!("A {} gives no names and values.", other.kind()))),
    }
}

/// The pairs of an encoded form; text that is none gives an error.
fn form_pairs(text: &str) -> Result<Vec<(String, String)>> {
    let fit = |chr: char| chr.is_ascii_alphanumeric() || "_.~-/?:@!$'()*,;%+&=".contains(chr);
    if !text.chars().all(fit) || !text.contains('=') {
        return Err(Error::mesg("BadArg", "The body is no encoded form."));
    }
    let decode = |part: &str| {
        let part = part.replace('+', " ");
        percent_encoding::percent_decode_str(&part).decode_utf8_lossy().into_owned()
    };
    Ok(text
        .split('&')
        .map(|pair| {
            pair.split_once('=').map_or((decode(pair), String::new()), |(name, valu)| (decode(name), decode(valu)))
        })
        .collect())
}

/// What RFC 5849 calls encoding: everything but unreserved characters.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn encoded(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, valu)| format!("{}={}", escape(name), escape(valu))).collect::<Vec<_>>().join("&")
}

impl Client {
    /// URL, headers and body with the signature in one of them.
    fn sign(&self, request: Request, oauth: &[(&str, String)]) -> Result<Value> {
        let content = request
            .headers
            .text_entries()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .and_then(|(_, valu)| valu.as_str())
            .unwrap_or_default()
            .to_owned();
        let form = if request.body.is_null() { None } else { pairs_of(&request.body).ok() };
        let bad = |mesg: &str| Err(Error::mesg("BadArg", mesg));
        let is_form = content == FORM;
        match (&form, is_form) {
            (Some(_), _) if content.starts_with("multipart/form-data") => {
                return bad("The headers say that the body has several parts, but it is a form.");
            }
            (None, true) => return bad("The headers say that the body is a form, but it is none."),
            (Some(_), false) => return bad("The body is a form, but the Content-Type header does not say so."),
            _ => {}
        }
        if self.sigtype == BODY && !(is_form && form.is_some()) {
            return bad("Only a form can carry the signature in its body.");
        }
        if form.is_some() && matches!(request.method.as_str(), "GET" | "HEAD") {
            return bad("A GET or HEAD request has no body.");
        }
        let mut params: Vec<(String, String)> =
            oauth.iter().map(|(name, valu)| ((*name).to_owned(), valu.clone())).collect();
        let own = |name: &str, valu: &str| (name.to_owned(), valu.to_owned());
        params.push(own("oauth_signature_method", "HMAC-SHA1"));
        params.push(own("oauth_consumer_key", &self.key));
        params.push(own("oauth_token", &self.token));
        if let (Some(body), false) = (body_bytes(&request.body), is_form || content.is_empty()) {
            let hash = base64::engine::general_purpose::STANDARD.encode(Sha1::digest(body));
            params.push(own("oauth_body_hash", &hash));
        }
        let url = Url::parse(&request.url)
            .map_err(|error| err!("BadArg", mesg = format!("{} is no URL: {error}.", request.url)))?;
        let mut all = params.clone();
        all.extend(url.query_pairs().map(|(name, valu)| (name.into_owned(), valu.into_owned())));
        all.extend(form.iter().flatten().cloned());
        params.push(own("oauth_signature", &self.signature(&request.method, &url, &all)?));
        let Request { url, mut headers, mut body, .. } = request;
        let mut target = url;
        match self.sigtype.as_str() {
            HEADER => {
                let parts: Vec<String> =
                    params.iter().map(|(name, valu)| format!("{}=\"{}\"", escape(name), escape(valu))).collect();
                headers.insert("Authorization", format!("OAuth {}", parts.join(", ")));
            }
            BODY => {
                let mut whole = form.unwrap_or_default();
                whole.extend(params);
                body = Value::from(encoded(&whole));
            }
            _ => {
                let sep = if target.contains('?') { '&' } else { '?' };
                target = format!("{target}{sep}{}", encoded(&params));
            }
        }
        Ok(Value::list([Value::from(target), headers.into(), body]))
    }

    fn signature(&self, method: &str, url: &Url, params: &[(String, String)]) -> Result<String> {
        let mut sorted: Vec<(String, String)> =
            params.iter().map(|(name, valu)| (escape(name), escape(valu))).collect();
        sorted.sort();
        let normal = sorted.iter().map(|(name, valu)| format!("{name}={valu}")).collect::<Vec<_>>().join("&");
        // The port is in it only where it is not that of the scheme, which is how the library writes it.
        let host = url.host_str().unwrap_or_default().to_lowercase();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let base = format!("{}://{host}{port}{}", url.scheme(), url.path());
        let text = format!("{method}&{}&{}", escape(&base), escape(&normal));
        let key = format!("{}&{}", escape(&self.secret), escape(&self.token_secret));
        let mac = Hmac::<Sha1>::new_from_slice(key.as_bytes());
        let mut mac = mac.map_err(|_| Error::mesg("BadArg", "The secrets cannot be used as a key."))?;
        mac.update(text.as_bytes());
        Ok(base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes()))
    }
}

fn body_bytes(body: &Value) -> Option<&[u8]> {
    match body {
        Value::Str(text) => Some(text.as_bytes()),
        Value::Bytes(byts) => Some(byts),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 5849, section 1.2: the signature is known.
    #[test]
    fn the_example_of_the_rfc_is_signed_as_it_says() {
        let client = Client {
            key: "dpf43f3p2l4k3l03".into(),
            secret: "kd94hf93k423kf44".into(),
            token: "nnch734d00sl2jdk".into(),
            token_secret: "pfkkdhi9sl3r4s00".into(),
            sigtype: QUERY.into(),
        };
        let url = "http://photos.example.net/photos?file=vacation.jpg&size=original";
        let params: Vec<(String, String)> = [
            ("file", "vacation.jpg"),
            ("size", "original"),
            ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
            ("oauth_token", "nnch734d00sl2jdk"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131202"),
            ("oauth_nonce", "chapoH"),
        ]
        .map(|(name, valu)| (name.to_owned(), valu.to_owned()))
        .to_vec();
        let url = Url::parse(url).expect("a URL");
        assert_eq!(client.signature("GET", &url, &params).expect("signed"), "MdpQcU8iPSUjWoN/UDMsK2sui9I=");
    }

    #[test]
    fn what_cannot_carry_a_signature_is_refused() {
        let client = Client {
            key: String::new(),
            secret: String::new(),
            token: String::new(),
            token_secret: String::new(),
            sigtype: BODY.into(),
        };
        let request = |method: &str, body: Value| Request {
            method: method.into(),
            url: "https://vertex.link/".into(),
            headers: Map::new().with("Content-Type", FORM),
            body,
        };
        let form = Value::from(Map::new().with("foo", "bar"));
        assert!(client.sign(request("GET", form.clone()), &[]).is_err());
        assert!(client.sign(request("POST", Value::Null), &[]).is_err());
        assert!(client.sign(request("POST", form), &[]).is_ok());
    }
}
