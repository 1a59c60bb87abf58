//! Commands of the runtime that need parts of a cortex: `macro.exec`.

use std::sync::Arc;

use myelin_storm::cmds::{ArgDef, CmdCx, CmdDef};
use myelin_storm::ops::NodeGenr;
use myelin_storm::rt::SubOpts;
use myelin_storm::{Flow, Registry};

use crate::Cortex;
use crate::host::QueryUser;

/// Puts the commands of this file into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_cmd(&MACRO_EXEC);
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
