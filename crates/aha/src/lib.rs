#![forbid(unsafe_code)]
//! AHA: which services there are and where, who they are (certificates), and how new ones join.

mod names;
mod peers;
mod pools;
mod prov;
mod store;
