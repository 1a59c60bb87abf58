//! Method tables: a row is a name, a signature and a handler, so that adding a call is one line.
//!
//! The signature is text in the notation the platform's users know: `"name, passwd=None, *args, **kwargs"`. Arguments
//! are bound before the handler runs, and a call that does not fit ends with `TypeError` as it does on the reference.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use myelin_error::{Result, err};
use myelin_value::{Map, Value};

use crate::api::{CallCx, IntoReply, Reply, ValueStream};

type Handler<T> = Arc<dyn Fn(Arc<T>, CallCx, Args) -> BoxFuture<'static, Result<Reply>> + Send + Sync>;

struct Meth<T> {
    genr: bool,
    sig: Arc<Signature>,
    handler: Handler<T>,
}

impl<T> Clone for Meth<T> {
    fn clone(&self) -> Self {
        Meth { genr: self.genr, sig: self.sig.clone(), handler: self.handler.clone() }
    }
}

/// The methods of one kind of API object.
pub struct MethTable<T> {
    meths: BTreeMap<&'static str, Meth<T>>,
    /// The `meths` of the `sharinfo`, built at the first handshake.
    info: OnceLock<Value>,
}

impl<T: Send + Sync + 'static> Default for MethTable<T> {
    fn default() -> Self {
        MethTable::new()
    }
}

impl<T: Send + Sync + 'static> MethTable<T> {
    /// An empty table.
    pub fn new() -> Self {
        MethTable { meths: BTreeMap::new(), info: OnceLock::new() }
    }

    /// Adds a method that returns a value, a dynamic share, or a stream that is not announced as one.
    #[must_use]
    pub fn call<F, Fut, R>(self, name: &'static str, sig: &'static str, func: F) -> Self
    where
        F: Fn(Arc<T>, CallCx, Args) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
        R: IntoReply + 'static,
    {
        let func = Arc::new(func);
        let handler: Handler<T> = Arc::new(move |item, cx, args| {
            let fut = func(item, cx, args);
            Box::pin(async move { Ok(fut.await?.into_reply()) })
        });
        self.put(name, false, sig, handler)
    }

    /// Adds a method that does blocking work (storage): it runs on a thread of the blocking pool.
    #[must_use]
    pub fn blocking<F, R>(self, name: &'static str, sig: &'static str, func: F) -> Self
    where
        F: Fn(&T, &CallCx, Args) -> Result<R> + Send + Sync + 'static,
        R: IntoReply + 'static,
    {
        let func = Arc::new(func);
        let handler: Handler<T> = Arc::new(move |item, cx, args| {
            let func = func.clone();
            Box::pin(async move {
                let done = tokio::task::spawn_blocking(move || func(&item, &cx, args).map(IntoReply::into_reply));
                done.await.unwrap_or_else(|panic| Err(err!("SynErr", mesg = format!("call failed: {panic}"))))
            })
        });
        self.put(name, false, sig, handler)
    }

    /// Adds a method that only looks into memory: it runs where the call was read, since the way to another thread and back
    /// costs many times what it does.
    #[must_use]
    pub fn quick<F, R>(self, name: &'static str, sig: &'static str, func: F) -> Self
    where
        F: Fn(&T, &CallCx, Args) -> Result<R> + Send + Sync + 'static,
        R: IntoReply + 'static,
    {
        let handler: Handler<T> = Arc::new(move |item, cx, args| {
            Box::pin(std::future::ready(func(&item, &cx, args).map(IntoReply::into_reply)))
        });
        self.put(name, false, sig, handler)
    }

    /// Adds a generator. Only these are announced with the `genr` flag, which clients need to iterate lazily.
    #[must_use]
    pub fn genr<F, Fut>(self, name: &'static str, sig: &'static str, func: F) -> Self
    where
        F: Fn(Arc<T>, CallCx, Args) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ValueStream>> + Send + 'static,
    {
        let func = Arc::new(func);
        let handler: Handler<T> = Arc::new(move |item, cx, args| {
            let fut = func(item, cx, args);
            Box::pin(async move { Ok(Reply::Genr(fut.await?)) })
        });
        self.put(name, true, sig, handler)
    }

    /// Takes over every method of another table, as a derived class does; rows added later win.
    #[must_use]
    pub fn extend<P, F>(mut self, parent: &MethTable<P>, upcast: F) -> Self
    where
        P: Send + Sync + 'static,
        F: Fn(&Arc<T>) -> Arc<P> + Send + Sync + Copy + 'static,
    {
        for (name, meth) in &parent.meths {
            let inner = meth.handler.clone();
            let handler: Handler<T> = Arc::new(move |item, cx, args| inner(upcast(&item), cx, args));
            self.meths.insert(name, Meth { genr: meth.genr, sig: meth.sig.clone(), handler });
        }
        self
    }

    fn put(mut self, name: &'static str, genr: bool, sig: &'static str, handler: Handler<T>) -> Self {
        let sig = Arc::new(Signature::parse(name, sig));
        self.meths.insert(name, Meth { genr, sig, handler });
        self
    }

    /// The `meths` map of a `sharinfo`, sorted by name.
    pub fn methinfo(&self) -> Value {
        let flags = |meth: &Meth<T>| if meth.genr { Map::new().with("genr", true) } else { Map::new() };
        let build = || self.meths.iter().map(|(name, meth)| (*name, flags(meth))).collect::<Map>().into();
        self.info.get_or_init(build).clone()
    }

    /// The names in the table, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.meths.keys().copied()
    }

    pub(crate) async fn call_by_name(
        &self,
        item: Arc<T>,
        classes: &[&str],
        cx: CallCx,
        name: &str,
        args: Args,
    ) -> Result<Reply> {
        let Some(meth) = self.meths.get(name) else {
            return Err(no_such_meth(classes, name));
        };
        let args = meth.sig.bind(args)?;
        (meth.handler)(item, cx, args).await
    }
}

/// The error for a method that is not there.
pub fn no_such_meth(classes: &[&str], name: &str) -> myelin_error::Error {
    let clsname = classes.first().map_or("object", |path| path.rsplit('.').next().unwrap_or(path));
    err!("NoSuchMeth", mesg = format!("{clsname} has no method: {name}."), name = name)
}

/// Arguments of a call. After binding, every parameter of the signature has a value.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// Positional arguments; after binding, those that only `*args` could take.
    pub pos: Vec<Value>,
    /// Named arguments; after binding, those that only `**kwargs` could take.
    pub kwargs: Map,
    named: Map,
}

impl Args {
    /// Unbound arguments.
    pub fn new(pos: Vec<Value>, kwargs: Map) -> Args {
        Args { pos, kwargs, named: Map::new() }
    }

    /// The value of a parameter; null when the signature has no such parameter.
    pub fn get(&self, name: &str) -> &Value {
        static NULL: Value = Value::Null;
        self.named.get(name).unwrap_or(&NULL)
    }

    /// The value of a parameter, taken out.
    pub fn take(&mut self, name: &str) -> Value {
        self.named.get_mut(name).map(std::mem::take).unwrap_or_default()
    }

    /// A parameter that must be text.
    pub fn str(&self, name: &str) -> Result<&str> {
        self.get(name).as_str().ok_or_else(|| self.bad(name, "a str"))
    }

    /// A parameter that must be text or null.
    pub fn opt_str(&self, name: &str) -> Result<Option<&str>> {
        if self.get(name).is_null() { Ok(None) } else { self.str(name).map(Some) }
    }

    /// A parameter that must be an integer.
    pub fn int(&self, name: &str) -> Result<i64> {
        self.get(name).as_i64().ok_or_else(|| self.bad(name, "an int"))
    }

    /// A parameter that must be an integer or null.
    pub fn opt_int(&self, name: &str) -> Result<Option<i64>> {
        if self.get(name).is_null() { Ok(None) } else { self.int(name).map(Some) }
    }

    /// A parameter read as a truth value.
    pub fn truthy(&self, name: &str) -> bool {
        self.get(name).is_truthy()
    }

    /// A parameter that must be bytes.
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        self.get(name).as_bytes().ok_or_else(|| self.bad(name, "bytes"))
    }

    /// A parameter that must be a list.
    pub fn list(&self, name: &str) -> Result<&[Value]> {
        self.get(name).as_list().ok_or_else(|| self.bad(name, "a list"))
    }

    /// A parameter that must be a dict.
    pub fn map(&self, name: &str) -> Result<&Map> {
        self.get(name).as_map().ok_or_else(|| self.bad(name, "a dict"))
    }

    fn bad(&self, name: &str, want: &str) -> myelin_error::Error {
        let kind = self.get(name).kind();
        err!("BadArg", mesg = format!("Argument {name} must be {want}, got {kind}."), name = name)
    }
}

/// A parsed signature.
#[derive(Debug)]
struct Signature {
    meth: &'static str,
    params: Vec<Param>,
    /// Parameters after a lone `*` or `*args`: named only.
    kwonly_from: usize,
    varargs: bool,
    varkw: bool,
}

#[derive(Debug)]
struct Param {
    name: &'static str,
    defv: Option<Value>,
}

impl Signature {
    /// Signatures are constants in tables; an unreadable one is a programming error found by the first test.
    fn parse(meth: &'static str, text: &'static str) -> Signature {
        let mut sig = Signature { meth, params: Vec::new(), kwonly_from: usize::MAX, varargs: false, varkw: false };
        for part in split_params(text) {
            if part.starts_with("**") {
                sig.varkw = true;
            } else if part.starts_with('*') {
                sig.varargs = part.len() > 1;
                sig.kwonly_from = sig.params.len();
            } else {
                let (name, defv) = match part.split_once('=') {
                    Some((name, defv)) => (name.trim(), Some(literal(meth, defv.trim()))),
                    None => (part, None),
                };
                sig.params.push(Param { name, defv });
            }
        }
        sig
    }

    fn bind(&self, args: Args) -> Result<Args> {
        let mut named = Map::with_capacity(self.params.len());
        let mut pos = args.pos.into_iter();
        let mut kwargs = args.kwargs;
        let mut missing = Vec::new();
        for (indx, param) in self.params.iter().enumerate() {
            let given = if indx < self.kwonly_from { pos.next() } else { None };
            let by_name = kwargs.remove(param.name);
            let valu = match (given, by_name) {
                (Some(_), Some(_)) => {
                    return Err(self.type_err(format!("got multiple values for argument '{}'", param.name)));
                }
                (Some(valu), None) | (None, Some(valu)) => Some(valu),
                (None, None) => param.defv.clone(),
            };
            match valu {
                Some(valu) => {
                    named.insert(param.name, valu);
                }
                None => missing.push(format!("'{}'", param.name)),
            }
        }
        let pos: Vec<Value> = pos.collect();
        if !self.varargs && !pos.is_empty() {
            let most = self.params.len().min(self.kwonly_from);
            return Err(self.type_err(format!("takes {most} positional arguments but {} were given", most + pos.len())));
        }
        if !self.varkw
            && let Some(key) = kwargs.keys().next()
        {
            let key = key.as_str().map_or_else(|| format!("{key:?}"), str::to_owned);
            return Err(self.type_err(format!("got an unexpected keyword argument '{key}'")));
        }
        if !missing.is_empty() {
            let plural = if missing.len() == 1 { "" } else { "s" };
            let names = missing.join(", ");
            return Err(self.type_err(format!("missing {} required argument{plural}: {names}", missing.len())));
        }
        Ok(Args { pos, kwargs, named })
    }

    fn type_err(&self, text: String) -> myelin_error::Error {
        err!("TypeError", mesg = format!("{}() {text}", self.meth))
    }
}

/// Splits at commas outside brackets and quotes.
fn split_params(text: &'static str) -> Vec<&'static str> {
    let mut parts = Vec::new();
    let (mut depth, mut quoted, mut start) = (0, false, 0);
    for (offs, chr) in text.char_indices() {
        match chr {
            '\'' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(text[start..offs].trim());
                start = offs + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn literal(meth: &str, text: &str) -> Value {
    match text {
        "None" => Value::Null,
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "()" | "[]" => Value::empty_list(),
        "{}" => Map::new().into(),
        _ => {
            if let Some(inner) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
                Value::from(inner)
            } else if let Ok(valu) = text.parse::<i64>() {
                Value::from(valu)
            } else if let Ok(valu) = text.parse::<f64>() {
                Value::from(valu)
            } else {
                panic!("signature of {meth}: unreadable default {text}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(sig: &'static str, pos: &[i64], kwargs: &[(&str, i64)]) -> Result<Args> {
        let pos = pos.iter().map(|valu| Value::from(*valu)).collect();
        let kwargs = kwargs.iter().map(|(key, valu)| (*key, *valu)).collect();
        Signature::parse("meth", sig).bind(Args::new(pos, kwargs))
    }

    #[test]
    fn binding_follows_the_signature() {
        let args = bind("x, y=10, name='a,b'", &[1], &[]).unwrap();
        assert_eq!(args.int("x").unwrap(), 1);
        assert_eq!(args.int("y").unwrap(), 10);
        assert_eq!(args.str("name").unwrap(), "a,b");
        let args = bind("x, *rest, flag=False, **kw", &[1, 2, 3], &[("flag", 1), ("other", 2)]).unwrap();
        assert_eq!(args.pos.len(), 2);
        assert!(args.truthy("flag"));
        assert_eq!(args.kwargs.get_i64("other"), Some(2));
    }

    #[test]
    fn calls_that_do_not_fit_are_type_errors() {
        for (pos, kwargs) in [(&[][..], &[][..]), (&[1, 2], &[]), (&[1], &[("x", 1)]), (&[1], &[("newp", 1)])] {
            assert_eq!(bind("x", pos, kwargs).unwrap_err().name(), "TypeError");
        }
    }
}
