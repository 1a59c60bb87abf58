//! Automatic failover, where the option `aha:failover` asks for it: a leader that has been offline for longer than its lease
//! is replaced by a mirror that is sure to have every acknowledged change.
//!
//! Sure is a mirror under two conditions: the leader acknowledged nothing that fewer than `nexus:min_mirrors` mirrors had, and
//! so many mirrors answer that one of them must be among those. Then the one that is furthest along has everything. The
//! leader for its part, with the same option, refuses changes when it has not heard from AHA for half as long.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use myelin_error::Result;
use myelin_value::{Map, Value};

use crate::aha::Aha;
use crate::store::text;

/// How long a leader may be offline.
const LEASE: Duration = Duration::from_secs(10);
const PERIOD: Duration = Duration::from_secs(1);
/// How long a mirror may take to answer.
const ASK_WAIT: Duration = Duration::from_secs(5);

/// Looks after the leaders for as long as the server runs.
pub(crate) fn watch(aha: &Aha) {
    if !aha.cell().conf().is_on("aha:failover") {
        return;
    }
    let aha = aha.clone();
    tokio::spawn(async move {
        let mut offline = HashMap::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = aha.cell().done().cancelled() => break,
            }
            if !aha.cell().is_active() {
                offline.clear();
                continue;
            }
            if let Err(error) = look(&aha, &mut offline).await {
                tracing::warn!(%error, "failover: the leaders could not be looked at");
            }
        }
    });
}

async fn look(aha: &Aha, offline: &mut HashMap<String, Instant>) -> Result<()> {
    let store = aha.clone();
    let svcs = super::service::blocking(move || store.store().svcs(None)).await?;
    for svc in &svcs {
        let Some(info) = svc.get("svcinfo") else { continue };
        let (Some(name), Some(iden)) = (text(svc, "name"), text(info, "iden")) else { continue };
        if text(info, "leader") != text(svc, "svcname") {
            continue;
        }
        if info.get("online").is_some_and(|online| !online.is_null()) {
            offline.remove(name);
            continue;
        }
        let since = *offline.entry(name.to_owned()).or_insert_with(Instant::now);
        if since.elapsed() < LEASE {
            continue;
        }
        // Whatever comes of it, the next try is a lease away.
        offline.insert(name.to_owned(), Instant::now());
        let lost = text(info, "run").unwrap_or_default();
        let members: Vec<&Value> = svcs
            .iter()
            .filter(|svc| {
                let info = svc.get("svcinfo");
                let part = |key: &str| info.and_then(|info| text(info, key));
                part("iden") == Some(iden) && part("run") != Some(lost) && part("leader") != text(svc, "svcname")
            })
            .collect();
        match replace(aha, name, &members).await {
            Ok(Some(new)) => tracing::error!(name, new, "failover: the leader is lost, and a mirror was promoted"),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(name, %error, "failover: the leader is lost, and no mirror could be promoted")
            }
        }
    }
    Ok(())
}

/// Promotes the member that has everything, if there is one. Says which.
async fn replace(aha: &Aha, name: &str, members: &[&Value]) -> Result<Option<String>> {
    let online: Vec<Value> = members
        .iter()
        .filter(|svc| svc.get("svcinfo").and_then(|info| info.get("online")).is_some_and(|online| !online.is_null()))
        .map(|svc| (*svc).clone())
        .collect();
    let todo = Value::list(["getCellInfo".into(), Value::empty_list(), Map::new().into()]);
    let mut answers = aha.peers().call_all(online.clone(), &todo, Some(ASK_WAIT), false)?;
    let mut found: Vec<(u64, i64, String)> = Vec::new();
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        let (Some(full), Some(info)) = (answer.at(0).and_then(Value::as_str), answer.at(1)) else { continue };
        let info = if info.at(0) == Some(&Value::Bool(true)) { info.at(1) } else { None };
        let Some(cell) = info.and_then(|info| info.get("cell")) else { continue };
        if cell.get("active").is_some_and(Value::is_truthy) {
            // One leads already, and will say so.
            return Ok(None);
        }
        let own = info.and_then(|info| info.get("myelin"));
        let min = own.and_then(|own| own.get("min_mirrors")).and_then(Value::as_i64).unwrap_or_default();
        let indx = cell.get("nexsindx").and_then(Value::as_u64).unwrap_or_default();
        found.push((indx, min, full.to_owned()));
    }
    let min = found.iter().map(|(_, min, _)| *min).min().unwrap_or_default();
    if min < 1 {
        tracing::warn!(
            name,
            "failover: the leader is lost; without nexus:min_mirrors no mirror is sure to have everything"
        );
        return Ok(None);
    }
    if (found.len() as i64) < members.len() as i64 - min + 1 {
        tracing::warn!(name, mirrors = members.len(), answered = found.len(), "failover: too few mirrors answer");
        return Ok(None);
    }
    let promotable = |full: &str| {
        online.iter().find(|svc| {
            text(svc, "name") == Some(full)
                && svc.get("svcinfo").and_then(|info| info.get("promotable")).is_some_and(Value::is_truthy)
        })
    };
    let most = found.iter().map(|(indx, ..)| *indx).max().unwrap_or_default();
    let best = found.iter().find(|(indx, _, full)| *indx == most && promotable(full).is_some());
    let Some((_, _, full)) = best else {
        tracing::warn!(name, "failover: the mirror that is furthest along may not be promoted");
        return Ok(None);
    };
    let svc: Vec<Value> = promotable(full).cloned().into_iter().collect();
    let todo = Value::list(["promote".into(), Value::empty_list(), Map::new().with("graceful", false).into()]);
    let mut done = aha.peers().call_all(svc, &todo, Some(LEASE), false)?;
    match done.next().await.transpose()? {
        Some(answer) if answer.at(1).and_then(|retn| retn.at(0)) == Some(&Value::Bool(true)) => Ok(Some(full.clone())),
        other => {
            let why = format!("{full} did not: {other:?}");
            Err(myelin_error::err!("BadState", mesg = why))
        }
    }
}
