//! Commands of the runtime that need parts of a cortex: `macro.exec`.

use std::sync::Arc;

use myelin_storm::cmds::{ArgDef, CmdCx, CmdDef};
use myelin_storm::item::Dflt;
use myelin_storm::ops::{self, NodeGenr};
use myelin_storm::rt::SubOpts;
use myelin_storm::{Flow, Registry};
use myelin_value::{Map, Value};

use crate::Cortex;
use crate::host::QueryUser;

/// Puts the commands of this file into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_cmd(&MACRO_EXEC);
    registry.add_cmd(&POOL_SET);
    registry.add_cmd(&POOL_DEL);
    registry.add_cmd(&POOL_GET);
}

static POOL_SET: CmdDef = CmdDef {
    name: "cortex.storm.pool.set",
    descr: "Hand queries on to the mirrors in a pool of services.",
    args: &[
        ArgDef::opt(&["--connection-timeout"], "How many seconds to wait for a mirror.")
            .typed("int")
            .dflt(Dflt::Int(2)),
        ArgDef::opt(&["--sync-timeout"], "How many seconds a mirror may take to catch up.")
            .typed("int")
            .dflt(Dflt::Int(2)),
        ArgDef::pos(&["url"], "The telepath URL of the pool.").typed("str"),
    ],
    readonly: false,
    run: pool_set,
};

static POOL_DEL: CmdDef = CmdDef {
    name: "cortex.storm.pool.del",
    descr: "Stop handing queries on to mirrors.\n\nQueries that run there are ended; this one too, if it is one of them.",
    args: &[],
    readonly: false,
    run: pool_del,
};

static POOL_GET: CmdDef = CmdDef {
    name: "cortex.storm.pool.get",
    descr: "Show which pool of mirrors queries are handed on to.",
    args: &[],
    readonly: false,
    run: pool_get,
};

fn pool_admin(cx: &CmdCx, name: &str) -> Flow<()> {
    cx.rt().req_admin(None, Some(&format!("Only a global admin may run {name}.")))
}

/// Hands the nodes on, then does something once.
fn at_end(input: NodeGenr, work: impl FnOnce() -> Flow<()> + Send + 'static) -> NodeGenr {
    ops::chain(input, move || {
        work()?;
        Ok(ops::empty())
    })
}

fn pool_set(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("The arguments of cortex.storm.pool.set must be runtsafe.")?;
    pool_admin(&cx, "cortex.storm.pool.set")?;
    Ok(at_end(input, move || {
        let rt = cx.rt();
        let url = cx.opts().str(rt, "url")?;
        if let Err(error) = myelin_telepath::UrlInfo::parse(&url) {
            let mesg = format!("{url} cannot be the URL of a Storm pool: {}", error.message());
            return Err(myelin_error::err!("BadArg", mesg = mesg).into());
        }
        let opts = Map::new()
            .with("timeout:sync", cx.opts().int(rt, "sync_timeout")?)
            .with("timeout:connection", cx.opts().int(rt, "connection_timeout")?);
        rt.host_as::<Cortex>()?.pool.set(&url, opts)?;
        rt.printf("Storm pool configuration set.")
    }))
}

fn pool_del(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    pool_admin(&cx, "cortex.storm.pool.del")?;
    Ok(at_end(input, move || {
        cx.rt().host_as::<Cortex>()?.pool.del()?;
        cx.rt().printf("Storm pool configuration removed.")
    }))
}

fn pool_get(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    pool_admin(&cx, "cortex.storm.pool.get")?;
    Ok(at_end(input, move || {
        let rt = cx.rt();
        let Some((url, opts)) = rt.host_as::<Cortex>()?.pool.get()? else {
            return rt.printf("No Storm pool configuration found.");
        };
        let secs = |key: &str| opts.get(key).and_then(Value::as_i64).unwrap_or_default();
        rt.printf(format!("Storm Pool URL: {url}"))?;
        rt.printf(format!("Sync Timeout (secs): {}", secs("timeout:sync")))?;
        rt.printf(format!("Connection Timeout (secs): {}", secs("timeout:connection")))
    }))
}

static MACRO_EXEC: CmdDef = CmdDef {
    name: "macro.exec",
    descr: "Run a macro as part of the pipe.\n\nExamples:\n\n    inet:ipv4#mine | macro.exec recent",
    args: &[ArgDef::pos(&["name"], "The name of the macro.")],
    readonly: true,
    run: macro_exec,
};

fn macro_exec(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("macro.exec does not support per-node invocation")?;
    let rt = cx.rt();
    let (core, name) = (rt.host_as::<Cortex>()?, cx.opts().str(rt, "name")?);
    let user = match rt.user().as_any().downcast_ref::<QueryUser>() {
        Some(user) => user.0.clone(),
        None => core.cell.auth().root()?,
    };
    let mdef = core.macros.require(&name, &user)?;
    let query = rt.parse(mdef.get_str("storm").unwrap_or_default())?;
    rt.sub(&query, SubOpts::default())?.execute_with(input)
}
