//! `$lib.inet.whois`: guids of whois records, as code from before the guid constructors makes them.

use myelin_error::err;
use myelin_model::types::py;
use myelin_value::{Value, guid_of, rand_guid};

use crate::ctl::Flow;
use crate::item::{Arg, Args, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "inet.whois",
    funcs: &[FuncDef::rw("guid", &[Arg::req("props"), Arg::req("form")], guid)],
    consts: &[],
};

/// The properties that a guid is made of, by the last part of the form's name.
const PROPS: [(&str, &[&str]); 3] = [
    ("iprec", &["net4", "net6", "asof", "id"]),
    ("ipcontact", &["contact", "asof", "id", "updated"]),
    ("ipquery", &["time", "fqdn", "url", "ipv4", "ipv6"]),
];

fn guid(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    rt.warn_once("$lib.inet.whois.guid() is deprecated: use the guid constructor of a form.")?;
    let form = args.str(rt, 1)?;
    let props = args.prim(rt, 0)?;
    let Some((_, names)) = PROPS.iter().find(|(have, _)| *have == &*form) else {
        let mesg = format!("Guids are made for the whois forms iprec, ipcontact and ipquery, not for {form}.");
        return Err(err!("StormRuntimeError", mesg = mesg, form = &*form).into());
    };
    let Some(props) = props.as_map() else {
        return Err(err!("StormRuntimeError", mesg = "The properties of a whois record are a dictionary.").into());
    };
    let known = names.iter().filter_map(|name| props.get(name)).filter(|valu| !valu.is_null());
    let mut known: Vec<String> = known.map(py::str_text).collect();
    if known.len() < 2 {
        rt.warn(format!("Too little is known of the record, so its guid is random: {}", known.join(", ")))?;
        return Ok(Item::from(rand_guid()));
    }
    known.sort();
    let parts: Value = known.into_iter().map(Value::from).collect();
    Ok(Item::from(guid_of(&parts)))
}
