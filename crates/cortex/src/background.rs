//! What a cortex does of its own accord while it is the leader.

use std::sync::Arc;

use crate::Cortex;

/// Starts it now and whenever the cortex becomes leader; stops it when it ceases to be.
pub fn begin(core: &Arc<Cortex>) {
    let weak = Arc::downgrade(core);
    core.cell.on_active(Arc::new(move |active| {
        let Some(core) = weak.upgrade() else { return };
        let runs = active && !core.cell.conf().is_on("safemode");
        core.dmons.set_active(&weak, runs);
        core.cron.set_active(&weak, runs);
    }));
    let core = core.clone();
    crate::wait::spawn(async move {
        for svc in core.services.list() {
            if let Err(error) = core.services.connect(&svc, None).await {
                tracing::info!(service = svc.name, %error, "a service cannot be reached yet");
            }
        }
    });
}
