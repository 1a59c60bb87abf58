//! What a service watches on its machine: kernel settings and the free space of its volume.

use std::path::Path;
use std::time::{Duration, Instant};

use myelin_error::{Result, err};
use myelin_value::{Map, Value};

use crate::Cell;
use crate::sysinfo::volume;

/// How often the settings are looked at.
const PERIOD: Duration = Duration::from_secs(60);
/// How often the free space is: more than a service can write between two looks must not be the last of it.
const SPACE_PERIOD: Duration = Duration::from_secs(2);
/// Why changes are refused while the volume is too full.
const LOW_SPACE: &str = "Insufficient free space on disk.";

/// The settings that are told of in `getSystemInfo`.
const SYSCTLS: &[&str] = &[
    "vm.swappiness",
    "vm.dirty_expire_centisecs",
    "vm.dirty_writeback_centisecs",
    "vm.dirty_background_ratio",
    "vm.dirty_background_bytes",
    "vm.dirty_ratio",
    "vm.dirty_bytes",
];

/// What two of them should be: written pages reach the disk soon and steadily, instead of seldom and all at once.
const WANTED: &[(&str, i64)] = &[("vm.dirty_expire_centisecs", 20), ("vm.dirty_writeback_centisecs", 20)];

fn sysctl(root: &Path, name: &str) -> Option<i64> {
    let text = std::fs::read_to_string(root.join(name.replace('.', "/"))).ok()?;
    text.trim().parse().ok()
}

/// The kernel settings that matter to databases; null for one the system does not have.
pub(crate) fn sysctls() -> Map {
    let root = Path::new("/proc/sys");
    SYSCTLS.iter().map(|name| (*name, sysctl(root, name).map_or(Value::Null, Value::from))).collect()
}

/// The settings that are not as recommended: name, expected, actual.
fn mismatches(root: &Path) -> Vec<Map> {
    let looked = WANTED.iter().map(|(name, want)| (name, want, sysctl(root, name)));
    let wrong = looked.filter(|(_, want, actual)| *actual != Some(**want));
    wrong
        .map(|(name, want, actual)| {
            let actual = actual.map_or(Value::Null, Value::from);
            Map::new().with("name", *name).with("expected", *want).with("actual", actual)
        })
        .collect()
}

impl Cell {
    /// Fails with `LowSpace` where the volume has no more free space than the service is to leave.
    pub(crate) fn req_free_space(&self) -> Result<()> {
        match self.low_space()? {
            Some(percent) => {
                let dirn = self.dirn().display().to_string();
                let mesg = format!("The volume of {dirn} has {percent:.2}% of free space, too little to start.");
                Err(err!("LowSpace", mesg = mesg, dirn = dirn))
            }
            None => Ok(()),
        }
    }

    /// The free space in percent, if that is no more than `limit:disk:free`.
    fn low_space(&self) -> Result<Option<f64>> {
        let Some(limit) = self.conf().int("limit:disk:free") else { return Ok(None) };
        let (size, free) = volume(self.dirn())?;
        let percent = if size == 0 { 100.0 } else { free as f64 / size as f64 * 100.0 };
        Ok((percent <= limit as f64).then_some(percent))
    }

    /// Refuses changes while the volume is too full, and accepts them again when it is not.
    pub(crate) fn check_free_space(&self) -> Result<()> {
        let (nexus, dirn) = (self.nexus(), self.dirn().display());
        let held = nexus.holds().iter().any(|reason| reason == LOW_SPACE);
        match self.low_space()? {
            Some(percent) if !held => {
                nexus.add_hold(LOW_SPACE);
                tracing::error!(dirn = %dirn, percent, "changes are refused: the volume has too little free space");
            }
            None if held => {
                nexus.del_hold(LOW_SPACE);
                tracing::error!(dirn = %dirn, "changes are accepted again: the volume has enough free space");
            }
            _ => {}
        }
        Ok(())
    }

    /// Looks at the machine for as long as the service runs.
    pub(crate) fn watch_host(&self) {
        if self.conf().is_on("health:sysctl:checks") {
            self.add_health(std::sync::Arc::new(|check| {
                let wrong = mismatches(Path::new("/proc/sys"));
                if !wrong.is_empty() {
                    let data = Map::new().with("sysctls", wrong.into_iter().map(Value::from).collect::<Value>());
                    check.update("sysctl", "nominal", "Kernel settings are not as recommended.", data);
                }
            }));
        }
        let cell = self.clone();
        tokio::spawn(async move {
            let mut told = Vec::new();
            let mut looked: Option<Instant> = None;
            loop {
                if cell.conf().is_on("health:sysctl:checks") && looked.is_none_or(|last| last.elapsed() >= PERIOD) {
                    looked = Some(Instant::now());
                    warn_of_sysctls(&mut told);
                }
                if let Err(error) = cell.check_free_space() {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot tell the free space");
                }
                tokio::select! {
                    () = tokio::time::sleep(SPACE_PERIOD) => {}
                    () = cell.done().cancelled() => break,
                }
            }
        });
    }
}

/// Warns once for each state of the settings, not every minute of the same.
fn warn_of_sysctls(told: &mut Vec<Map>) {
    let wrong = mismatches(Path::new("/proc/sys"));
    if wrong == *told {
        return;
    }
    if !wrong.is_empty() {
        let names: Vec<&str> = wrong.iter().filter_map(|one| one.get_str("name")).collect();
        let list: Value = wrong.iter().cloned().map(Value::from).collect();
        let params = myelin_value::json::to_json_text(&Map::new().with("sysctls", list).into()).unwrap_or_default();
        let names = names.join(", ");
        tracing::warn!(params, "Kernel settings are not as recommended (docs/kernel.md says why): {names}");
    }
    *told = wrong;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_and_missing_settings_are_found() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("vm")).expect("made");
        std::fs::write(dir.path().join("vm/dirty_expire_centisecs"), "20\n").expect("written");
        let wrong = mismatches(dir.path());
        let want = Map::new().with("name", WANTED[1].0).with("expected", 20).with("actual", Value::Null);
        assert_eq!(wrong, std::slice::from_ref(&want));
        std::fs::write(dir.path().join("vm/dirty_writeback_centisecs"), "500\n").expect("written");
        assert_eq!(mismatches(dir.path()), [want.with("actual", 500)]);
        std::fs::write(dir.path().join("vm/dirty_writeback_centisecs"), "20\n").expect("written");
        assert!(mismatches(dir.path()).is_empty());
    }
}
