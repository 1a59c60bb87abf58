//! Prints how much processor time the shipped model takes to read and resolve:
//! `cargo run --profile ci -p myelin-model --example load`.
//!
//! With `dict` or `defs` it prints the model as clients see it, with a model file on top when one is named.

use std::time::Duration;

use myelin_model::Model;
use rustix::time::{ClockId, clock_gettime};

/// The time that this thread ran on a processor, so that other work on the machine does not count.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

fn main() -> myelin_error::Result<()> {
    let arg = std::env::args().nth(1);
    if matches!(arg.as_deref(), Some("dict" | "defs")) {
        let mut model = Model::builtin()?;
        if let Some(path) = std::env::args().nth(2) {
            let file = myelin_model::load_model_json(&std::fs::read(path)?)?;
            model.add_data_models(&file.defs)?;
            file.skipped.iter().for_each(|skipped| eprintln!("{skipped}"));
        }
        let valu = if arg.as_deref() == Some("dict") { model.model_dict() } else { model.model_defs() };
        println!("{}", myelin_value::json::to_json_text(&valu).unwrap_or_default());
        return Ok(());
    }
    for _ in 0..5 {
        let start = cpu_time();
        drop(myelin_model::defs::builtin()?);
        let read = cpu_time() - start;
        let start = cpu_time();
        let model = Model::builtin()?;
        let total = cpu_time() - start;
        let start = cpu_time();
        let clone = model.clone();
        println!("{model:?}: read {read:?}, read and resolved {total:?}, copied {:?}", cpu_time() - start);
        drop(clone);
    }
    Ok(())
}
