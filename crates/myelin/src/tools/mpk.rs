//! Files of msgpack values, and `utils.json2mpk`.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};
use myelin_error::{Result, err};
use myelin_value::{Value, json, msgpack};

use super::{Exit, texts};

/// How much of a file is read at a time.
const CHUNK: usize = 1024 * 1024;

/// The values of a msgpack file, one after the other.
pub struct MpkFile {
    path: String,
    file: File,
    decoder: msgpack::Decoder,
    ended: bool,
}

impl MpkFile {
    /// # Errors
    /// `NoSuchFile`.
    pub fn open(path: &str) -> Result<MpkFile> {
        let file = File::open(path)
            .map_err(|error| err!("NoSuchFile", mesg = format!("Cannot read {path}: {error}."), path = path))?;
        Ok(MpkFile { path: path.to_owned(), file, decoder: msgpack::Decoder::new(msgpack::MAX_FRAME), ended: false })
    }

    fn step(&mut self) -> Result<Option<Value>> {
        let mut buff = vec![0; CHUNK];
        loop {
            if let Some((valu, _)) = self.decoder.next_value()? {
                return Ok(Some(valu));
            }
            let count = self.file.read(&mut buff)?;
            if count == 0 {
                if self.decoder.pending() == 0 {
                    return Ok(None);
                }
                let mesg = format!("{} ends within a value: it was cut off.", self.path);
                return Err(err!("BadDataValu", mesg = mesg, path = self.path.as_str()));
            }
            self.decoder.feed(&buff[..count]);
        }
    }
}

impl Iterator for MpkFile {
    type Item = Result<Value>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.step();
        self.ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

pub fn args() -> Command {
    Command::new("json2mpk")
        .about("Turn files of JSON lines (.json) into msgpack files (.mpk)")
        .arg(Arg::new("rm").long("rm").action(ArgAction::SetTrue).help("Remove each file once it is converted"))
        .arg(Arg::new("paths").required(true).action(ArgAction::Append).num_args(1..).help("The files"))
}

pub async fn run(args: ArgMatches) -> Exit {
    for path in texts(&args, "paths") {
        let Some(stem) = path.strip_suffix(".json") else {
            println!("skip: {path} (not .json extension)");
            continue;
        };
        if !Path::new(&path).is_file() {
            println!("skip: {path} (not a file)");
            continue;
        }
        println!("converting: {path} -> .mpk");
        convert(&path, &format!("{stem}.mpk"))?;
        if args.get_flag("rm") {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(0)
}

fn convert(path: &str, target: &str) -> Result<()> {
    let byts = std::fs::read(path)?;
    let mut out = BufWriter::new(File::create(target)?);
    for (indx, line) in byts.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let valu = json::parse(line).map_err(|error| {
            err!("BadJsonText", mesg = format!("Line {} of {path} is no JSON: {error}.", indx + 1), path = path)
        })?;
        out.write_all(&msgpack::encode(&valu))?;
    }
    Ok(out.flush()?)
}
