//! A directory as one stream: a gzip tar whose members lie under one directory that is named after the backup.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use myelin_error::{Error, Result, err};

/// Packs a directory under a name into a writer.
pub fn pack(dirn: &Path, name: &str, into: impl Write) -> Result<()> {
    let gzip = GzEncoder::new(BufWriter::with_capacity(1 << 16, into), Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    tar.follow_symlinks(false);
    // A copy of a slab has holes. Written out they cost little under gzip, and every reader of tar understands them.
    tar.sparse(false);
    tar.append_dir_all(name, dirn)?;
    tar.into_inner()?.finish()?.flush()?;
    Ok(())
}

/// Unpacks an archive into a directory, without the directory its members lie under.
pub fn unpack(from: &Path, dirn: &Path) -> Result<()> {
    unpack_from(BufReader::with_capacity(1 << 16, File::open(from)?), dirn)
}

fn unpack_from(from: impl Read, dirn: &Path) -> Result<()> {
    unpack_plain(GzDecoder::new(from), dirn)
}

/// The same from a tar that is not compressed.
pub fn unpack_plain(from: impl Read, dirn: &Path) -> Result<()> {
    let mut tar = tar::Archive::new(from);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let Some(path) = inner_path(&entry.path()?)? else { continue };
        let kind = entry.header().entry_type();
        let target = dirn.join(path);
        if kind.is_dir() {
            std::fs::create_dir_all(&target)?;
        } else if kind.is_file() || kind.is_gnu_sparse() {
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)?;
            }
            entry.unpack(&target)?;
        }
        // A backup holds files and directories; links in one would be somebody's attempt to write elsewhere.
    }
    Ok(())
}

/// The path below the top directory. `None` for that directory itself; an error for one that leads out of it.
fn inner_path(path: &Path) -> Result<Option<PathBuf>> {
    let bad = || -> Error {
        let path = path.display().to_string();
        err!("BadArg", mesg = format!("The archive has a member outside of its directory: {path}"), path = path)
    };
    let mut parts = path.components().filter(|part| !matches!(part, Component::CurDir));
    let first = parts.next();
    if !matches!(first, Some(Component::Normal(_))) {
        return Err(bad());
    }
    let mut inner = PathBuf::new();
    for part in parts {
        match part {
            Component::Normal(part) => inner.push(part),
            _ => return Err(bad()),
        }
    }
    Ok((!inner.as_os_str().is_empty()).then_some(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_comes_back_without_its_top() {
        let dir = tempfile::tempdir().expect("a directory");
        let (src, dst) = (dir.path().join("src"), dir.path().join("dst"));
        std::fs::create_dir_all(src.join("slabs/cell.lmdb")).expect("made");
        std::fs::write(src.join("slabs/cell.lmdb/data.mdb"), b"rows").expect("written");
        std::fs::write(src.join("cell.guid"), b"guid").expect("written");
        let mut byts = Vec::new();
        pack(&src, "20260101", &mut byts).expect("packed");
        unpack_from(&byts[..], &dst).expect("unpacked");
        assert_eq!(std::fs::read(dst.join("slabs/cell.lmdb/data.mdb")).expect("read"), b"rows");
        assert_eq!(std::fs::read(dst.join("cell.guid")).expect("read"), b"guid");
    }

    /// Files with holes were once left out: a packed one became a kind of member that unpacking took for no file.
    #[test]
    fn files_with_holes_are_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let src = dir.path().join("src");
        std::fs::create_dir_all(&src).expect("made");
        let file = File::create(src.join("data.mdb")).expect("made");
        file.set_len(1 << 20).expect("a hole");
        std::os::unix::fs::FileExt::write_all_at(&file, b"rows", (1 << 20) - 4).expect("written");
        let mut ours = Vec::new();
        pack(&src, "top", &mut ours).expect("packed");
        unpack_from(&ours[..], &dir.path().join("ours")).expect("unpacked");
        // As other programs may write it: with members that say where the holes are.
        let mut others = tar::Builder::new(Vec::new());
        others.append_dir_all("top", &src).expect("packed");
        unpack_plain(&others.into_inner().expect("packed")[..], &dir.path().join("others")).expect("unpacked");
        let want = std::fs::read(src.join("data.mdb")).expect("read");
        for name in ["ours", "others"] {
            assert!(std::fs::read(dir.path().join(name).join("data.mdb")).expect("read") == want, "{name}");
        }
    }

    #[test]
    fn members_cannot_lead_out() {
        assert!(inner_path(Path::new("top/../../etc/passwd")).is_err_and(|error| error.is("BadArg")));
        assert!(inner_path(Path::new("/etc/passwd")).is_err_and(|error| error.is("BadArg")));
        assert_eq!(inner_path(Path::new("top")).expect("fine"), None);
        assert_eq!(inner_path(Path::new("top/a/b")).expect("fine"), Some("a/b".into()));
    }
}
