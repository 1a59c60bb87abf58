//! A host for tests: one view on one layer in a temporary directory, the shipped model, a super user.
//!
//! ```ignore
//! let bench = Bench::new();
//! let said = bench.storm("[inet:fqdn=vertex.link] $lib.print($node.repr())");
//! assert_eq!(said.prints(), ["vertex.link"]);
//! ```

use std::any::Any;
use std::sync::{Arc, OnceLock};

use myelin_error::{Error, Result};
use myelin_graph as graph;
use myelin_model::{Model, NormCx};
use myelin_slab::Writer;
use myelin_value::{Map, Value};
use parking_lot::{Mutex, RwLock};

use crate::host::{Host, Root, User};
use crate::registry::Registry;
use crate::rt::{Cancel, Sink};
use crate::run::{StormQuery, on_big_stack};
use crate::store::View;
use crate::store_graph::GraphView;

/// The host of tests.
pub struct BenchHost {
    registry: Arc<Registry>,
    model: Arc<RwLock<Arc<Model>>>,
    view: View,
    layer: Arc<graph::Layer>,
}

/// The shipped model, built once.
///
/// # Panics
/// When the shipped model does not build.
pub fn shipped_model() -> Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    MODEL.get_or_init(|| Arc::new(Model::builtin().expect("the shipped model builds"))).clone()
}

impl Host for BenchHost {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    fn model(&self) -> Arc<Model> {
        self.model.read().clone()
    }

    fn norm_cx(&self) -> NormCx {
        NormCx::new(self.model())
    }

    fn view(&self, iden: &str) -> Option<View> {
        (*self.view.iden() == *iden).then(|| self.view.clone())
    }

    fn default_view(&self, _user: &dyn User) -> Result<View> {
        Ok(self.view.clone())
    }
}

/// A host with its directory, and helpers to run queries on it.
pub struct Bench {
    host: Arc<BenchHost>,
    writer: OwnWriter,
    dir: tempfile::TempDir,
}

/// The messages of a query.
#[derive(Clone, Debug, Default)]
pub struct Said(pub Vec<(String, Value)>);

impl Said {
    fn texts(&self, kind: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(have, _)| have == kind);
        found.filter_map(|(_, info)| Some(info.get("mesg")?.as_str()?.to_owned())).collect()
    }

    /// What was printed.
    pub fn prints(&self) -> Vec<String> {
        self.texts("print")
    }

    /// The warnings.
    pub fn warns(&self) -> Vec<String> {
        self.texts("warn")
    }

    /// The packed nodes.
    pub fn nodes(&self) -> Vec<Value> {
        self.0.iter().filter(|(kind, _)| kind == "node").map(|(_, pode)| pode.clone()).collect()
    }

    /// The nodes as `form=value`.
    pub fn ndefs(&self) -> Vec<String> {
        let text = |pode: &Value| {
            let ndef = pode.at(0)?;
            Some(format!("{}={}", ndef.at(0)?.as_str()?, myelin_model::types::py::str_text(ndef.at(1)?)))
        };
        self.nodes().iter().filter_map(text).collect()
    }

    /// The error that ended the query.
    pub fn error(&self) -> Option<Error> {
        self.0.iter().find(|(kind, _)| kind == "err").map(|(_, info)| Error::unpack(info))
    }
}

/// A sink that keeps the messages.
#[derive(Default)]
pub struct Collect(Mutex<Said>);

impl Sink for Collect {
    fn send(&self, kind: &str, info: Value) -> Result<()> {
        self.0.lock().0.push((kind.to_owned(), info));
        Ok(())
    }
}

impl Collect {
    /// The messages so far.
    pub fn said(&self) -> Said {
        self.0.lock().clone()
    }
}

impl Bench {
    /// A fresh host with the libraries and commands of this crate.
    #[expect(clippy::new_without_default, reason = "makes a directory and a thread")]
    pub fn new() -> Bench {
        Bench::with_registry(Registry::builtin())
    }

    /// A fresh host with a registry of one's own.
    ///
    /// # Panics
    /// When a layer cannot be made.
    pub fn with_registry(registry: Registry) -> Bench {
        Bench::with_model(registry, shipped_model())
    }

    /// A fresh host with a model of one's own.
    ///
    /// # Panics
    /// When a layer cannot be made.
    pub fn with_model(registry: Registry, model: Arc<Model>) -> Bench {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let writer = Writer::start("storm-test").expect("a writer");
        let (view_iden, layer_iden) = ("1".repeat(32), "2".repeat(32));
        let info = Map::new().with("iden", layer_iden.as_str());
        let layer = graph::Layer::open(&writer, &dir.path().join("layer"), info).expect("a layer");
        let info = Map::new().with("iden", view_iden.as_str());
        let view = graph::View::new(info, vec![layer.clone()]).expect("a view");
        let model = Arc::new(RwLock::new(model));
        let seen = model.clone();
        let view = GraphView::new(view, Arc::new(move || seen.read().clone()));
        let host = BenchHost { registry: Arc::new(registry), model, view, layer };
        Bench { host: Arc::new(host), writer: OwnWriter(writer), dir }
    }

    /// Goes on in a fork: what was stored so far lies in a layer below a new, empty one.
    ///
    /// # Panics
    /// When a layer cannot be made.
    #[must_use]
    pub fn forked(self) -> Bench {
        let info = Map::new().with("iden", "4".repeat(32));
        let layer = graph::Layer::open(&self.writer.0, &self.dir.path().join("fork"), info).expect("a layer");
        let info = Map::new().with("iden", "5".repeat(32));
        let view = graph::View::new(info, vec![layer.clone(), self.host.layer.clone()]).expect("a view");
        let seen = self.host.model.clone();
        let view = GraphView::new(view, Arc::new(move || seen.read().clone()));
        let (registry, model) = (self.host.registry.clone(), self.host.model.clone());
        Bench { host: Arc::new(BenchHost { registry, model, view, layer }), ..self }
    }

    /// Replaces the model.
    pub fn set_model(&self, model: Model) {
        *self.host.model.write() = Arc::new(model);
    }

    /// The model.
    pub fn model(&self) -> Arc<Model> {
        self.host.model.read().clone()
    }

    /// A query ready to run.
    pub fn query(&self, text: &str, opts: Map) -> StormQuery {
        StormQuery {
            host: self.host.clone(),
            view: self.host.view.clone(),
            user: Arc::new(Root::new("0".repeat(32))),
            text: text.to_owned(),
            opts,
            cancel: Arc::new(Cancel::default()),
            task: "3".repeat(32),
        }
    }

    /// Runs a query.
    pub fn storm(&self, text: &str) -> Said {
        self.storm_opts(text, Map::new())
    }

    /// Runs a query with options.
    ///
    /// # Panics
    /// When the options are bad.
    pub fn storm_opts(&self, text: &str, opts: Map) -> Said {
        let (query, sink) = (self.query(text, opts), Arc::new(Collect::default()));
        let held = sink.clone();
        on_big_stack(move || query.run(held)).expect("the query runs");
        sink.said()
    }

    /// The value that a query returns.
    ///
    /// # Errors
    /// Those of the query.
    pub fn call(&self, text: &str) -> Result<Value> {
        self.call_opts(text, Map::new())
    }

    /// The value that a query with options returns.
    ///
    /// # Errors
    /// Those of the query.
    pub fn call_opts(&self, text: &str, opts: Map) -> Result<Value> {
        let query = self.query(text, opts);
        on_big_stack(move || query.call(Arc::new(Collect::default())))
    }
}

/// The writer of a bench, which ends with it.
struct OwnWriter(Writer);

impl Drop for OwnWriter {
    fn drop(&mut self) {
        let _ = self.0.fini();
    }
}
