//! OAuth 2: providers, and the tokens that users have from them.
//!
//! Tables `oauth:v2:providers` (iden → configuration) and `oauth:v2:clients` (provider's iden and user's iden → token).
//! Tokens are renewed half-way through their life while the cortex is the leader. A token that could not be had keeps the
//! error in its place. The secret of a provider is never given out.

use std::sync::Arc;
use std::time::Duration;

use myelin_cell::{ApplyCx, Event};
use myelin_error::{Error, Result, err};
use myelin_slab::{Reads, Scan, Slab, Table};
use myelin_storm::rt::{Cancel, NoSink};
use myelin_storm::{Host, StormQuery};
use myelin_value::{Map, Value, json, msgpack, rand_guid};

use super::{Part, Pusher, now_millis};
use crate::stack::Stack;
use crate::wait;

/// How long a provider may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Characters of an iden.
const IDEN_LEN: usize = 32;
/// The scheme of an assertion instead of a secret (RFC 7523).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The providers and tokens of a cortex.
pub struct Oauth {
    slab: Slab,
    clients: Table,
    providers: Table,
    pusher: Pusher,
}

/// How a client shows who it is: name and password, or more fields of the form.
type Credentials = (Option<(String, String)>, Vec<(String, String)>);

impl Oauth {
    /// Opens the tables in the cell's slab.
    ///
    /// # Errors
    /// What the storage fails with.
    pub fn open(slab: Slab, pusher: Pusher) -> Result<Oauth> {
        let clients = slab.table("oauth:v2:clients", false)?;
        let providers = slab.table("oauth:v2:providers", false)?;
        Ok(Oauth { slab, clients, providers, pusher })
    }

    fn read(&self, txn: &impl Reads, table: Table, key: &str) -> Result<Option<Map>> {
        let Some(byts) = txn.get(table, key.as_bytes())? else { return Ok(None) };
        Ok(msgpack::decode(byts)?.as_map().cloned())
    }

    fn rows(&self, table: Table) -> Result<Vec<(String, Map)>> {
        let txn = self.slab.read_fresh()?;
        let mut found = Vec::new();
        for row in txn.scan(table, Scan::All)? {
            let (key, byts) = row?;
            let valu = msgpack::decode(byts)?;
            found.push((String::from_utf8_lossy(key).into_owned(), valu.as_map().cloned().unwrap_or_default()));
        }
        Ok(found)
    }

    fn full_provider(&self, iden: &str) -> Result<Option<Map>> {
        self.read(&self.slab.read_fresh()?, self.providers, iden)
    }

    fn req_provider(&self, iden: &str) -> Result<Map> {
        let missing =
            || err!("BadArg", mesg = format!("There is no OAuth provider with the iden {iden}."), iden = iden);
        self.full_provider(iden)?.ok_or_else(missing)
    }

    /// A provider, without its secret.
    ///
    /// # Errors
    /// What the storage fails with.
    pub fn provider(&self, iden: &str) -> Result<Option<Map>> {
        Ok(self.full_provider(iden)?.map(without_secret))
    }

    /// Every provider by its iden, without their secrets.
    ///
    /// # Errors
    /// What the storage fails with.
    pub fn providers(&self) -> Result<Vec<(String, Map)>> {
        Ok(self.rows(self.providers)?.into_iter().map(|(iden, conf)| (iden, without_secret(conf))).collect())
    }

    /// Adds a provider.
    ///
    /// # Errors
    /// `SchemaViolation`, `DupIden`, and `BadArg` for what does not go together.
    pub fn add_provider(&self, stack: &Stack, conf: Value) -> Result<()> {
        let conf = checked(conf)?;
        let iden = conf.get_str("iden").unwrap_or_default();
        if self.full_provider(iden)?.is_some() {
            return Err(err!("DupIden", mesg = format!("There already is an OAuth provider {iden}."), iden = iden));
        }
        check_scheme(&conf, stack)?;
        self.pusher.push("oauth:provider:add", [conf.into()]).map(drop)
    }

    /// Removes a provider with all its tokens; its configuration, null if there is none.
    ///
    /// # Errors
    /// What the log fails with.
    pub fn del_provider(&self, iden: &str) -> Result<Value> {
        if self.full_provider(iden)?.is_none() {
            return Ok(Value::Null);
        }
        self.pusher.push("oauth:provider:del", [iden.into()])
    }

    fn client(&self, provider: &str, user: &str) -> Result<Option<Map>> {
        self.read(&self.slab.read_fresh()?, self.clients, &format!("{provider}{user}"))
    }

    /// Whether a user has a valid token of a provider, and the token or what is wrong.
    ///
    /// # Errors
    /// `BadArg` when there is no such provider.
    pub fn access_token(&self, provider: &str, user: &str) -> Result<(bool, Value)> {
        self.req_provider(provider)?;
        let Some(client) = self.client(provider, user)? else {
            return Ok((false, "Auth code has not been set".into()));
        };
        if let Some(error) = client.get("error").filter(|error| !error.is_null()) {
            return Ok((false, error.clone()));
        }
        if number(&client, "expires_at") < now_millis() as f64 {
            return Ok((false, "Token is expired".into()));
        }
        Ok((true, client.get("access_token").cloned().unwrap_or_default()))
    }

    /// Forgets a user's token; it, null if there was none.
    ///
    /// # Errors
    /// What the log fails with.
    pub fn clear(&self, provider: &str, user: &str) -> Result<Value> {
        if self.client(provider, user)?.is_none() {
            return Ok(Value::Null);
        }
        self.pusher.push("oauth:client:data:clear", [provider.into(), user.into()])
    }

    fn store(&self, provider: &str, user: &str, token: Map) -> Result<()> {
        self.pusher.push("oauth:client:data:set", [provider.into(), user.into(), token.into()]).map(drop)
    }

    /// Gets a user's first token for the code that the provider gave. Blocks.
    ///
    /// # Errors
    /// `BadArg` when there is no such provider, `SynErr` when it gives no token.
    pub fn set_code(
        &self,
        host: &Arc<dyn Host>,
        iden: &str,
        user: &str,
        code: &str,
        verifier: Option<&str>,
    ) -> Result<()> {
        let provider = self.req_provider(iden)?;
        self.clear(iden, user)?;
        let text = |key: &str| provider.get_str(key).unwrap_or_default().to_owned();
        let mut form = vec![
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("scope".to_owned(), text("scope")),
            ("redirect_uri".to_owned(), text("redirect_uri")),
            ("code".to_owned(), code.to_owned()),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier".to_owned(), verifier.to_owned())));
        let got = credentials(host, &provider, user).and_then(|with| fetch(&provider, with, form, 1));
        let failed = |mesg: String| err!("SynErr", mesg = format!("The OAuth provider gave no token: {mesg}"));
        self.store(iden, user, got.map_err(failed)?)
    }

    /// Renews the tokens whose time has come. Blocks.
    ///
    /// # Errors
    /// What storage and log fail with; what providers answer is kept with the token.
    pub fn refresh_due(
        &self,
        host: &Arc<dyn Host>,
        alive: impl Fn(&str) -> std::result::Result<(), String>,
    ) -> Result<()> {
        for (key, client) in self.rows(self.clients)? {
            let Some((iden, user)) = key.split_at_checked(IDEN_LEN) else { continue };
            let Some(refresh) = client.get_str("refresh_token") else { continue };
            if client.get("error").is_some_and(Value::is_truthy) || number(&client, "refresh_at") > now_millis() as f64
            {
                continue;
            }
            let Some(provider) = self.full_provider(iden)? else { continue };
            let form = vec![
                ("grant_type".to_owned(), "refresh_token".to_owned()),
                ("refresh_token".to_owned(), refresh.to_owned()),
            ];
            let got = alive(user)
                .and_then(|()| credentials(host, &provider, user))
                .and_then(|with| fetch(&provider, with, form, 3));
            let token = match got {
                Ok(token) if token.get("refresh_token").is_some_and(Value::is_truthy) => token,
                // A provider that gives no new one means that the old one stays good.
                Ok(token) => token.with("refresh_token", refresh),
                Err(mesg) => {
                    tracing::warn!(provider = iden, user, "a token could not be renewed: {mesg}");
                    Map::new().with("error", mesg)
                }
            };
            self.store(iden, user, token)?;
        }
        Ok(())
    }

    /// Whether there are tokens that will have to be renewed.
    pub fn has_clients(&self) -> bool {
        self.rows(self.clients).is_ok_and(|rows| !rows.is_empty())
    }
}

fn number(map: &Map, key: &str) -> f64 {
    let valu = map.get(key);
    valu.and_then(|valu| valu.as_f64().or_else(|| valu.as_i64().map(|int| int as f64))).unwrap_or(f64::MAX)
}

fn without_secret(mut conf: Map) -> Map {
    conf.remove("client_secret");
    conf
}

/// A configuration with its defaults, if it has the right keys of the right kinds.
fn checked(conf: Value) -> Result<Map> {
    let bad = |name: &str, want: &str| {
        let mesg = format!("The configuration of an OAuth provider is wrong: {name} must {want}.");
        Err(err!("SchemaViolation", mesg = mesg, name = name))
    };
    let Some(mut conf) = conf.as_map().cloned() else { return bad("data", "be a dictionary") };
    let needed = ["iden", "name", "scope", "auth_uri", "token_uri", "redirect_uri"];
    if needed.iter().any(|key| !conf.contains(key)) {
        return bad("data", &format!("have the keys {}", needed.join(", ")));
    }
    let defaults: [(&str, Value); 3] =
        [("flow_type", "authorization_code".into()), ("auth_scheme", "basic".into()), ("ssl_verify", true.into())];
    for (key, dflt) in defaults {
        if !conf.contains(key) {
            conf.insert(key, dflt);
        }
    }
    for (key, valu) in conf.text_entries() {
        let name = format!("data.{key}");
        let hex = |text: &str| text.len() == IDEN_LEN && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        match key {
            "iden" if !valu.as_str().is_some_and(hex) => return bad(&name, "be an iden"),
            "name" | "client_id" | "client_secret" | "scope" | "auth_uri" | "token_uri" | "redirect_uri"
                if !valu.is_text() =>
            {
                return bad(&name, "be text");
            }
            "flow_type" if valu.as_str() != Some("authorization_code") => return bad(&name, "be authorization_code"),
            "auth_scheme" if !matches!(valu.as_str(), Some("basic" | "client_assertion")) => {
                return bad(&name, "be basic or client_assertion");
            }
            "ssl_verify" if valu.as_bool().is_none() => return bad(&name, "be true or false"),
            "client_assertion" if !is_assertion(valu) => {
                return bad(&name, "hold either cortex:callstorm or msft:azure:workloadidentity");
            }
            "extensions" => {
                let Some(map) = valu.as_map() else { return bad(&name, "be a dictionary") };
                if map.text_entries().any(|(key, _)| key != "pkce") {
                    return bad(&name, "hold nothing but pkce");
                }
                if map.get("pkce").is_some_and(|pkce| pkce.as_bool().is_none()) {
                    return bad("data.extensions.pkce", "be true or false");
                }
            }
            "extra_auth_params" => {
                let Some(map) = valu.as_map() else { return bad(&name, "be a dictionary") };
                if let Some((key, _)) = map.text_entries().find(|(_, valu)| !valu.is_text()) {
                    return bad(&format!("{name}.{key}"), "be text");
                }
            }
            "iden" | "name" | "client_id" | "client_secret" | "scope" | "auth_uri" | "token_uri" | "redirect_uri"
            | "flow_type" | "auth_scheme" | "ssl_verify" | "client_assertion" => {}
            _ => return bad("data", "have no other keys"),
        }
    }
    Ok(conf)
}

fn is_assertion(valu: &Value) -> bool {
    let Some(map) = valu.as_map().filter(|map| map.len() == 1) else { return false };
    let kinds = |part: &Value, known: &[&str], needed: &[&str], fits: fn(&str, &Value) -> bool| {
        part.as_map().is_some_and(|part| {
            needed.iter().all(|key| part.contains(key))
                && part.text_entries().all(|(key, valu)| known.contains(&key) && fits(key, valu))
        })
    };
    if let Some(part) = map.get("cortex:callstorm") {
        return kinds(part, &["query", "vars", "view"], &["query", "view"], |key, valu| match key {
            "vars" => valu.as_map().is_some(),
            "view" => valu.as_str().is_some_and(|text| text.len() == IDEN_LEN),
            _ => valu.is_text(),
        });
    }
    let Some(part) = map.get("msft:azure:workloadidentity") else { return false };
    kinds(part, &["token", "client_id"], &["token"], |_, valu| valu.as_bool().is_some())
}

/// Whether what the scheme needs is there, and nothing that goes against it.
fn check_scheme(conf: &Map, stack: &Stack) -> Result<()> {
    let bad = |mesg: &str| Err(Error::mesg("BadArg", mesg));
    let given = |key: &str| conf.get(key).is_some_and(Value::is_truthy);
    match (given("client_assertion"), given("client_secret")) {
        (true, true) => return bad("A provider has either client_assertion or client_secret, not both."),
        (false, false) => return bad("A provider needs either client_assertion or client_secret."),
        _ => {}
    }
    if conf.get_str("auth_scheme") == Some("basic") {
        if !given("client_id") || !given("client_secret") {
            return bad("The scheme basic needs client_id and client_secret.");
        }
        return Ok(());
    }
    let Some(assertion) = conf.get("client_assertion").filter(|_| given("client_assertion")) else {
        return bad("The scheme client_assertion needs client_assertion.");
    };
    if let Some(info) = assertion.get("cortex:callstorm") {
        if !given("client_id") {
            return bad("An assertion by cortex:callstorm needs client_id.");
        }
        let text = info.get("query").and_then(Value::as_str).unwrap_or_default();
        if let Err(error) = myelin_storm::run::parse(text) {
            return bad(&format!("The query of the assertion is wrong: {}", error.message()));
        }
        let view = info.get("view").and_then(Value::as_str).unwrap_or_default();
        if stack.view(view).is_none() {
            return bad(&format!("There is no view {view} to run the query of the assertion in."));
        }
        return Ok(());
    }
    let info = assertion.get("msft:azure:workloadidentity").cloned().unwrap_or_default();
    if !info.get("token").is_some_and(Value::is_truthy) {
        return bad("The token of msft:azure:workloadidentity must be true.");
    }
    azure_token().map_err(|mesg| Error::mesg("BadArg", mesg))?;
    if info.get("client_id").is_some_and(Value::is_truthy) {
        if given("client_id") {
            return bad("A provider takes its client_id either from its configuration or from the environment.");
        }
        azure_client().map_err(|mesg| Error::mesg("BadArg", mesg))?;
    }
    Ok(())
}

fn azure_token() -> std::result::Result<String, String> {
    const NAME: &str = "AZURE_FEDERATED_TOKEN_FILE";
    let path = std::env::var(NAME).map_err(|_| format!("The environment variable {NAME} is not set."))?;
    std::fs::read_to_string(&path).map_err(|error| format!("The file {path} of {NAME} cannot be read: {error}."))
}

fn azure_client() -> std::result::Result<String, String> {
    const NAME: &str = "AZURE_CLIENT_ID";
    match std::env::var(NAME) {
        Ok(iden) if !iden.is_empty() => Ok(iden),
        Ok(_) => Err(format!("The environment variable {NAME} is empty.")),
        Err(_) => Err(format!("The environment variable {NAME} is not set.")),
    }
}

/// What proves to the provider who asks.
fn credentials(host: &Arc<dyn Host>, provider: &Map, user: &str) -> std::result::Result<Credentials, String> {
    let text = |key: &str| provider.get_str(key).unwrap_or_default().to_owned();
    if provider.get_str("auth_scheme") == Some("basic") {
        return Ok((Some((text("client_id"), text("client_secret"))), Vec::new()));
    }
    let assertion = provider.get("client_assertion").cloned().unwrap_or_default();
    let mut client = text("client_id");
    let token = if let Some(info) = assertion.get("cortex:callstorm") {
        storm_token(host, info, user)?
    } else {
        let info = assertion.get("msft:azure:workloadidentity").cloned().unwrap_or_default();
        if info.get("client_id").is_some_and(Value::is_truthy) {
            client = azure_client()?;
        }
        azure_token()?
    };
    let pair = |name: &str, valu: String| (name.to_owned(), valu);
    let form = [
        pair("client_id", client),
        pair("client_assertion", token),
        pair("client_assertion_type", JWT_BEARER.to_owned()),
    ];
    Ok((None, form.to_vec()))
}

/// The assertion that a query returns: `(true, {"token": …})`, or `(false, {"error": …})`.
fn storm_token(host: &Arc<dyn Host>, info: &Value, user: &str) -> std::result::Result<String, String> {
    let text = |key: &str| info.get(key).and_then(Value::as_str).unwrap_or_default();
    let view = host.view(text("view")).ok_or_else(|| format!("There is no view {}.", text("view")))?;
    let user = host.user(user).ok_or_else(|| "User does not exist".to_owned())?;
    let vars = info.get("vars").cloned().unwrap_or_else(|| Map::new().into());
    let query = StormQuery {
        host: host.clone(),
        view,
        user,
        text: text("query").to_owned(),
        opts: Map::new().with("vars", vars),
        cancel: Arc::new(Cancel::default()),
        task: rand_guid(),
    };
    let done = myelin_storm::run::on_big_stack(move || query.call(Arc::new(NoSink)));
    let done = done.map_err(|error| format!("The query of the assertion failed: {}", error.message()))?;
    let part = |key: &str| done.at(1).and_then(|info| info.get(key)).and_then(Value::as_str).map(str::to_owned);
    if done.at(0).is_some_and(Value::is_truthy) {
        return part("token").ok_or_else(|| "The query of the assertion returned no token.".to_owned());
    }
    Err(part("error").unwrap_or_else(|| "The query of the assertion returned no token.".to_owned()))
}

/// Asks for a token. A provider that is in trouble is asked again, later and later.
fn fetch(
    provider: &Map,
    with: Credentials,
    mut form: Vec<(String, String)>,
    retries: u32,
) -> std::result::Result<Map, String> {
    let verify = provider.get("ssl_verify").is_none_or(Value::is_truthy);
    let client = reqwest::Client::builder().timeout(TIMEOUT).danger_accept_invalid_certs(!verify).no_proxy().build();
    let client = client.map_err(|error| error.to_string())?;
    let (basic, more) = with;
    form.extend(more);
    let url = provider.get_str("token_uri").unwrap_or_default().to_owned();
    wait::block(async move {
        myelin_telepath::gate::pass().await.map_err(|error| error.to_string())?;
        let mut tries = 0;
        loop {
            tries += 1;
            let issued = now_millis();
            let mut request = client.post(&url).header("accept", "application/json").form(&form);
            if let Some((name, secret)) = &basic {
                request = request.basic_auth(name, Some(secret));
            }
            let failed = match request.send().await {
                Ok(answer) if answer.status().as_u16() < 500 => {
                    let code = answer.status().as_u16();
                    let body = answer.bytes().await.map_err(|error| error.to_string())?;
                    let body = json::parse(&body).map_err(|error| error.to_string())?;
                    return if code == 200 { token_of(issued, &body) } else { Err(refusal(code, &body)) };
                }
                Ok(answer) => format!("Token API returned HTTP code {}", answer.status().as_u16()),
                Err(error) if error.is_timeout() => "Token API request timed out".to_owned(),
                Err(error) => return Err(error.to_string()),
            };
            if tries > retries {
                return Err(failed);
            }
            tokio::time::sleep(Duration::from_secs(1 << (tries - 1))).await;
        }
    })
}

fn refusal(code: u16, body: &Value) -> String {
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let mut mesg = text("error").unwrap_or("unknown error").to_owned();
    if let Some(more) = text("error_description") {
        mesg = format!("{mesg}: {more}");
    }
    format!("{mesg} (HTTP code {code})")
}

/// A token as it is kept: with the times when it ends and when to renew it.
fn token_of(issued: i64, body: &Value) -> std::result::Result<Map, String> {
    let wrong = || "The provider's answer holds no access_token and expires_in.".to_owned();
    let token = body.get("access_token").and_then(Value::as_str).ok_or_else(wrong)?;
    let expires = body.get("expires_in").cloned().unwrap_or_default();
    let secs = expires.as_f64().or_else(|| expires.as_i64().map(|int| int as f64));
    let secs = secs.filter(|secs| *secs > 0.0).ok_or_else(wrong)?;
    let ends = match expires.as_i64() {
        Some(secs) => Value::from(issued + secs * 1000),
        None => Value::from(issued as f64 + secs * 1000.0),
    };
    Ok(Map::new()
        .with("access_token", token)
        .with("expires_in", expires)
        .with("expires_at", ends)
        .with("refresh_at", issued as f64 + secs * 0.5 * 1000.0)
        .with("refresh_token", body.get("refresh_token").cloned().unwrap_or_default()))
}

impl Part for Oauth {
    fn events(&self) -> &'static [&'static str] {
        &["oauth:provider:add", "oauth:provider:del", "oauth:client:data:set", "oauth:client:data:clear"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        match event.name.as_str() {
            "oauth:provider:add" => {
                let conf = event.map_arg(0, "conf")?;
                let iden = conf.get_str("iden").unwrap_or_default();
                if self.read(&**cx, self.providers, iden)?.is_none() {
                    cx.put_value(self.providers, iden.as_bytes(), &Value::from(conf.clone()))?;
                }
                Ok(Value::Null)
            }
            "oauth:provider:del" => {
                let iden = event.str_arg(0, "iden")?;
                let mut gone = Vec::new();
                for row in cx.scan(self.clients, Scan::Prefix(iden.as_bytes()))? {
                    gone.push(row?.0.to_vec());
                }
                for key in gone {
                    cx.del(self.clients, &key)?;
                }
                let conf = cx.pop_value(self.providers, iden.as_bytes())?;
                Ok(conf.and_then(|conf| conf.as_map().cloned()).map_or(Value::Null, |conf| without_secret(conf).into()))
            }
            name => {
                let key = format!("{}{}", event.str_arg(0, "provideriden")?, event.str_arg(1, "useriden")?);
                if name == "oauth:client:data:set" {
                    cx.put_value(self.clients, key.as_bytes(), event.arg(2, "data"))?;
                    return Ok(Value::Null);
                }
                Ok(cx.pop_value(self.clients, key.as_bytes())?.unwrap_or_default())
            }
        }
    }
}
