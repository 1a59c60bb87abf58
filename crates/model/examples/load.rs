//! Prints how long the shipped model takes to read and resolve: `cargo run --release -p myelin-model --example load`.
//! With `dict` or `defs` it prints the model as clients see it, with a model file on top when one is named.

use std::time::Instant;

use myelin_model::Model;

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
        let start = Instant::now();
        drop(myelin_model::defs::builtin()?);
        let read = start.elapsed();
        let start = Instant::now();
        let model = Model::builtin()?;
        let total = start.elapsed();
        let copy = Instant::now();
        let clone = model.clone();
        println!("{model:?}: read {read:?}, read and resolved {total:?}, copied {:?}", copy.elapsed());
        drop(clone);
    }
    Ok(())
}
