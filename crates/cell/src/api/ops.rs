//! State, tasks and the nexus log over telepath.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt;
use myelin_error::{Result, err};
use myelin_telepath::{Args, MethTable, ValueStream};
use myelin_value::{Map, Value};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{CellApi, admin, logged, missing, packed};
use crate::nexus::Event;

type Table = MethTable<CellApi>;

/// How long a mirror may take to catch up when it is to lead, and changes under way when the service is frozen.
const HANDOFF_WAIT: Duration = Duration::from_secs(30);

pub(super) fn add(table: Table) -> Table {
    missing(hive(leadership(streams(log(tasks(state(table)))))), &["dyncall", "dyniter", "getGcInfo", "runGcCollect"])
}

fn seconds(args: &Args, name: &str) -> Result<Option<Duration>> {
    let valu = args.get(name);
    if valu.is_null() {
        return Ok(None);
    }
    let secs = valu.as_f64().or_else(|| valu.as_i64().map(|secs| secs as f64));
    let bad = || err!("BadArg", mesg = format!("The argument {name} must be a number of seconds."), name = name);
    let secs = secs.filter(|secs| (0.0..1e9).contains(secs)).ok_or_else(bad)?;
    Ok(Some(Duration::from_secs_f64(secs)))
}

fn offset(args: &Args, name: &str) -> Result<u64> {
    u64::try_from(args.int(name)?).map_err(|_| err!("BadArg", mesg = "An offset is never negative.", name = name))
}

fn state(t: Table) -> Table {
    let t = t
        .quick("getCellIden", "", |api, _, _| Ok(api.cell().iden().to_owned()))
        .quick("getCellType", "", |api, _, _| Ok(api.cell().celltype()))
        .quick("getCellRunId", "", |api, _, _| Ok(api.cell().run_id().to_owned()))
        .blocking("getCellUser", "", |api, _, _| Ok(api.user().pack(false)))
        .blocking("setCellUser", "iden", |api, _, args| api.set_user(args.str("iden")?))
        .blocking("getCellInfo", "", |api, _, _| api.cell().cell_info())
        .quick("isCellActive", "", |api, _, _| Ok(api.cell().is_active()))
        .quick("initCellApi", "", |_, _, _| Ok(Value::Null))
        .blocking("getHealthCheck", "", |api, _, _| {
            api.user().confirm(&["health"], None)?;
            Ok(api.cell().health_check().pack())
        });
    let t = admin(t, "getSystemInfo", "", |api, _| crate::sysinfo::system_info(api.cell()).map(Value::from));
    let t = admin(t, "getBackupInfo", "", |api, _| Ok(api.cell().backup_info().into()));
    let t = admin(t, "getDiagInfo", "", |api, _| Ok(api.cell().diag_info()?.into()));
    let t = t
        .blocking("getPermDefs", "", |api, _, _| Ok(packed(api.cell().perm_defs())))
        .blocking("getPermDef", "perm", |api, _, args| Ok(api.cell().perm_def(args.get("perm")).map(Value::from)))
        .call("getMirrorUrls", "", async |api, _, _: Args| {
            api.req_admin()?;
            api.cell().mirror_urls().await
        });
    let t = admin(t, "getBackups", "", |api, _| Ok(api.cell().backups()?.into()));
    let t = admin(t, "delBackup", "name", |api, args| api.cell().del_backup(args.str("name")?).map(|()| Value::Null));
    let t = admin(t, "runBackup", "name=None, wait=True", |api, args| {
        let (cell, name) = (api.cell().clone(), args.opt_str("name")?);
        if args.get("wait").is_truthy() {
            return cell.run_backup(name).map(Value::from);
        }
        let (name, path) = cell.begin_backup(name)?;
        let told = name.clone();
        // How it ends is in the log and in getBackupInfo.
        std::thread::spawn(move || cell.finish_backup(&name, &path));
        Ok(told.into())
    });
    let t = admin(t, "getDmonSessions", "", |api, _| {
        Ok(Value::list(api.cell().dmon().map(|dmon| dmon.sessions()).unwrap_or_default()))
    });
    let t = admin(t, "getReloadableSystems", "", |api, _| {
        Ok(api.cell().reload_names().into_iter().map(Value::from).collect())
    });
    let t = admin(t, "logs", "last=100", |_, args| Ok(Value::list(crate::log::last(lines_wanted(args)?))));
    let t = logged(t, "reload", "subsystem=None", |api, args| {
        let name = args.opt_str("subsystem")?.filter(|name| !name.is_empty());
        Ok(api.cell().reload(name)?.into())
    });
    t.call("shutdown", "timeout=None, drain=True", async |api, _, args: Args| {
        api.req_admin()?;
        let timeout = seconds(&args, "timeout")?;
        let done = api.cell().boss().shutdown(args.get("drain").is_truthy(), timeout).await;
        if done {
            api.cell().done().cancel();
        }
        Ok(done)
    })
}

fn tasks(t: Table) -> Table {
    let t = t
        .blocking("ps", "", |api, _, _| {
            let all = api.user().allowed(&["task", "get"], None);
            let tasks = api.cell().boss().ps();
            let mine = tasks.iter().filter(|task| all || task.user().is_some_and(|user| user == api.user()));
            Ok(packed(mine.map(|task| task.pack())))
        })
        .blocking("kill", "iden", |api, _, args| {
            let Some(task) = api.cell().boss().get(args.str("iden")?) else { return Ok(false) };
            if task.user().is_none_or(|user| user != api.user()) {
                api.user().confirm(&["task", "del"], None)?;
            }
            Ok(task.kill())
        });
    t.call("getTask", "iden, peers=True, timeout=None", async |api, _, args: Args| {
        api.req_admin()?;
        let iden = args.str("iden")?;
        if let Some(task) = api.cell().own_task(iden) {
            return Ok(task);
        }
        let found = peers_asked(&api, "getTask", &args, |task| !task.is_null()).await?;
        Ok(found.unwrap_or_default())
    })
    .call("killTask", "iden, peers=True, timeout=None", async |api, _, args: Args| {
        api.req_admin()?;
        if let Some(task) = api.cell().boss().get(args.str("iden")?) {
            task.kill();
            return Ok(Value::Bool(true));
        }
        Ok(peers_asked(&api, "killTask", &args, Value::is_truthy).await?.is_some().into())
    })
}

/// Asks the other members of the cluster for a task that is not here, until one gives the answer that is wanted.
async fn peers_asked(api: &CellApi, meth: &str, args: &Args, want: fn(&Value) -> bool) -> Result<Option<Value>> {
    if !args.get("peers").is_truthy() {
        return Ok(None);
    }
    let timeout = seconds(args, "timeout")?;
    let kwargs = Map::new().with("peers", false).with("timeout", args.get("timeout").clone());
    let todo = Value::list([meth.into(), Value::list([args.get("iden").clone()]), kwargs.into()]);
    let mut answers = api.cell().call_peers("callAhaPeerApi", todo, timeout).await?;
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        if want(&answer) {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

fn log(t: Table) -> Table {
    let t = admin(t, "getNexsIndx", "", |api, _| Ok(api.cell().nexus().index().into()));
    let t = logged(t, "rotateNexsLog", "", |api, _| api.cell().rotate_log().map(Value::from));
    let t = logged(t, "cullNexsLog", "offs", |api, args| {
        let offs = Value::from(offset(args, "offs")?);
        let cell = api.cell();
        cell.req_no_backup()?;
        Ok(cell.nexus().push(cell.iden(), "nexslog:cull", vec![offs], Map::new())?.1)
    });
    let t = admin(t, "readyToMirror", "", |api, _| {
        api.cell().nexus().enable_log()?;
        if !api.cell().conf().is_on("nexslog:en") {
            api.cell().conf().modify(&Map::new().with("nexslog:en", true))?;
        }
        Ok(Value::Null)
    });
    let t = admin(t, "issue", "nexsiden, event, args, kwargs, meta=None, wait=True", |api, args| {
        let map = |name: &str| args.get(name).as_map().cloned().unwrap_or_default();
        let nexus = api.cell().nexus();
        let event = Event {
            nexsiden: args.str("nexsiden")?.to_owned(),
            name: args.str("event")?.to_owned(),
            args: args.get("args").as_list().unwrap_or_default().to_vec(),
            kwargs: map("kwargs"),
            meta: map("meta"),
        };
        if !args.get("wait").is_truthy() {
            return nexus.issue_only(event).map(|()| Value::Null);
        }
        let follows = !nexus.is_leader() && event.meta.contains("resp");
        let (offs, valu) = nexus.issue(event)?;
        Ok(if follows { Value::Null } else { Value::list([offs.into(), valu]) })
    });
    let t = admin(t, "confirmNexsOffs", "run, offs", |api, args| {
        api.cell().nexus().confirm(args.str("run")?, offset(args, "offs")?);
        Ok(Value::Null)
    });
    let t = admin(t, "compareStateSums", "run, offs, sums", |api, args| {
        let sums = args.get("sums").as_map().cloned().unwrap_or_default();
        Ok(api.cell().compare_sums(args.str("run")?, offset(args, "offs")?, &sums)?.into())
    });
    t.call("waitNexsOffs", "offs, timeout=None", async |api, _, args: Args| {
        api.req_admin()?;
        Ok(api.cell().nexus().wait_offs(offset(&args, "offs")?, seconds(&args, "timeout")?).await)
    })
    .call("trimNexsLog", "consumers=None, timeout=60", async |api, _, args: Args| {
        api.req_admin()?;
        let timeout = seconds(&args, "timeout")?;
        let urls = args.get("consumers").as_list().unwrap_or_default().to_vec();
        api.cell().trim_log(&urls, timeout).await
    })
}

fn hive_path<'a>(args: &'a Args, name: &str) -> Result<Vec<&'a str>> {
    let bad = || err!("BadArg", mesg = "A path of the hive is a list of str.", name = name);
    match args.get(name) {
        Value::Null => Ok(Vec::new()),
        valu => valu.as_list().ok_or_else(bad)?.iter().map(|part| part.as_str().ok_or_else(bad)).collect(),
    }
}

/// The tree of values that older services kept; nothing of this build is in it.
fn hive(t: Table) -> Table {
    let t = admin(t, "listHiveKey", "path=None", |api, args| {
        let kids = api.cell().hive_kids(&hive_path(args, "path")?)?;
        Ok(kids.map_or(Value::Null, |kids| kids.into_iter().map(|(name, _)| Value::from(name)).collect()))
    });
    let t = logged(t, "getHiveKeys", "path", |api, args| {
        let kids = api.cell().hive_kids(&hive_path(args, "path")?)?.unwrap_or_default();
        Ok(kids.into_iter().map(|(name, valu)| Value::list([name.into(), valu])).collect())
    });
    let t = logged(t, "getHiveKey", "path", |api, args| api.cell().hive_value(&hive_path(args, "path")?));
    let t = logged(t, "saveHiveTree", "path=()", |api, args| {
        api.cell().hive_tree(&hive_path(args, "path")?).map(Value::from)
    });
    let t = logged(t, "setHiveKey", "path, valu", |api, args| {
        let event = vec![args.get("path").clone(), args.get("valu").clone()];
        Ok(api.cell().nexus().push(crate::hive::NEXSIDEN, "hive:set", event, Map::new())?.1)
    });
    logged(t, "popHiveKey", "path", |api, args| {
        Ok(api.cell().nexus().push(crate::hive::NEXSIDEN, "hive:pop", vec![args.get("path").clone()], Map::new())?.1)
    })
}

fn leadership(t: Table) -> Table {
    t.call("promote", "graceful=False, fence=True", async |api, _, args: Args| {
        api.req_admin()?;
        let (cell, graceful) = (api.cell().clone(), args.get("graceful").is_truthy());
        let fence = args.get("fence").is_truthy();
        apart(async move { cell.promote(graceful, fence).await }).await
    })
    .call("giveWay", "iden, run, term", async |api, _, args: Args| {
        api.req_admin()?;
        let (cell, iden, run) = (api.cell().clone(), args.str("iden")?.to_owned(), args.str("run")?.to_owned());
        let term = args.int("term")?;
        apart(async move { cell.told_to_give_way(&iden, &run, term).await }).await
    })
    .call("handoff", "turl, timeout=30", async |api, _, args: Args| {
        api.req_admin()?;
        let (cell, url) = (api.cell().clone(), args.str("turl")?.to_owned());
        let timeout = seconds(&args, "timeout")?.unwrap_or(HANDOFF_WAIT);
        // Goes on when the one who asked is gone: half a hand-off is none.
        apart(async move { cell.handoff(&url, timeout).await }).await
    })
    .call("demote", "timeout=None", async |api, _, args: Args| {
        api.req_admin()?;
        let (cell, timeout) = (api.cell().clone(), seconds(&args, "timeout")?);
        apart(async move { cell.demote(timeout).await }).await
    })
    .call("freeze", "timeout=30", async |api, _, args: Args| {
        api.req_admin()?;
        api.cell().freeze(seconds(&args, "timeout")?.unwrap_or(HANDOFF_WAIT)).await
    })
    .call("resume", "", async |api, _, _: Args| {
        api.req_admin()?;
        api.cell().resume()
    })
}

/// Runs something to its end even if the caller is gone before.
async fn apart<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|error| Err(err!("SynErr", mesg = format!("The work was abandoned: {error}."))))
}

fn lines_wanted(args: &Args) -> Result<usize> {
    let bad = |_| err!("BadArg", mesg = "The number of lines is never negative.", name = "last");
    usize::try_from(args.int("last")?).map_err(bad)
}

fn as_it_comes(told: Receiver<Value>) -> impl futures::Stream<Item = Result<Value>> + Send {
    futures::stream::unfold(told, async |mut told| {
        loop {
            match told.recv().await {
                Ok(mesg) => return Some((Ok(mesg), told)),
                // A slow listener loses the oldest messages and goes on.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

fn streams(t: Table) -> Table {
    t.genr("getNexusChanges", "offs, tellready=False, wait=True", async |api, _, args: Args| {
        api.req_admin()?;
        let (tell, wait) = (args.get("tellready").is_truthy(), args.get("wait").is_truthy());
        Ok(api.cell().nexus().changes(offset(&args, "offs")?, tell, wait)?.boxed() as ValueStream)
    })
    .genr("behold", "", async |api, _, _: Args| {
        api.req_admin()?;
        let told = api.cell().nexus().beholders();
        Ok(as_it_comes(told).boxed() as ValueStream)
    })
    .genr("iterBackupArchive", "name", async |api, _, args: Args| {
        api.req_admin()?;
        api.cell().backup_archive(args.str("name")?)
    })
    .genr("iterNewBackupArchive", "name=None, remove=False", async |api, _, args: Args| {
        api.req_admin()?;
        api.cell().new_backup_archive(args.opt_str("name")?, args.get("remove").is_truthy()).await
    })
    .genr("watch", "last=100", async |api, _, args: Args| {
        api.req_admin()?;
        let (lines, told) = crate::log::watch(lines_wanted(&args)?);
        let first = futures::stream::iter(lines.into_iter().map(Ok));
        Ok(first.chain(as_it_comes(told)).boxed() as ValueStream)
    })
    .genr("getTasks", "peers=True, timeout=None", async |api, _, args: Args| {
        api.req_admin()?;
        let own = api.cell().own_tasks();
        let mut seen: HashSet<Value> = own.iter().filter_map(|task| task.get("iden").cloned()).collect();
        let first = futures::stream::iter(own.into_iter().map(Ok));
        if !args.get("peers").is_truthy() {
            return Ok(first.boxed() as ValueStream);
        }
        let kwargs = Map::new().with("peers", false);
        let todo = Value::list(["getTasks".into(), Value::empty_list(), kwargs.into()]);
        let others = api.cell().call_peers("callAhaPeerGenr", todo, seconds(&args, "timeout")?).await?;
        let others = others.filter(move |task| {
            let new = task.as_ref().map_or(true, |task| seen.insert(task.get("iden").cloned().unwrap_or_default()));
            std::future::ready(new)
        });
        Ok(first.chain(others).boxed() as ValueStream)
    })
}
