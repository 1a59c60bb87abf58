//! `$lib.inet.ipv6`.

use myelin_model::types::{ip, py};

use crate::item::{Arg, FuncDef, Item};
use crate::registry::LibDef;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "inet.ipv6",
    funcs: &[FuncDef::ro("expand", &[Arg::req("valu")], |rt, _, args| {
        let valu = args.str(rt, 0)?;
        let text = py::strip(&valu);
        let Some((addr, scope)) = ip::parse_v6(text) else {
            crate::fail!("StormRuntimeError", mesg = format!("Error expanding ipv6 for valu={text}"), valu = text);
        };
        let groups: Vec<String> =
            addr.to_be_bytes().chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect();
        let scope = scope.map(|scope| format!("%{scope}")).unwrap_or_default();
        Ok(Item::from(format!("{}{scope}", groups.join(":"))))
    })],
    consts: &[],
};
