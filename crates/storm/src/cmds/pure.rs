//! Commands written in Storm, of packages and services.

use std::any::Any;
use std::sync::Arc;

use myelin_error::err;
use myelin_value::{Map, Value};
use parking_lot::Mutex;

use super::CmdCx;
use crate::ctl::Flow;
use crate::item::{Genr, Item, StormObj};
use crate::node::NodePath;
use crate::ops::{NodeGenr, flat_map, from_fn, once};
use crate::rt::{Rt, VarMap, var_map};

/// `$cmdopts`: the arguments as they are now.
pub struct PureOpts(Arc<CmdCx>);

impl StormObj for PureOpts {
    fn type_name(&self) -> &'static str {
        "cmdopts"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn deref(&self, rt: &Rt, name: &Item) -> Flow<Option<Item>> {
        Ok(Some(self.0.opts().get(&name.tostr(rt)?)))
    }

    fn setitem(&self, rt: &Rt, name: &Item, _valu: Item) -> Flow<()> {
        let name = name.tostr(rt)?;
        crate::fail!("StormRuntimeError", mesg = "CmdOpts may not be modified by the runtime", name = name)
    }

    fn setitem_readonly(&self) -> bool {
        true
    }

    fn iter(&self, _rt: &Rt) -> Flow<Genr> {
        let opts = self.0.opts();
        let items: Vec<Item> = opts.0.iter().map(|(name, valu)| Item::list([Item::from(name), valu.clone()])).collect();
        Ok(Genr::of(items))
    }

    fn value(&self, rt: &Rt) -> Flow<Value> {
        let opts = self.0.opts();
        let dict = Item::dict(opts.0.iter().map(|(name, valu)| (Value::from(name), valu.clone())));
        dict.toprim(rt)
    }

    fn repr(&self, rt: &Rt) -> Flow<String> {
        let opts = self.0.opts();
        let dict = Item::dict(opts.0.iter().map(|(name, valu)| (Value::from(name), valu.clone())));
        Ok(format!("cmdopts: {}", dict.torepr(rt, false)?))
    }

    fn size(&self, _rt: &Rt) -> Flow<Option<usize>> {
        Ok(Some(self.0.opts().0.len()))
    }

    fn is_mutable(&self) -> bool {
        false
    }
}

fn check_perms(rt: &Rt, def: &Map, name: &str) -> Flow<bool> {
    let mut perm = vec!["storm", "asroot", "cmd"];
    perm.extend(name.split('.'));
    let asroot = rt.allowed(&perm, None);
    let deny = |mesg: String| {
        let user = rt.user();
        err!("AuthDeny", mesg = mesg, user = user.iden(), username = user.name())
    };
    if def.get("asroot").is_some_and(Value::is_truthy) {
        rt.warn_once(&format!(
            "Command ({name}) asks for all powers, which is deprecated; modules with asroot:perms do this better."
        ))?;
        if !asroot {
            let mesg = format!("Command ({name}) elevates privileges.  You need perm: storm.asroot.cmd.{name}");
            return Err(deny(mesg).into());
        }
    }
    if let Some(perms) = def.get("perms").and_then(Value::as_list) {
        let allowed = perms.iter().any(|perm| {
            let parts: Vec<&str> = perm.as_list().unwrap_or_default().iter().filter_map(Value::as_str).collect();
            rt.allowed(&parts, None)
        });
        if !allowed {
            return Err(deny(format!("Command ({name}) requires a permission that is not given.")).into());
        }
    }
    // Who may run the command with all powers does so whether or not it asks for them.
    Ok(asroot)
}

fn cmd_vars(def: &Map, cx: &Arc<CmdCx>) -> VarMap {
    let conf = def.get("cmdconf").cloned().unwrap_or_else(|| Value::from(Map::new()));
    let opts = Item::Obj(Arc::new(PureOpts(cx.clone())));
    var_map([("cmdopts", opts), ("cmdconf", Item::deep(&conf))])
}

/// Runs a command written in Storm.
///
/// # Errors
/// `AuthDeny`, `BadSyntax`.
pub fn run(def: &Arc<Map>, cx: Arc<CmdCx>, mut input: NodeGenr) -> Flow<NodeGenr> {
    let rt = cx.rt().clone();
    let name = def.get_str("name").unwrap_or_default().to_owned();
    let asroot = check_perms(&rt, def, &name)? || rt.asroot();
    let query = rt.parse(def.get_str("storm").unwrap_or_default())?;
    if let Some(depr) = def.get("deprecated") {
        rt.warn_once(&super::parser::deprecation(&name, depr))?;
    }
    let vars = cmd_vars(def, &cx);
    let opts = vars.get("cmdopts").cloned().unwrap_or_default();
    if !cx.runtsafe() {
        return Ok(flat_map(input, move |node, path| {
            let sub = rt.beside(&query, vars.clone())?;
            sub.set_asroot(asroot);
            let (outer, opts) = (path.vars(), opts.clone());
            path.init_frame(var_map([("cmdopts", opts)]));
            let genr = sub.execute_with(once((node, path)))?;
            Ok(restored(genr, move || outer.clone()))
        }));
    }
    let sub = rt.beside(&query, vars)?;
    sub.set_asroot(asroot);
    let held: Arc<Mutex<VarMap>> = Arc::default();
    let seen = held.clone();
    let framed = from_fn(move || {
        let Some((node, path)): Option<NodePath> = input.next()? else { return Ok(None) };
        *seen.lock() = path.vars();
        path.init_frame(var_map([("cmdopts", opts.clone())]));
        Ok(Some((node, path)))
    });
    let genr = sub.execute_with(framed)?;
    Ok(restored(genr, move || held.lock().clone()))
}

/// Gives the nodes that come out of a command the variables of those that went in.
fn restored(mut genr: NodeGenr, vars: impl Fn() -> VarMap + Send + 'static) -> NodeGenr {
    from_fn(move || {
        let Some((node, path)) = genr.next()? else { return Ok(None) };
        path.fini_frame();
        path.update_vars(&vars());
        Ok(Some((node, path)))
    })
}
