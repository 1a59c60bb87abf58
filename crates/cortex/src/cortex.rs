//! The cortex: a cell with a model, layers and views, and the parts that Storm speaks about.
//!
//! Opening goes in this order, since each step needs the one before: the cell, the model (built in, then the operator's
//! files), layers and views, the parts with what was added to the model, then [`Cell::start`], which applies again what the
//! log has and the slabs lack. Only then is the cortex shared with anyone.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use myelin_cell::{ApplyCx, Cell, CellSpec, HasSum};
use myelin_error::{Result, err};
use myelin_graph::View;
use myelin_model::{Model, load_model_json};
use myelin_slab::tables::SafeKeyVal;
use myelin_slab::{Options, WriteCx};
use myelin_value::{Map, Value};

use crate::conf::CORTEX_CONFS;
use crate::parts::cron::Cron;
use crate::parts::dmons::Dmons;
use crate::parts::extmodel::{InUse, ModelExt};
use crate::parts::graphs::Graphs;
use crate::parts::httpapi::HttpApis;
use crate::parts::macros::Macros;
use crate::parts::oauth::Oauth;
use crate::parts::packages::Packages;
use crate::parts::pool::Pool;
use crate::parts::queues::Queues;
use crate::parts::services::Services;
use crate::parts::stores::Stores;
use crate::parts::tagmodel::TagModel;
use crate::parts::triggers::{self, Triggers};
use crate::parts::trigq::{self, TrigQueues};
use crate::parts::vars::Vars;
use crate::parts::vaults::Vaults;
use crate::parts::{Part, Parts, Pusher};
use crate::stack::{Hooks, Stack, StackPart};

/// What a cortex is among services.
pub const SPEC: CellSpec =
    CellSpec { celltype: "cortex", confs: CORTEX_CONFS, envprefixes: &["SYN_CORTEX"], version: [2, 256, 0] };

/// Storage versions of a new cortex, by name.
const VERSIONS: &[(&str, i64)] = &[("cortex:defaults", 2), ("cortex:extmodel", 1), ("cortex:storage", 8)];

/// A cortex.
pub struct Cortex {
    /// What every service has.
    pub cell: Cell,
    /// The data model as it is now.
    pub model: Arc<ArcSwap<Model>>,
    /// Layers and views.
    pub stack: Arc<Stack>,
    /// Global variables.
    pub vars: Arc<Vars>,
    /// Queues.
    pub queues: Arc<Queues>,
    /// What users added to the model.
    pub ext: Arc<ModelExt>,
    /// Macros.
    pub macros: Arc<Macros>,
    /// Graph projections.
    pub graphs: Arc<Graphs>,
    /// What tags may look like.
    pub tagmodel: Arc<TagModel>,
    /// The Extended HTTP API.
    pub httpapis: Arc<HttpApis>,
    /// Tokens of users at other services.
    pub oauth: Arc<Oauth>,
    /// Mirrors that take queries.
    pub pool: Arc<Pool>,
    /// Packages.
    pub packages: Arc<Packages>,
    /// Queries that run at their time.
    pub cron: Arc<Cron>,
    /// Queries that run in the background.
    pub dmons: Arc<Dmons>,
    /// Other services.
    pub services: Arc<Services>,
    /// Files and documents.
    pub stores: Stores,
    /// Vaults.
    pub vaults: Arc<Vaults>,
    /// Triggers.
    pub triggers: Arc<Triggers>,
    /// Triggers that wait for their turn.
    pub trigqueues: Arc<TrigQueues>,
    /// Called with each package that was added, once the cortex runs.
    on_package: Arc<OnceLock<PackageHook>>,
}

/// The versions of a cortex whose directory can be read: from the first on, up to before the second.
const STORED_VERSIONS: ([i64; 3], [i64; 3]) = ([0, 2, 0], [3, 0, 0]);

fn dotted(version: &[i64]) -> String {
    version.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
}

/// What is done with a package that was added.
pub type PackageHook = Box<dyn Fn(Arc<Map>) + Send + Sync>;

impl Cortex {
    /// Opens the directory of a cortex, and makes it if it is not there. Blocks.
    ///
    /// # Errors
    /// What the directory, its configuration or its storage is wrong with; each names the place.
    pub fn open(dirn: &Path, conf: Map) -> Result<Arc<Cortex>> {
        let cell = Cell::open(SPEC, dirn, conf)?;
        let opened = Cortex::build(cell.clone());
        opened.inspect_err(|_| drop(cell.fini()))
    }

    fn build(cell: Cell) -> Result<Arc<Cortex>> {
        Cortex::check_version(&cell)?;
        for (name, newest) in VERSIONS {
            // What later versions of the original tidy up is read here as it is.
            cell.check_storage(name, 0, *newest)?;
        }
        let model = Arc::new(ArcSwap::from_pointee(first_model(&cell)?));
        let stor = SafeKeyVal::open(cell.slab(), "cortex")?;
        let pusher = Pusher::new(cell.nexus().clone(), cell.iden());
        let auth = cell.auth().clone();

        let stack = Stack::new(cell.clone(), stor.clone(), pusher.clone())?;
        let triggers = Arc::new(Triggers::new(stor.clone(), auth.clone()));
        let trigqueues = Arc::new(TrigQueues::new(cell.clone()));
        stack.set_hooks(trigger_hooks(&triggers, &trigqueues));
        stack.boot()?;
        for view in stack.views() {
            triggers.load(cell.slab(), view.iden())?;
            trigqueues.load(view.iden())?;
        }

        let queue_slab = cell.open_slab("slabs/queues.lmdb", Options::default())?;
        let graph_slab = cell.open_slab("slabs/graphs.lmdb", Options::default())?;
        let vars = Arc::new(Vars::new(cell.slab().clone(), stor.clone(), pusher.clone()));
        let queues = Arc::new(Queues::open(queue_slab, auth.clone(), pusher.clone())?);
        let in_use: Arc<dyn InUse> = Arc::new(StackInUse(stack.clone()));
        let ext = ModelExt::open(cell.slab().clone(), stor.clone(), model.clone(), in_use, pusher.clone())?;
        let ext = Arc::new(ext);
        let macros = Arc::new(Macros::open(cell.slab().clone(), auth.clone(), pusher.clone())?);
        let graphs = Arc::new(Graphs::open(&graph_slab, auth.clone(), pusher.clone())?);
        let tagmodel = Arc::new(TagModel::open(cell.slab(), &stor, pusher.clone())?);
        let httpapis = Arc::new(HttpApis::open(cell.slab().clone(), auth.clone(), stack.clone(), pusher.clone())?);
        let oauth = Arc::new(Oauth::open(cell.slab().clone(), pusher.clone())?);
        let pool = Arc::new(Pool::open(cell.slab().clone(), pusher.clone())?);
        let vaults = Arc::new(Vaults::open(cell.slab().clone(), auth, pusher.clone())?);
        let on_package: Arc<OnceLock<PackageHook>> = Arc::default();
        let hook = on_package.clone();
        let on_add = Box::new(move |pkgdef: &Arc<Map>| {
            if let Some(hook) = hook.get() {
                hook(pkgdef.clone());
            }
        });
        let packages = Arc::new(Packages::open(cell.slab(), &stor, model.clone(), on_add, pusher.clone())?);
        let cron = Arc::new(Cron::open(cell.slab(), &stor, cell.auth().clone(), pusher.clone())?);
        let dmons = Arc::new(Dmons::open(cell.slab(), &stor, cell.auth().clone(), pusher.clone())?);
        let services = Arc::new(Services::open(cell.slab(), &stor, packages.clone(), pusher)?);

        let parts: [Arc<dyn Part>; 15] = [
            Arc::new(StackPart(stack.clone())),
            vars.clone(),
            queues.clone(),
            ext.clone(),
            macros.clone(),
            graphs.clone(),
            tagmodel.clone(),
            packages.clone(),
            vaults.clone(),
            cron.clone(),
            dmons.clone(),
            services.clone(),
            httpapis.clone(),
            oauth.clone(),
            pool.clone(),
        ];
        cell.nexus().add_handler(cell.iden(), Arc::new(Parts::new(&cell, parts)));
        let stores = Stores::open(&cell)?;
        let layers = stack.clone();
        cell.add_sums(Arc::new(move || {
            let sum = |layer: Arc<myelin_graph::Layer>| -> (String, Arc<dyn HasSum>) {
                (format!("layer:{}", layer.iden()), Arc::new(LayerSum(layer)))
            };
            layers.layers().into_iter().map(sum).collect()
        }));
        let core = Cortex {
            cell,
            model,
            stack,
            vars,
            queues,
            ext,
            macros,
            graphs,
            tagmodel,
            httpapis,
            oauth,
            pool,
            packages,
            cron,
            dmons,
            services,
            stores,
            vaults,
            triggers,
            trigqueues,
            on_package,
        };
        core.first_boot()?;
        core.cell.start()?;
        core.stack.check_models()?;
        let core = Arc::new(core);
        crate::background::begin(&core);
        Ok(core)
    }

    /// Refuses a directory of a cortex whose version is none that this build reads.
    fn check_version(cell: &Cell) -> Result<()> {
        if cell.is_inaugural() {
            return Ok(());
        }
        let stored = cell.info_table().get(&cell.slab().read_fresh()?, "cortex:version")?;
        let parts: Option<Vec<i64>> =
            stored.as_ref().and_then(Value::as_list).and_then(|parts| parts.iter().map(Value::as_i64).collect());
        let (oldest, beyond) = STORED_VERSIONS;
        let todo = match parts.as_deref() {
            Some(parts) if parts >= &beyond[..] => "start it with the newer version that wrote it",
            Some(parts) if parts >= &oldest[..] => return Ok(()),
            _ => "start it once with version 2.256 of the original, which brings it up to that",
        };
        let dirn = cell.dirn().display();
        let have = parts.map_or("none that is known".to_owned(), |parts| dotted(&parts));
        let mesg = format!("The version of the cortex in {dirn} is {have}, which this build does not read: {todo}.");
        let reqver = format!(">={},<{}", dotted(&oldest), dotted(&beyond));
        Err(err!("BadStorageVersion", mesg = mesg, valu = stored, reqver = reqver))
    }

    /// What a new cortex has that comes through no event.
    fn first_boot(&self) -> Result<()> {
        if !self.cell.is_inaugural() {
            return Ok(());
        }
        self.cell.writer().run(|cx| {
            for (name, vers) in VERSIONS {
                self.cell.vers_table().set(cx, name, &Value::from(*vers))?;
            }
            self.cell.info_table().set(cx, "cortex:version", &Value::from(SPEC.version))?;
            // There is nothing in it yet that would have to be repaired.
            self.vars.init(cx, crate::libs::hotfix::APPLIED, &crate::libs::hotfix::latest())?;
            // A gate that no permission is checked on; the original has it, so its tools expect it.
            self.cell.auth().add_gate(&mut ApplyCx::direct(cx), "cortex", "cortex")?;
            self.ext.init_locks(cx)
        })
    }

    /// Sets what is done with each package that is added from now on. Only the first call counts.
    pub fn on_package(&self, hook: PackageHook) {
        drop(self.on_package.set(hook));
    }

    /// The data model as it is now.
    pub fn model(&self) -> Arc<Model> {
        self.model.load_full()
    }

    /// The view a user works in who names none: the one in its profile, else the default.
    ///
    /// # Errors
    /// `NoSuchView` when the one in the profile is gone.
    pub fn view_of(&self, user: &myelin_cell::User) -> Result<Arc<View>> {
        match self.cell.auth().user_value("profile", user.iden(), "cortex:view")? {
            Some(Value::Str(iden)) => self.stack.require_view(&iden),
            _ => self.stack.default_view(),
        }
    }

    /// Ends the cortex: what is written is committed and closed. Blocks.
    ///
    /// # Errors
    /// What closing a slab fails with.
    pub fn fini(&self) -> Result<()> {
        self.cell.fini()
    }
}

/// Lets the stack hand on what concerns the triggers of a view.
fn trigger_hooks(triggers: &Arc<Triggers>, queues: &Arc<TrigQueues>) -> Hooks {
    let (applies, drops) = (triggers.clone(), triggers.clone());
    let (queued, unqueued) = (queues.clone(), queues.clone());
    Hooks {
        view_deleted: Some(Arc::new(move |cx, view| {
            unqueued.drop_view(cx, view.iden())?;
            drops.drop_view(cx, view.iden())
        })),
        view_event: Some(Arc::new(move |cx, view, event| {
            if trigq::EVENTS.contains(&event.name.as_str()) {
                return queued.apply(cx, view, event);
            }
            applies.apply(cx, view, event)
        })),
        view_events: triggers::EVENTS,
        ..Hooks::default()
    }
}

/// The model that ships with this build and what the operator's files add to it.
fn first_model(cell: &Cell) -> Result<Model> {
    let mut model = Model::builtin()?;
    let paths = cell.conf().get("cortex:models");
    for path in paths.as_list().unwrap_or_default() {
        let path = path.as_str().ok_or_else(|| {
            err!("BadConfValu", mesg = "The option cortex:models is a list of file names.", name = "cortex:models")
        })?;
        let text = std::fs::read(path).map_err(|error| {
            err!(
                "NoSuchFile",
                mesg = format!("The model file {path} of cortex:models cannot be read: {error}."),
                path = path
            )
        })?;
        let file = load_model_json(&text).map_err(|error| error.with("path", path))?;
        for skipped in &file.skipped {
            tracing::warn!(path, "a part of the model file is left out: {skipped}");
        }
        model.add_data_models(&file.defs).map_err(|error| error.with("path", path))?;
    }
    for module in cell.conf().get("modules").as_list().unwrap_or_default() {
        tracing::warn!("the option modules names {module:?}: Python modules cannot be loaded here; see cortex:models");
    }
    Ok(model)
}

/// What a layer holds, as mirrors compare it.
struct LayerSum(Arc<myelin_graph::Layer>);

impl HasSum for LayerSum {
    fn state_sum(&self, next: Option<u64>) -> Option<u64> {
        self.0.state_sum(next)
    }

    fn count_sum(&self) -> Result<()> {
        self.0.count_sum()
    }
}

/// Asks every layer's counts.
struct StackInUse(Arc<Stack>);

impl StackInUse {
    fn find(&self, cx: &mut WriteCx, used: impl Fn(&myelin_graph::Layer) -> Result<u64>) -> Result<Option<Arc<str>>> {
        for layer in self.0.layers() {
            // Counts are of what is committed.
            let [rows, ..] = layer.slabs();
            cx.commit(rows)?;
            if used(&layer)? > 0 {
                return Ok(Some(layer.iden().clone()));
            }
        }
        Ok(None)
    }
}

impl InUse for StackInUse {
    fn form(&self, cx: &mut WriteCx, form: &str) -> Result<Option<Arc<str>>> {
        self.find(cx, |layer| layer.prop_count(Some(form), None))
    }

    fn prop(&self, cx: &mut WriteCx, form: Option<&str>, prop: &str) -> Result<Option<Arc<str>>> {
        self.find(cx, |layer| layer.prop_count(form, Some(prop)))
    }

    fn tagprop(&self, cx: &mut WriteCx, name: &str) -> Result<Option<Arc<str>>> {
        self.find(cx, |layer| {
            // Names stay behind when the last value goes: the rows are what counts.
            let mut rows = 0;
            for (form, tag, prop) in layer.tag_props() {
                if prop == name {
                    rows += layer.tagprop_count(form.as_deref(), &tag, &prop)?;
                }
            }
            Ok(rows)
        })
    }
}
