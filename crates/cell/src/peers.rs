//! What a service asks the other members of its cluster, by way of AHA.

use std::time::Duration;

use futures::StreamExt;
use myelin_error::Result;
use myelin_telepath::{Todo, ValueStream};
use myelin_value::Value;

use crate::Cell;

impl Cell {
    /// This service's full name in AHA.
    pub(crate) fn aha_full_name(&self) -> Option<String> {
        Some(format!("{}.{}", self.aha_name()?, self.conf().str("aha:network")?))
    }

    /// A task of this service, with its place.
    pub(crate) fn own_task(&self, iden: &str) -> Option<Value> {
        let service = self.aha_full_name().map_or(Value::Null, Value::from);
        self.boss().get(iden).map(|task| task.packv2().with("service", service).into())
    }

    /// The tasks of this service, with their place.
    pub(crate) fn own_tasks(&self) -> Vec<Value> {
        let service = self.aha_full_name().map_or(Value::Null, Value::from);
        self.boss().ps().iter().map(|task| task.packv2().with("service", service.clone()).into()).collect()
    }

    /// Has AHA call all other members, by `callAhaPeerApi` or `callAhaPeerGenr`. Members that fail are logged and left out;
    /// without AHA there are none.
    ///
    /// # Errors
    /// What asking AHA fails with.
    pub(crate) async fn call_peers(&self, how: &str, todo: Value, timeout: Option<Duration>) -> Result<ValueStream> {
        let Some(client) = self.inner().aha.get() else { return Ok(futures::stream::empty().boxed()) };
        let proxy = client.proxy(timeout).await?;
        if !proxy.has_feature("callpeers", 1) {
            return Ok(futures::stream::empty().boxed());
        }
        let secs = timeout.map_or(Value::Null, |timeout| Value::from(timeout.as_secs_f64()));
        let asked = Todo::new(how).arg(self.iden()).arg(todo).kw("timeout", secs).kw("skiprun", self.run_id());
        let answers = proxy.genr(asked).await?.into_stream();
        Ok(answers
            .filter_map(async |answer| match answer {
                Err(error) => Some(Err(error)),
                Ok(answer) => {
                    let (member, retn) = (answer.at(0).cloned(), answer.at(1).cloned().unwrap_or_default());
                    if retn.at(0) == Some(&Value::Bool(true)) {
                        return retn.at(1).cloned().map(Ok);
                    }
                    tracing::warn!(?member, error = ?retn.at(1), "a member of the cluster could not be asked");
                    None
                }
            })
            .boxed())
    }
}
