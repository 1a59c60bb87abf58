//! Reads texts separated by zero bytes from standard input and prints `ok` or `err` for each, one a line.
//! With an argument, prints the tree or the error as well.

use std::io::{Read, Write};

fn main() -> std::io::Result<()> {
    let verbose = std::env::args().nth(1).is_some();
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for text in input.split('\0') {
        match myelin_storm_syntax::parse_query(text) {
            Ok(query) if verbose => writeln!(out, "ok {:#?}", query.ops)?,
            Ok(_) => writeln!(out, "ok")?,
            Err(err) if verbose => writeln!(out, "err {err}")?,
            Err(_) => writeln!(out, "err")?,
        }
    }
    out.flush()
}
