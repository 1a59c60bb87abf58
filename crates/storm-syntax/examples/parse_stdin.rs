//! Reads texts separated by zero bytes from standard input and prints `ok` or `err` for each, one a line.
//! The first argument says what they are (`query`, `lookup`, `eval` or `cmdrargs`); with a second one, the tree or the
//! error is printed as well.

use std::io::{Read, Write};

use myelin_storm_syntax::{SyntaxError, parse_cmdrargs, parse_eval, parse_lookup, parse_query};

fn main() -> std::io::Result<()> {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let verbose = std::env::args().nth(2).is_some();
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for text in input.split('\0') {
        match parse(&mode, text) {
            Ok(tree) if verbose => writeln!(out, "ok {tree}")?,
            Ok(_) => writeln!(out, "ok")?,
            Err(err) if verbose => writeln!(out, "err {err}")?,
            Err(_) => writeln!(out, "err")?,
        }
    }
    out.flush()
}

fn parse(mode: &str, text: &str) -> Result<String, Box<SyntaxError>> {
    Ok(match mode {
        "lookup" => format!("{:?}", parse_lookup(text)?),
        "eval" => format!("{:?}", parse_eval(text)?),
        "cmdrargs" => format!("{:?}", parse_cmdrargs(text)?),
        _ => format!("{:?}", parse_query(text)?.ops),
    })
}
