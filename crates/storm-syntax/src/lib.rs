#![forbid(unsafe_code)]
//! The Storm language as text: lexer, parser, syntax tree, formatter, highlighter
