#![forbid(unsafe_code)]
//! Values of any size and kind, their msgpack form on wire and disk, guids and buids
