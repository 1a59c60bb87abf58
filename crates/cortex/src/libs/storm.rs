//! `$lib.storm` and `$lib.lift`: running text as Storm, and lifts that the language has no syntax for.

use std::sync::mpsc;

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_storm::expr::compute;
use myelin_storm::rt::Cancel;
use myelin_storm::store::LiftBy;
use myelin_storm::{Arg, Args, Ctl, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt, Sink, StormQuery, fail};
use myelin_value::{Map, Value};

use super::util::{genr, this_view};

static STORM: LibDef = LibDef {
    path: "storm",
    funcs: &[
        FuncDef::ro("eval", &[Arg::req("text"), Arg::opt("cast", Dflt::Null)], eval),
        FuncDef::rw("run", &[Arg::req("query"), Arg::opt("opts", Dflt::Null)], run),
    ],
    consts: &[],
};

static LIFT: LibDef = LibDef {
    path: "lift",
    funcs: &[
        FuncDef::ro("byNodeData", &[Arg::req("name")], |rt, _, args| {
            let mut nodes = rt.snap().lift(LiftBy::DataName(args.str(rt, 0)?), false)?;
            Ok(genr(move || Ok(nodes.next().transpose()?.map(Item::from))))
        }),
        FuncDef::ro("tagsByPref", &[Arg::req("prefix"), Arg::opt("depth", Dflt::Int(0))], |rt, _, args| {
            let (prefix, depth) = (args.str(rt, 0)?, usize::try_from(args.int(rt, 1)?).unwrap_or(0));
            let mut tags = Vec::new();
            for layer in this_view(rt)?.layers().iter() {
                tags.extend(layer.tags_by_prefix(&prefix, depth)?);
            }
            tags.sort_unstable();
            tags.dedup();
            let (rt, mut tags) = (rt.clone(), tags.into_iter());
            Ok(genr(move || {
                for tag in tags.by_ref() {
                    if let Some(node) = rt.snap().node_by_ndef("syn:tag", &tag.into())? {
                        return Ok(Some(Item::from(node)));
                    }
                }
                Ok(None)
            }))
        }),
    ],
    consts: &[],
};

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&STORM);
    registry.add_lib(&LIFT);
}

fn eval(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let (text, cast) = (args.str(rt, 0)?, args.opt_str(rt, 1)?);
    rt.host().log_query(&text, &**rt.user(), &Map::new().with("view", &**rt.snap().view_iden()));
    let model = rt.model();
    let typ = match cast.as_deref() {
        None | Some("") => None,
        Some(name) => {
            let found = model.typ(name).or_else(|| model.prop(name).map(|prop| &prop.typ));
            if found.is_none() {
                fail!("NoSuchType", mesg = format!("There is no type or property {name}."));
            }
            found
        }
    };
    let ast = myelin_storm_syntax::parse_eval(&text).map_err(|error| myelin_storm::run::bad_syntax(&error))?;
    let valu = compute(rt, &ast, None)?;
    match typ {
        Some(typ) => Ok(Item::stored(&typ.norm(&rt.norm_cx(), &valu.tostor(rt, false)?)?.value)),
        None => Ok(valu),
    }
}

/// How many messages of a query that is run wait to be looked at.
const MESSAGES: usize = 64;

struct Messages(mpsc::SyncSender<Value>);

impl Sink for Messages {
    fn send(&self, kind: &str, info: Value) -> Result<()> {
        let mesg = Value::list([Value::from(kind), info]);
        self.0.send(mesg).map_err(|_| err!("LinkShutDown", mesg = "Nobody looks at the messages any more."))
    }
}

/// Ends the query when its messages are not wanted any more.
struct Ends(Arc<Cancel>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn run(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let mut opts = args.prim(rt, 1)?.as_map().cloned().unwrap_or_default();
    let text = args.str(rt, 0)?;
    let user = match opts.get_str("user") {
        Some(iden) if iden != rt.user().iden() => {
            rt.confirm(&["impersonate"], None)?;
            match rt.host().user(iden) {
                Some(user) => user,
                None => fail!("NoSuchUser", mesg = format!("There is no user {iden}."), user = iden),
            }
        }
        _ => rt.user().clone(),
    };
    opts.insert("user", user.iden());
    if !opts.contains("view") {
        opts.insert("view", &**rt.snap().view_iden());
    }
    let iden = opts.get_str("view").unwrap_or_default();
    let Some(view) = rt.host().view(iden) else {
        fail!("NoSuchView", mesg = format!("There is no view {iden}."), iden = iden);
    };
    if !user.is_admin(Some(iden)) && user.allowed(&["view", "read"], Some(iden)) != Some(true) {
        let mesg = format!("The user {} may not read the view {iden}.", user.name());
        return Err(
            err!("AuthDeny", mesg = mesg, perm = "view.read", user = user.iden(), username = user.name()).into()
        );
    }
    let cancel: Arc<Cancel> = Arc::default();
    let query = StormQuery {
        host: rt.host().clone(),
        view,
        user,
        text: text.to_string(),
        opts,
        cancel: cancel.clone(),
        task: myelin_value::rand_guid(),
    };
    let (tx, rx) = mpsc::sync_channel(MESSAGES);
    let worker = std::thread::Builder::new().name("storm:run".to_owned()).spawn(move || {
        if let Err(error) = query.run_threaded(Arc::new(Messages(tx.clone()))) {
            drop(tx.send(Value::list([Value::from("err"), error.pack()])));
        }
    });
    worker.map_err(|error| err!("SynErr", mesg = format!("No thread for the query: {error}")))?;
    let (rt, ends) = (rt.clone(), Ends(cancel));
    Ok(genr(move || {
        loop {
            match rx.recv_timeout(std::time::Duration::from_millis(100)) {
                Ok(mesg) => return Ok(Some(Item::stored(&mesg))),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(None),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if let Err(ctl) = rt.tick() {
                        ends.0.cancel();
                        return Err::<_, Ctl>(ctl);
                    }
                }
            }
        }
    }))
}
