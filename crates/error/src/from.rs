//! Foreign errors as ours, where one name fits every case.

use myelin_value::json::NotJson;
use myelin_value::msgpack::DecodeError;

use crate::{Error, err};

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Error {
        err!("SynErr", mesg = format!("Bytes are not the platform's msgpack: {error}.")).caused_by(error)
    }
}

impl From<NotJson> for Error {
    fn from(error: NotJson) -> Error {
        err!("MustBeJsonSafe", mesg = format!("The value cannot be JSON: it holds {}.", error.0))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        let name = match error.kind() {
            std::io::ErrorKind::NotFound => "NoSuchFile",
            std::io::ErrorKind::AlreadyExists => "FileExists",
            _ => "SynErr",
        };
        err!(name, mesg = format!("The system refused: {error}.")).caused_by(error)
    }
}
