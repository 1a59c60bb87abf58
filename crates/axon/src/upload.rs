//! Uploads: bytes that come in pieces wait in memory, or past a bound in a file, until they are saved.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use myelin_error::{Result, err};
use sha2::{Digest, Sha256 as Sha256Hash};

use crate::axon::{Axon, CHUNK_SIZE};
use crate::blobs::Sha256;

/// Bytes an upload keeps in memory at most.
const MAX_MEMORY: usize = 4 * CHUNK_SIZE;

/// A file on its way into the axon. May be used again after a save; dropping it forgets what was not saved.
pub struct Upload {
    axon: Axon,
    memory: Vec<u8>,
    spool: Option<File>,
    size: u64,
    hash: Sha256Hash,
}

impl Upload {
    pub(crate) fn new(axon: Axon) -> Upload {
        Upload { axon, memory: Vec::new(), spool: None, size: 0, hash: Sha256Hash::new() }
    }

    /// More bytes.
    pub fn write(&mut self, byts: &[u8]) -> Result<()> {
        if self.spool.is_none() && self.memory.len() + byts.len() > MAX_MEMORY {
            self.spill()?;
        }
        match &mut self.spool {
            Some(file) => file.write_all(byts)?,
            None => self.memory.extend_from_slice(byts),
        }
        self.hash.update(byts);
        self.size += byts.len() as u64;
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let dirn = self.axon.tmp_dir();
        std::fs::create_dir_all(&dirn)?;
        let mut file = tempfile::tempfile_in(&dirn)?;
        file.write_all(&std::mem::take(&mut self.memory))?;
        self.spool = Some(file);
        Ok(())
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Stores the bytes as a file and begins anew. Returns their count and SHA-256.
    pub fn save(&mut self) -> Result<(u64, Sha256)> {
        let sha256: Sha256 = self.hash.finalize_reset().into();
        let (size, memory, spool) =
            (std::mem::take(&mut self.size), std::mem::take(&mut self.memory), self.spool.take());
        if !self.axon.has(&sha256)? {
            match spool {
                None => self.axon.save(&sha256, memory.chunks(CHUNK_SIZE).map(Ok))?,
                Some(file) => self.axon.save(&sha256, FileChunks::new(file)?)?,
            };
        }
        Ok((size, sha256))
    }
}

struct FileChunks {
    file: File,
    done: bool,
}

impl FileChunks {
    fn new(mut file: File) -> Result<FileChunks> {
        file.seek(SeekFrom::Start(0))?;
        Ok(FileChunks { file, done: false })
    }
}

impl Iterator for FileChunks {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let mut chunk = Vec::new();
        match (&mut self.file).take(CHUNK_SIZE as u64).read_to_end(&mut chunk) {
            Ok(0) => None,
            Ok(_) => Some(Ok(chunk)),
            Err(error) => {
                self.done = true;
                Some(Err(err!("SynErr", mesg = format!("Reading an upload back failed: {error}."))))
            }
        }
    }
}
