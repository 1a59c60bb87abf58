//! `$lib.feed` and `$lib.export`: packed nodes into the view, and out of it into a file.

use myelin_error::{Error, err};
use myelin_storm::item::Genr;
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Node, Registry, Rt, StormQuery};
use myelin_telepath::Todo;
use myelin_value::{Value, msgpack};

use super::axon::unhex;
use super::util::core;
use crate::queries::export_nodes;

static FEEDS: LibDef = LibDef {
    path: "feed",
    funcs: &[
        FuncDef::rw("genr", &[Arg::req("name"), Arg::req("data")], |rt, _, args| {
            let mut nodes = begin(rt, &args)?.into_iter();
            Ok(Item::Genr(Genr::from_fn(move || Ok(nodes.next().map(Item::Node)))))
        }),
        FuncDef::rw("ingest", &[Arg::req("name"), Arg::req("data")], |rt, _, args| {
            begin(rt, &args)?;
            Ok(Item::NULL)
        }),
        FuncDef::ro("list", &[], |_, _, _| Ok(Item::Val(crate::info::feeds()))),
        FuncDef::rw("fromAxon", &[Arg::req("sha256")], from_axon),
    ],
    consts: &[],
};

static EXPORT: LibDef = LibDef {
    path: "export",
    funcs: &[FuncDef::rw("toaxon", &[Arg::req("query"), Arg::opt("opts", Dflt::Null)], to_axon)],
    consts: &[],
};

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&FEEDS);
    registry.add_lib(&EXPORT);
}

/// The nodes of a feed, once they are added. Whoever may feed a layer may make what the feed holds.
fn begin(rt: &Rt, args: &Args) -> Flow<Vec<Node>> {
    let (name, items) = (args.str(rt, 0)?, args.prim(rt, 1)?);
    let perm: Vec<&str> = std::iter::once("feed:data").chain(name.split('.')).collect();
    rt.layer_confirm(&perm)?;
    if &*name != "syn.nodes" {
        let mesg = format!("There is no feed format {name}: there is syn.nodes.");
        return Err(err!("NoSuchName", mesg = mesg, name = &*name).into());
    }
    let mut nodes = Vec::new();
    let items = items.as_list().unwrap_or_default().iter().cloned().map(Ok);
    myelin_storm::feed::add(rt, items, |_, node| {
        nodes.push(node.clone());
        Ok(())
    })?;
    Ok(nodes)
}

fn from_axon(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let sha256 = args.str(rt, 0)?;
    rt.layer_confirm(&["node"])?;
    let bytes = unhex(&sha256)?;
    let items = core(rt)?.stores.axon.genr(Todo::new("iterMpkFile").arg(&*sha256), |axon| {
        let axon = axon.clone();
        Ok(Box::new(axon.mpk_items(&bytes)?))
    })?;
    let count = myelin_storm::feed::add(rt, items, |_, _| Ok(()))?;
    Ok(Item::from(i64::try_from(count).unwrap_or(0)))
}

fn to_axon(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let text = args.str(rt, 0)?;
    let opts = args.prim(rt, 1)?;
    let opts = match &opts {
        Value::Null => myelin_value::Map::new(),
        Value::Map(opts) => (**opts).clone(),
        _ => return Err(err!("BadArg", mesg = "The options of $lib.export.toaxon() are a dictionary.").into()),
    };
    let view = match opts.get_str("view") {
        None => rt.snap().view().clone(),
        Some(iden) => {
            let missing = || err!("NoSuchView", mesg = format!("There is no view {iden}."), iden = iden);
            let view = rt.host().view(iden).ok_or_else(missing)?;
            rt.confirm_view(iden)?;
            view
        }
    };
    let query = StormQuery {
        host: rt.host().clone(),
        view,
        user: rt.user().clone(),
        text: text.to_string(),
        opts: opts.with("user", rt.user().iden()),
        cancel: rt.shared().cancel.clone(),
        task: rt.shared().task.clone(),
    };
    let mut packed = export_nodes(&query)?;
    let (size, sha256) = core(rt)?.stores.axon.upload(|| match packed.next() {
        Some(pode) => Ok::<_, Error>(Some(msgpack::encode(&pode?))),
        None => Ok(None),
    })?;
    let hex = myelin_axon::hex_of(&sha256);
    Ok(Item::Val(Value::list([Value::from(size), Value::from(hex)])))
}
