//! `$lib.backup`: backups of the cortex.

use myelin_storm::{Arg, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};

use super::util::{core, data, user};

static LIB: LibDef = LibDef {
    path: "backup",
    funcs: &[
        FuncDef::rw("run", &[Arg::opt("name", Dflt::Null), Arg::opt("wait", Dflt::Bool(true))], |rt, _, args| {
            let (name, wait) = (args.opt_str(rt, 0)?, args.bool(rt, 1)?);
            confirm(rt, "run")?;
            let cell = core(rt)?.cell.clone();
            if wait {
                return Ok(Item::from(cell.run_backup(name.as_deref())?));
            }
            let (name, path) = cell.begin_backup(name.as_deref())?;
            let told = name.clone();
            // How it ends is in the log and in $lib.cell.getBackupInfo().
            std::thread::spawn(move || cell.finish_backup(&name, &path));
            Ok(Item::from(told))
        }),
        FuncDef::ro("list", &[], |rt, _, _| {
            confirm(rt, "list")?;
            let names = core(rt)?.cell.backups()?;
            Ok(data(names.into_iter().map(myelin_value::Value::from).collect::<myelin_value::Value>()))
        }),
        FuncDef::rw("del", &[Arg::req("name")], |rt, _, args| {
            let name = args.str(rt, 0)?;
            confirm(rt, "del")?;
            core(rt)?.cell.del_backup(&name)?;
            Ok(Item::NULL)
        }),
    ],
    consts: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&LIB);
}

/// The user's own permission counts, whatever the query may do as root.
fn confirm(rt: &Rt, verb: &str) -> Flow<()> {
    Ok(user(rt)?.confirm(&["backup", verb], None)?)
}
