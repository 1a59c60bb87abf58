#![forbid(unsafe_code)]
//! The Storm runtime: operators, expressions, functions, commands and libraries
