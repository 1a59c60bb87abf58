//! Commands that run another query: `storm.exec`, `view.exec`, `runas`, `background`.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_value::{Map, Value, rand_guid};

use super::{ArgDef, CmdCx, CmdDef};
use crate::ctl::Flow;
use crate::host::User;
use crate::item::Item;
use crate::node::Path;
use crate::ops::{NodeGenr, chain, each_or_once, empty, flat_map, once};
use crate::registry::Registry;
use crate::rt::{Cancel, NoSink, Rt, Shared, Sink, SubOpts, VarMap};
use crate::run::{StormQuery, on_big_stack};
use crate::snap::Snap;
use crate::store::View;
use crate::walk::validate;

/// Puts the commands of this file into the registry.
pub fn register(registry: &mut Registry) {
    for def in [&STORM_EXEC, &VIEW_EXEC, &RUNAS, &BACKGROUND] {
        registry.add_cmd(def);
    }
}

/// A sink which lets only some kinds of messages through.
struct Only {
    sink: Arc<dyn Sink>,
    kinds: &'static [&'static str],
}

impl Sink for Only {
    fn send(&self, kind: &str, info: Value) -> Result<()> {
        if self.kinds.contains(&kind) { self.sink.send(kind, info) } else { Ok(()) }
    }
}

/// Another view or user within a query, of whose messages only some kinds are heard.
pub fn other_snap(rt: &Rt, view: View, user: Arc<dyn User>, kinds: &'static [&'static str]) -> Arc<Snap> {
    let shared = rt.shared();
    let sink = Arc::new(Only { sink: shared.sink.clone(), kinds });
    let shared = Shared::new(sink, shared.cancel.clone(), shared.task.clone());
    Snap::new(rt.host().clone(), view, user, shared)
}

static STORM_EXEC: CmdDef = CmdDef {
    name: "storm.exec",
    descr: "Run a text as part of the pipe.\n\n\
        Take care what gets into the text: it may do all that the query may.\n\n\
        Examples:\n\n    $filter = '-:asn=10'\n    inet:ipv4:asn | storm.exec $filter",
    args: &[ArgDef::pos(&["query"], "The text, or an embedded query.")],
    readonly: false,
    run: storm_exec,
};

fn storm_exec(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    let (rt, runtsafe) = (cx.rt().clone(), cx.runtsafe());
    let start = move |input: NodeGenr| {
        let text = cx.opts().str(&rt, "query")?;
        let query = rt.parse(&text)?;
        let info = Map::new().with("view", rt.snap().view_iden()).with("via", "storm.exec");
        rt.host().log_query(&text, &**rt.user(), &info);
        rt.sub(&query, SubOpts::default())?.execute_with(input)
    };
    if runtsafe {
        return start(input);
    }
    Ok(flat_map(input, move |node, path| start(once((node, path)))))
}

static VIEW_EXEC: CmdDef = CmdDef {
    name: "view.exec",
    descr: "Run a query in another view.\n\n\
        Variables go along, nodes do not.\n\n\
        Examples:\n\n    inet:fqdn#mine $fqdn=$node.value() | view.exec $view { [ inet:fqdn=$fqdn ] }",
    args: &[ArgDef::pos(&["view"], "The iden of the view."), ArgDef::pos(&["storm"], "The query.")],
    readonly: true,
    run: view_exec,
};

fn drain(mut genr: NodeGenr, rt: &Rt) -> Flow<()> {
    while genr.next()?.is_some() {
        rt.tick()?;
    }
    Ok(())
}

/// The view of an iden, if the user may read it.
///
/// # Errors
/// `NoSuchView`, `AuthDeny`.
pub fn req_view(rt: &Rt, iden: &str) -> Flow<View> {
    let Some(view) = rt.host().view(iden) else {
        crate::fail!("NoSuchView", mesg = format!("No such view iden={iden}"), iden = iden);
    };
    rt.confirm_view(iden)?;
    Ok(view)
}

fn exec_in_view(cx: &CmdCx, path: Option<&Path>) -> Flow<()> {
    let (rt, opts) = (cx.rt(), cx.opts());
    let (iden, text) = (opts.str(rt, "view")?, opts.str(rt, "storm")?);
    let query = rt.parse(&text)?;
    let snap = other_snap(rt, req_view(rt, &iden)?, rt.user().clone(), &["print", "warn"]);
    let vars = path.map(Path::vars).unwrap_or_default();
    let sub = rt.sub(&query, SubOpts { vars, snap: Some(snap), ..SubOpts::default() })?;
    drain(sub.execute()?, rt)
}

fn view_exec(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    let (held, runtsafe) = (cx.clone(), cx.runtsafe());
    Ok(each_or_once(
        input,
        move |_, path| exec_in_view(&cx, Some(path)),
        move || if runtsafe { exec_in_view(&held, None) } else { Ok(()) },
    ))
}

static RUNAS: CmdDef = CmdDef {
    name: "runas",
    descr: "Run a query as another user. Only admins may.\n\n\
        Objects such as views and layers that were made outside of the query keep to the user who made them.\n\n\
        Examples:\n\n    runas ada { [ inet:fqdn=example.com ] }",
    args: &[
        ArgDef::pos(&["user"], "The name or iden of the user."),
        ArgDef::pos(&["storm"], "The query."),
        ArgDef::flag(&["--asroot"], "Keep all powers, if the query has them."),
    ],
    readonly: false,
    run: runas,
};

fn exec_as(cx: &CmdCx, path: Option<&Path>) -> Flow<()> {
    let (rt, opts) = (cx.rt(), cx.opts());
    let (name, text) = (opts.str(rt, "user")?, opts.str(rt, "storm")?);
    let Some(user) = rt.host().user(&name).or_else(|| rt.host().user_by_name(&name)) else {
        crate::fail!("NoSuchUser", mesg = format!("No user with name or iden {name}."));
    };
    let query = rt.parse(&text)?;
    let snap = other_snap(rt, rt.snap().view().clone(), user, &["print", "warn"]);
    let vars = path.map(Path::vars).unwrap_or_default();
    let sub = rt.sub(&query, SubOpts { vars, snap: Some(snap), ..SubOpts::default() })?;
    sub.set_asroot(opts.flag("asroot") && rt.asroot());
    drain(sub.execute()?, rt)
}

fn runas(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    cx.rt().req_admin(None, Some("The runas command requires admin privileges."))?;
    let (held, runtsafe) = (cx.clone(), cx.runtsafe());
    Ok(each_or_once(
        input,
        move |_, path| exec_as(&cx, Some(path)),
        move || if runtsafe { exec_as(&held, None) } else { Ok(()) },
    ))
}

static BACKGROUND: CmdDef = CmdDef {
    name: "background",
    descr: "Run a query apart from this one, which does not wait for it.\n\nVariables go along, nodes do not.",
    args: &[ArgDef::pos(&["query"], "The query.")],
    readonly: false,
    run: background,
};

/// The variables of a scope as far as they are values that can be stored.
fn plain_vars(rt: &Rt, vars: &VarMap) -> Map {
    let plain = vars.iter().filter(|(_, item)| !matches!(item, Item::Undef));
    plain.filter_map(|(name, item)| Some((Value::from(name), item.toprim(rt).ok()?))).collect()
}

fn background(cx: Arc<CmdCx>, input: NodeGenr) -> Flow<NodeGenr> {
    cx.req_runtsafe("The background query must be runtsafe.")?;
    Ok(chain(input, move || {
        let rt = cx.rt();
        let text = cx.opts().str(rt, "query")?;
        let query = rt.parse(&text)?;
        validate(&query, &rt.sub(&query, SubOpts::default())?)?;
        let vars = plain_vars(rt, &rt.scope_vars());
        let query = StormQuery {
            host: rt.host().clone(),
            view: rt.snap().view().clone(),
            user: rt.user().clone(),
            text: text.to_string(),
            opts: Map::new().with("vars", vars),
            cancel: Arc::new(Cancel::default()),
            task: rand_guid(),
        };
        std::thread::Builder::new()
            .name("storm-background".to_owned())
            .spawn(move || {
                // Nobody hears how it ends.
                let _ = on_big_stack(move || query.run(Arc::new(NoSink)));
            })
            .map_err(|error| err!("SynErr", mesg = format!("No thread for the query: {error}")))?;
        Ok(empty())
    }))
}
