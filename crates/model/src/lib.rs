#![forbid(unsafe_code)]
//! Base types, normalisation and the data model.
//!
//! Two halves. [`types`] knows values: how an input becomes the one stored form, how that prints, compares and is looked
//! up. The rest knows names: a [`Model`] is made from declarations ([`moddef`]) that come from the files in `defs/`
//! ([`defs`]), from a JSON file of the operator ([`modfile`]), or from users of a running service ([`ext`]).
//!
//! Not here: nodes and layers (crate `graph`), permissions, the events by which a service changes its model.

mod build;
pub mod defs;
pub mod ext;
mod locks;
pub mod moddef;
mod model;
pub mod modfile;
mod names;
pub mod pack;
#[doc(hidden)]
pub mod probe;
mod stortype;
pub mod types;

pub use ext::ExtModel;
pub use moddef::{EdgeKey, PropDef, TypeRef};
pub use model::{Edge, Form, FormId, Model, Prop, PropId, RefsOut, TagProp};
pub use modfile::{ModelFile, load_model_json};
pub use names::{is_base_prop_name, is_form_name, is_univ_name};
pub use stortype::StorType;
pub use types::{Cmpr, CtorKind, Norm, NormAdd, NormCx, NormEnv, NormInfo, StorCmpr, Type, TypeResolver};
