//! What a cortex does of its own accord while it is the leader.

use std::sync::{Arc, Weak};
use std::time::Duration;

use myelin_graph::View;

use crate::Cortex;

/// How often it is asked whether a token is to be renewed.
const RENEW: Duration = Duration::from_secs(5);

/// Merges a view that enough have voted for, on a thread of its own.
fn merge_voted(core: &Weak<Cortex>, view: Arc<View>) {
    let core = core.clone();
    std::thread::spawn(move || {
        let Some(core) = core.upgrade() else { return };
        let done = core.stack.merge_voted(&view, |parent, edits, meta| {
            let edits = edits.into_iter().map(crate::libs::view::to_storm).collect();
            core.store(parent.clone()).apply(edits, meta.into()).map(drop)
        });
        if let Err(error) = done {
            tracing::error!(view = &**view.iden(), %error, "a merge that was voted for ended early");
        }
    });
}

/// Renews the tokens of users at other services while the cortex is the leader.
fn renew_tokens(core: &Arc<Cortex>) {
    let (weak, done) = (Arc::downgrade(core), core.cell.done().clone());
    crate::wait::spawn(async move {
        loop {
            tokio::select! {
                () = done.cancelled() => return,
                () = tokio::time::sleep(RENEW) => {}
            }
            let Some(core) = weak.upgrade() else { return };
            let renew = move || {
                if !core.cell.is_active() || !core.oauth.has_clients() {
                    return Ok(());
                }
                let alive = |iden: &str| match core.cell.auth().user(iden) {
                    None => Err("User does not exist".to_owned()),
                    Some(user) if user.is_locked() => Err("User is locked".to_owned()),
                    Some(_) => Ok(()),
                };
                let host: Arc<dyn myelin_storm::Host> = core.clone();
                core.oauth.refresh_due(&host, alive)
            };
            if let Ok(Err(error)) = tokio::task::spawn_blocking(renew).await {
                tracing::warn!(%error, "tokens could not be renewed");
            }
        }
    });
}

/// Starts it now and whenever the cortex becomes leader; stops it when it ceases to be.
pub fn begin(core: &Arc<Cortex>) {
    let weak = Arc::downgrade(core);
    core.cell.on_active(Arc::new(move |active| {
        let Some(core) = weak.upgrade() else { return };
        let runs = active && !core.cell.conf().is_on("safemode");
        core.dmons.set_active(&weak, runs);
        core.cron.set_active(&weak, runs);
        if runs {
            for view in core.stack.undone_merges() {
                merge_voted(&weak, view);
            }
        }
    }));
    let weak = Arc::downgrade(core);
    core.stack.on_merge_decided(Arc::new(move |view| {
        if weak.upgrade().is_some_and(|core| core.cell.is_active()) {
            merge_voted(&weak, view.clone());
        }
    }));
    renew_tokens(core);
    crate::parts::trigq::supervise(core);
    crate::sync::supervise(core);
    let core = core.clone();
    crate::wait::spawn(async move {
        for svc in core.services.list() {
            if let Err(error) = core.services.connect(&svc, None).await {
                tracing::info!(service = svc.name, %error, "a service cannot be reached yet");
            }
        }
    });
}
