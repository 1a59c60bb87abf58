//! `$lib.iters`: over several things at once.

use myelin_error::err;

use crate::ctl::{Ctl, Flow};
use crate::item::{Arg, Args, FuncDef, Genr, Item};
use crate::registry::LibDef;
use crate::rt::Rt;

/// The library.
pub static LIB: LibDef = LibDef {
    path: "iters",
    funcs: &[FuncDef::ro("enum", &[Arg::req("genr")], enumerate), FuncDef::ro("zip", &[Arg::star("args")], zip)],
    consts: &[],
};

fn enumerate(rt: &Rt, _: &Item, mut args: Args) -> Flow<Item> {
    let (rt, source) = (rt.clone(), args.take(0));
    let (mut genr, mut indx): (Option<Genr>, i64) = (None, 0);
    Ok(Item::Genr(Genr::from_fn(move || {
        let genr = open(&rt, &mut genr, &source)?;
        let Some(item) = genr.next_item()? else { return Ok(None) };
        indx += 1;
        Ok(Some(Item::list([Item::from(indx - 1), item])))
    })))
}

fn open<'a>(rt: &Rt, slot: &'a mut Option<Genr>, source: &Item) -> Flow<&'a Genr> {
    if slot.is_none() {
        *slot = Some(source.toiter(rt)?);
    }
    Ok(slot.get_or_insert_with(|| Genr::of([])))
}

/// Stops at the shortest. Errors of the sources become one that names them all.
fn zip(rt: &Rt, _: &Item, args: Args) -> Flow<Item> {
    let (rt, sources) = (rt.clone(), args.rest().to_vec());
    let mut genrs: Vec<Option<Genr>> = vec![None; sources.len()];
    let mut done = sources.is_empty();
    Ok(Item::Genr(Genr::from_fn(move || {
        if done {
            return Ok(None);
        }
        rt.tick()?;
        let (mut row, mut errors) = (Vec::with_capacity(sources.len()), Vec::new());
        for (slot, source) in genrs.iter_mut().zip(&sources) {
            match open(&rt, slot, source).and_then(Genr::next_item) {
                Ok(Some(item)) => row.push(item),
                Ok(None) => done = true,
                Err(Ctl::Err(error)) => errors.push(format!("({}: {})", error.name(), error.message())),
                Err(ctl) => return Err(ctl),
            }
        }
        if !errors.is_empty() {
            done = true;
            let (count, all) = (errors.len(), errors.join(", "));
            let mesg = format!("$lib.iters.zip() encountered errors in {count} iterators during iteration: {all}");
            return Err(err!("StormRuntimeError", mesg = mesg).into());
        }
        Ok((!done).then(|| Item::list(row)))
    })))
}
