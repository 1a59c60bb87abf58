//! Rebuilding a mirror from its leader, when it cannot follow from where it is: its offset was trimmed there, or it has
//! diverged. With `mirror:resync` a mirror does so by itself.
//!
//! ```text
//! stopped ─▶ resync.todo ─▶ started again ─▶ leader's directory into resync/ ─▶ resync/complete
//!         ─▶ old databases removed ─▶ resync/cleared ─▶ new ones moved in ─▶ all marks removed
//! ```
//!
//! A crash anywhere is continued at the next start: without `complete` the copy begins again, with it the moves go on.
//! Options, certificates and backups of the mirror stay as they are.

use std::fs;
use std::path::Path;

use myelin_error::{Result, err};
use myelin_telepath::{Client, env::TeleEnv};

use crate::Cell;
use crate::conf::Conf;

const TODO: &str = "resync.todo";
const INTO: &str = "resync";
const COMPLETE: &str = "complete";
const CLEARED: &str = "cleared";
/// What belongs to this member of the cluster and not to its data.
const KEPT: &[&str] =
    &["cell.yaml", "cell.mods.yaml", "certs", "prov.done", "backups", "sslkey.pem", "sslcert.pem", TODO, INTO];

impl Cell {
    /// Ends the service so that it is started again and rebuilt from its leader.
    pub(crate) fn begin_resync(&self, why: &str) -> Result<()> {
        tracing::error!(why, "this mirror will be rebuilt from its leader (mirror:resync)");
        fs::write(self.dirn().join(TODO), why)?;
        self.done().cancel();
        Ok(())
    }

    /// Whether the service has ended to be rebuilt.
    pub fn wants_resync(&self) -> bool {
        self.dirn().join(TODO).exists()
    }
}

/// Rebuilds the directory of a mirror that asked for it, before it is opened.
pub(crate) async fn resync(dirn: &Path, conf: &Conf) -> Result<()> {
    if !dirn.join(TODO).exists() {
        return Ok(());
    }
    let Some(leader) = conf.str("mirror") else {
        tracing::warn!("the service was to be rebuilt from its leader, and has none any more: it starts as it is");
        return Ok(fs::remove_file(dirn.join(TODO))?);
    };
    let shown = myelin_telepath::url::sanitize(&leader);
    let into = dirn.join(INTO);
    if !into.join(COMPLETE).exists() {
        tracing::warn!(leader = shown, "copying the leader's directory; this may take a while");
        if into.exists() {
            fs::remove_dir_all(&into)?;
        }
        fs::create_dir_all(&into)?;
        let mut env = TeleEnv::for_cell(dirn)?;
        if conf.get("aha:registry").is_truthy() {
            env.add_aha(&conf.get("aha:registry"))?;
        }
        let client = Client::open(&leader)?;
        let copied = async { crate::clone::copy_of(&client.proxy(None).await?, &into).await };
        let copied = copied.await;
        client.fini().await;
        drop(env);
        copied?;
        let same = |dirn: &Path| fs::read_to_string(dirn.join("cell.guid")).map(|iden| iden.trim().to_owned());
        if same(&into)? != same(dirn)? {
            let mesg = format!("The service at {shown} has another iden: this mirror was not made from it.");
            return Err(err!("BadState", mesg = mesg));
        }
        fs::write(into.join(COMPLETE), "")?;
    }
    // Once only: what is there after a crash between the moves is new.
    if !into.join(CLEARED).exists() {
        for entry in fs::read_dir(dirn)? {
            let entry = entry?;
            if !KEPT.iter().any(|kept| entry.file_name() == *kept) {
                remove(&entry.path())?;
            }
        }
        fs::write(into.join(CLEARED), "")?;
    }
    for entry in fs::read_dir(&into)? {
        let entry = entry?;
        if ![COMPLETE, CLEARED].iter().any(|mark| entry.file_name() == *mark)
            && !KEPT.iter().any(|kept| entry.file_name() == *kept)
        {
            fs::rename(entry.path(), dirn.join(entry.file_name()))?;
        }
    }
    fs::remove_dir_all(&into)?;
    fs::remove_file(dirn.join(TODO))?;
    tracing::warn!(leader = shown, "rebuilt from the leader");
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let done = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    Ok(done?)
}
