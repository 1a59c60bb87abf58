//! Entry points over outside text that must never panic, whatever they are given: for fuzzers, and for the test that
//! feeds them mutated seeds. Each takes bytes as they come and says nothing about them.

use std::sync::{Arc, OnceLock};

use myelin_value::Value;

use crate::types::{Decimal, PyRegex};
use crate::{Model, NormCx, Type};

/// The seed of a fuzz target: what its first inputs are made from.
pub struct Probe {
    /// Its name.
    pub name: &'static str,
    /// What it runs.
    pub run: fn(&[u8]),
}

/// Every entry point.
pub const PROBES: &[Probe] = &[
    Probe { name: "norm", run: norm },
    Probe { name: "regex", run: regex },
    Probe { name: "number", run: number },
    Probe { name: "model_file", run: model_file },
];

fn model() -> Option<&'static Arc<Model>> {
    static MODEL: OnceLock<Option<Arc<Model>>> = OnceLock::new();
    MODEL.get_or_init(|| Model::builtin().ok().map(Arc::new)).as_ref()
}

/// Text through a type, which the first two bytes choose: norm, print, filters and lifts; what normalises must print, and
/// pass the filter of its own value.
pub fn norm(data: &[u8]) {
    let (Some(model), Some((head, rest))) = (model(), data.split_at_checked(2)) else { return };
    let nth = usize::from(u16::from_le_bytes([head[0], head[1]]));
    let Some(ty) = model.types().nth(nth % model.types().len()) else { return };
    let text = Value::from_wtf8(rest).unwrap_or_else(|| Value::from(rest));
    through(model, ty, &text);
}

/// A value through a type.
pub fn through(model: &Arc<Model>, ty: &Arc<Type>, valu: &Value) {
    let cx = NormCx::new(model.clone());
    for op in ["=", "^=", "~=", "<", "range=", "in=", "@=", "near="] {
        let _ = ty.lift_cmprs(&cx, op, valu);
        let _ = ty.cmpr_ctor(&cx, op, valu);
    }
    let Ok(norm) = ty.norm(&cx, valu) else { return };
    let _ = ty.repr(&cx, &norm.value);
    let _ = norm.info.pack();
    for op in ["=", "!=", "^=", "<="] {
        if let Ok(cmpr) = ty.cmpr_ctor(&cx, op, valu) {
            let _ = cmpr(&norm.value);
        }
    }
}

/// A pattern, a zero byte, and a text to search.
pub fn regex(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, text) = text.split_once('\0').unwrap_or((text, text));
    if let Ok(regx) = PyRegex::new_icase(pattern) {
        let _ = regx.is_search(text);
        let _ = regx.match_start(text);
        let _ = regx.is_full_match(text);
    }
}

/// Decimal text.
pub fn number(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(huge) = Decimal::from_text(text) else { return };
    let _ = huge.to_string();
    let _ = huge.quantize(crate::types::hugenum::PLACES).map(|huge| huge.normalize().to_plain());
    let _ = crate::types::py::int_auto(text);
    let _ = crate::types::py::float_text(text).map(crate::types::py::float_repr);
}

/// A model file of an operator.
pub fn model_file(data: &[u8]) {
    if let Ok(file) = crate::load_model_json(data)
        && let Some(model) = model()
    {
        let mut model = Model::clone(model);
        let _ = model.add_data_models(&file.defs);
    }
}
