//! The layers and views of a cortex: which there are, how they are stacked, and the records that say so.
//!
//! Records lie under `layer:info:<iden>` and `view:info:<iden>` of the table `cortex`; the rows of a layer under
//! `layers/<iden>`. A fork's record holds all its layers, its own first. [`Stack`] is the part of the cortex that applies
//! the events of both; events of one view or layer go to [`views`] and [`layers`].
//!
//! Invariants: a view has a layer at least; the default view is never deleted; a layer in use by a view is not deleted.

mod layers;
mod views;
mod votes;

use std::sync::Arc;

use indexmap::IndexMap;
use myelin_cell::{ApplyCx, Cell, Event, NexsHandler, User};
use myelin_error::{Result, err};
use myelin_graph::{Layer, View};
use myelin_slab::tables::SafeKeyVal;
use myelin_slab::{Table, WriteCx};
use myelin_value::{Map, Value, rand_guid};
use parking_lot::RwLock;

use crate::follow::{LayerChange, Stir};
use crate::parts::{Part, Pusher, now_millis};
use crate::schemas;

pub use layers::LayerHandler;
pub use views::ViewHandler;

/// The version of the data model that new layers are stamped with.
pub const MODEL_VERSION: [i64; 3] = [0, 2, 37];

/// Every layer and view of a cortex.
pub struct Stack {
    cell: Cell,
    stor: SafeKeyVal,
    /// What is kept of merges.
    meta: Table,
    pusher: Pusher,
    layers: RwLock<IndexMap<Arc<str>, Arc<Layer>>>,
    views: RwLock<IndexMap<Arc<str>, Arc<View>>>,
    default_view: RwLock<Option<Arc<View>>>,
    hooks: RwLock<Hooks>,
    /// Layers that came and went since the boot.
    changes: RwLock<Vec<LayerChange>>,
    stir: Stir,
}

/// What the rest of the cortex hears of.
#[derive(Default, Clone)]
pub struct Hooks {
    /// A view was opened (also at boot), on the writer thread; `None` as context at boot.
    pub view_opened: Option<Opened<View>>,
    /// A view was deleted, on the writer thread.
    pub view_deleted: Option<ViewDeleted>,
    /// Handles events of a view that this part does not know (triggers, merge requests).
    pub view_event: Option<ViewEvent>,
    /// The names of those events.
    pub view_events: &'static [&'static str],
    /// A layer was opened (also at boot).
    pub layer_opened: Option<Opened<Layer>>,
    /// Enough voted for the merge of a view, on the writer thread.
    pub merge_decided: Option<Opened<View>>,
}

/// Called when a view or layer was opened.
pub type Opened<T> = Arc<dyn Fn(&Arc<T>) + Send + Sync>;
/// Called when a view was deleted.
pub type ViewDeleted = Arc<dyn Fn(&mut ApplyCx<'_>, &Arc<View>) -> Result<()> + Send + Sync>;
/// Applies an event of a view.
pub type ViewEvent = Arc<dyn Fn(&mut ApplyCx<'_>, &Arc<View>, &Event) -> Result<Value> + Send + Sync>;

impl Stack {
    /// An empty stack; [`Stack::boot`] fills it.
    ///
    /// # Errors
    /// What opening a table fails with.
    pub fn new(cell: Cell, stor: SafeKeyVal, pusher: Pusher) -> Result<Arc<Stack>> {
        let meta = cell.slab().table("view:meta", false)?;
        Ok(Arc::new(Stack {
            cell,
            stor,
            meta,
            pusher,
            layers: RwLock::default(),
            views: RwLock::default(),
            default_view: RwLock::default(),
            hooks: RwLock::default(),
            changes: RwLock::default(),
            stir: Stir::default(),
        }))
    }

    /// Sets what the rest of the cortex hears of; before [`Stack::boot`].
    pub fn set_hooks(&self, hooks: Hooks) {
        *self.hooks.write() = hooks;
    }

    /// Sets what begins a merge that was voted for.
    pub fn on_merge_decided(&self, hook: Opened<View>) {
        self.hooks.write().merge_decided = Some(hook);
    }

    /// Opens every layer and view; the first boot makes one of each, outside of the log, as the original does. Blocks.
    pub fn boot(self: &Arc<Stack>) -> Result<()> {
        let txn = self.cell.slab().read_fresh()?;
        let layers = self.stor.sub("layer:info:").items(&txn, "")?;
        let views = self.stor.sub("view:info:").items(&txn, "")?;
        let default = self.cell.info_table().get(&txn, "defaultview")?;
        drop(txn);
        for (_, ldef) in layers {
            let ldef = ldef.as_map().cloned().unwrap_or_default();
            let dir = self.layer_dir(ldef.get_str("iden").unwrap_or_default());
            let layer = Layer::open(self.cell.writer(), &dir, ldef)?;
            self.adopt_layer(layer);
        }
        for (_, vdef) in views {
            self.load_view(vdef.as_map().cloned().unwrap_or_default())?;
        }
        self.link_parents();
        if self.views.read().is_empty() {
            let stack = self.clone();
            self.cell.writer().run(move |cx| stack.make_first(&mut ApplyCx::direct(cx)))?;
        } else {
            let iden = default.as_ref().and_then(Value::as_str).unwrap_or_default();
            let view = self.view(iden).ok_or_else(|| {
                err!("BadCoreStore", mesg = format!("The default view {iden} of this cortex is missing."), iden = iden)
            })?;
            *self.default_view.write() = Some(view);
        }
        Ok(())
    }

    fn make_first(self: &Arc<Stack>, cx: &mut ApplyCx<'_>) -> Result<()> {
        let root = self.cell.auth().root()?;
        let ldef = self.new_ldef(Map::new().with("name", "default"), &root);
        let layer = ldef.get_str("iden").unwrap_or_default().to_owned();
        self.apply_layer_add(cx, ldef)?;
        self.allow_all(cx, &["layer", "read"], &layer)?;
        let vdef = Map::new().with("name", "default").with("layers", [layer]).with("worldreadable", true);
        let vdef = self.new_vdef(vdef, &root);
        let iden = vdef.get_str("iden").unwrap_or_default().to_owned();
        self.apply_view_add(cx, vdef)?;
        self.cell.info_table().set(cx, "defaultview", &Value::from(iden.as_str()))?;
        *self.default_view.write() = self.view(&iden);
        Ok(())
    }

    /// Gives a permission on a gate to everybody.
    fn allow_all(&self, cx: &mut ApplyCx<'_>, perm: &[&str], gate: &str) -> Result<()> {
        let role = self.cell.auth().all_role()?;
        let rule = Value::list([Value::from(true), perm.iter().map(|part| Value::from(*part)).collect()]);
        let mut rules = role.rules(Some(gate));
        rules.push(rule);
        self.cell.auth().apply_role_info(cx, role.iden(), "rules", Value::from(rules), Some(gate))
    }

    fn layer_dir(&self, iden: &str) -> std::path::PathBuf {
        self.cell.dirn().join("layers").join(iden)
    }

    // ---- finding

    /// A layer by iden; the cortex's own iden means the default view's.
    pub fn layer(&self, iden: &str) -> Option<Arc<Layer>> {
        if iden == self.cell.iden() {
            return Some(self.default_view().ok()?.write_layer());
        }
        self.layers.read().get(iden).cloned()
    }

    /// A layer that must be there.
    ///
    /// # Errors
    /// `NoSuchLayer`.
    pub fn require_layer(&self, iden: &str) -> Result<Arc<Layer>> {
        self.layer(iden).ok_or_else(|| err!("NoSuchLayer", mesg = format!("There is no layer {iden}."), iden = iden))
    }

    /// Every layer, in the order they were made.
    pub fn layers(&self) -> Vec<Arc<Layer>> {
        self.layers.read().values().cloned().collect()
    }

    /// A view by iden; the cortex's own iden means the default view.
    pub fn view(&self, iden: &str) -> Option<Arc<View>> {
        if iden == self.cell.iden() {
            return self.default_view().ok();
        }
        self.views.read().get(iden).cloned()
    }

    /// A view that must be there.
    ///
    /// # Errors
    /// `NoSuchView`.
    pub fn require_view(&self, iden: &str) -> Result<Arc<View>> {
        self.view(iden).ok_or_else(|| err!("NoSuchView", mesg = format!("There is no view {iden}."), iden = iden))
    }

    /// Every view, in the order they were made.
    pub fn views(&self) -> Vec<Arc<View>> {
        self.views.read().values().cloned().collect()
    }

    /// The view of who names none.
    ///
    /// # Errors
    /// `NoSuchView` before the first boot is done.
    pub fn default_view(&self) -> Result<Arc<View>> {
        let view = self.default_view.read().clone();
        view.ok_or_else(|| err!("NoSuchView", mesg = "The cortex has no default view yet."))
    }

    /// The views directly below a view.
    pub fn children(&self, iden: &str) -> Vec<Arc<View>> {
        let views = self.views();
        views.into_iter().filter(|view| view.parent().is_some_and(|parent| &**parent.iden() == iden)).collect()
    }

    /// Whether a view is a fork, at any depth, of another.
    pub fn is_fork_of(view: &Arc<View>, iden: &str) -> bool {
        let mut at = view.parent();
        while let Some(view) = at {
            if &**view.iden() == iden {
                return true;
            }
            at = view.parent();
        }
        false
    }

    // ---- versions of the data model

    /// Looks at which version of the data model each layer was written with. A newer one is refused, and so is an older one
    /// that holds nodes, for only the original can migrate those; without nodes there is nothing to migrate, and the
    /// record moves on. Blocks.
    ///
    /// # Errors
    /// `CantRevLayer`, with what to do.
    pub fn check_models(&self) -> Result<()> {
        let ours = MODEL_VERSION.to_vec();
        for layer in self.layers() {
            let have = layer.info_get("model:version");
            let theirs: Vec<i64> = match have.as_ref().and_then(Value::as_list) {
                Some(parts) => parts.iter().filter_map(Value::as_i64).collect(),
                None => vec![-1, -1, -1],
            };
            if theirs == ours {
                continue;
            }
            let dotted = |vers: &[i64]| vers.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
            let refuse = |why: String| {
                let mesg = format!("The layer {} at {} {why}", layer.iden(), layer.dir().display());
                Err(err!(
                    "CantRevLayer",
                    mesg = mesg,
                    layer = layer.iden(),
                    curv = MODEL_VERSION,
                    layv = theirs.iter().map(|part| Value::from(*part)).collect::<Value>()
                ))
            };
            if theirs > ours {
                return refuse(format!(
                    "was written with the data model {}, which is newer than {} here: run it with a newer version.",
                    dotted(&theirs),
                    dotted(&ours)
                ));
            }
            if layer.sode_count()? > 0 {
                return refuse(format!(
                    "holds nodes of the data model {}: start Synapse 2.256 on the directory once, which migrates them to {}.",
                    dotted(&theirs),
                    dotted(&ours)
                ));
            }
            if self.cell.is_active() && !layer.is_readonly() {
                self.push_layer(&layer, "layer:set:modelvers", [Value::from(MODEL_VERSION)])?;
            }
        }
        Ok(())
    }

    // ---- word of changes

    /// Tells streams that something was stored.
    pub fn stir(&self) -> &Stir {
        &self.stir
    }

    /// How often layers came and went since the boot.
    pub fn layer_changes(&self) -> usize {
        self.changes.read().len()
    }

    /// The change with a number, if there was one.
    pub fn layer_change(&self, indx: usize) -> Option<LayerChange> {
        self.changes.read().get(indx).cloned()
    }

    fn note_change(&self, offs: u64, iden: &Arc<str>, added: bool) {
        self.changes.write().push(LayerChange { offs, iden: iden.clone(), added });
        self.stir.stir();
    }

    // ---- definitions

    /// Completes the record of a new layer.
    pub fn new_ldef(&self, mut ldef: Map, creator: &User) -> Map {
        ldef.insert("iden", rand_guid());
        ldef.insert("created", now_millis());
        let conf = self.cell.conf();
        for (key, valu) in [
            ("creator", Value::from(creator.iden())),
            ("lockmemory", conf.get("layers:lockmemory")),
            ("logedits", conf.get("layers:logedits")),
            ("readonly", Value::from(false)),
        ] {
            if !ldef.contains(key) {
                ldef.insert(key, valu);
            }
        }
        ldef
    }

    /// Completes the record of a new view.
    pub fn new_vdef(&self, mut vdef: Map, creator: &User) -> Map {
        vdef.insert("iden", rand_guid());
        vdef.insert("created", now_millis());
        for (key, valu) in [
            ("parent", Value::Null),
            ("worldreadable", Value::from(false)),
            ("protected", Value::from(false)),
            ("creator", Value::from(creator.iden())),
        ] {
            if !vdef.contains(key) {
                vdef.insert(key, valu);
            }
        }
        vdef
    }

    /// A layer as clients see it.
    pub fn pack_layer(layer: &Layer) -> Map {
        let mut info = layer.info();
        // Memory-mapped and on disk: what is used is what counts.
        info.insert("offset", layer.edit_indx());
        info.insert("totalsize", layer.used_bytes());
        info
    }

    /// A view as clients see it, its layers packed.
    pub fn pack_view(&self, view: &View) -> Map {
        let mut info = view.info();
        info.insert(
            "layers",
            view.layers().iter().map(|layer| Value::from(Stack::pack_layer(layer))).collect::<Value>(),
        );
        info
    }

    // ---- opening

    fn adopt_layer(self: &Arc<Stack>, layer: Arc<Layer>) {
        let iden = layer.iden().clone();
        layer.set_sink(Arc::new(layers::NexusSink::new(self.cell.nexus().clone(), self.stir.clone())));
        let handler: Arc<dyn NexsHandler> =
            Arc::new(LayerHandler::new(layer.clone(), self.stor.clone(), self.stir.clone()));
        self.cell.nexus().add_handler(&iden, handler);
        self.layers.write().insert(iden, layer.clone());
        if let Some(hook) = &self.hooks.read().layer_opened {
            hook(&layer);
        }
    }

    fn load_view(self: &Arc<Stack>, vdef: Map) -> Result<Arc<View>> {
        let idens = vdef.get("layers").and_then(Value::as_list).unwrap_or_default().to_vec();
        let layers =
            idens.iter().map(|iden| self.require_layer(iden.as_str().unwrap_or_default())).collect::<Result<_>>()?;
        let view = View::new(vdef, layers)?;
        std::fs::create_dir_all(self.cell.dirn().join("views").join(&**view.iden()))?;
        let handler: Arc<dyn NexsHandler> = Arc::new(ViewHandler::new(self, &view));
        self.cell.nexus().add_handler(view.iden(), handler);
        self.views.write().insert(view.iden().clone(), view.clone());
        if let Some(hook) = &self.hooks.read().view_opened {
            hook(&view);
        }
        Ok(view)
    }

    /// Parents are views too, so they can only be found once all are open.
    fn link_parents(&self) {
        for view in self.views() {
            let parent = view.info_get("parent").and_then(|iden| self.view(iden.as_str()?));
            view.set_parent(parent);
        }
    }

    fn save_view(&self, cx: &mut WriteCx, view: &View, info: Map) -> Result<()> {
        self.stor.sub("view:info:").set(cx, view.iden(), &Value::from(info.clone()))?;
        view.set_info(info);
        Ok(())
    }

    // ---- changing

    /// Adds a layer.
    pub fn add_layer(&self, ldef: Map, creator: &User) -> Result<Map> {
        check_text(&ldef, &["name", "desc"])?;
        let packed = self.pusher.push("layer:add", [self.new_ldef(ldef, creator).into()])?;
        Ok(packed.as_map().cloned().unwrap_or_default())
    }

    /// Deletes a layer that no view uses.
    pub fn del_layer(&self, iden: &str) -> Result<()> {
        self.require_layer(iden)?;
        self.pusher.push("layer:del", [iden.into()]).map(drop)
    }

    /// Copies a layer as it is.
    pub fn clone_layer(&self, iden: &str, mut ldef: Map, creator: &User) -> Result<Map> {
        self.require_layer(iden)?;
        ldef.insert("iden", rand_guid());
        ldef.insert("creator", creator.iden());
        let packed = self.pusher.push("layer:clone", [iden.into(), ldef.into()])?;
        Ok(packed.as_map().cloned().unwrap_or_default())
    }

    /// Puts a new empty layer in the place of a view's own layer, and deletes that unless another view uses it.
    pub fn swap_layer(&self, view: &View, creator: &User) -> Result<()> {
        let old = view.write_layer();
        let mut ldef = old.info();
        for key in ["pushs", "pulls", "mirror", "upstream", "totalsize"] {
            ldef.remove(key);
        }
        let added = self.add_layer(ldef, creator)?;
        let new = added.get("iden").cloned().unwrap_or_default();
        self.pusher.push("layer:swap", [old.iden().into(), new])?;
        self.del_layer(old.iden())
    }

    /// Adds a view over existing layers.
    pub fn add_view(&self, vdef: Map, creator: &User) -> Result<Map> {
        let vdef = self.new_vdef(vdef, creator);
        schemas::check_map(&schemas::VIEW, &vdef)?;
        for iden in vdef.get("layers").and_then(Value::as_list).unwrap_or_default() {
            self.require_layer(iden.as_str().unwrap_or_default())?;
        }
        let packed = self.pusher.push("view:add", [vdef.into()])?;
        Ok(packed.as_map().cloned().unwrap_or_default())
    }

    /// Adds a view on top of another, with a new layer of its own.
    pub fn fork(&self, view: &View, ldef: Map, mut vdef: Map, creator: &User) -> Result<Map> {
        let layer = self.add_layer(ldef, creator)?;
        let mut idens = vec![layer.get("iden").cloned().unwrap_or_default()];
        idens.extend(view.layers().iter().map(|layer| Value::from(layer.iden())));
        vdef.insert("parent", view.iden());
        vdef.insert("layers", Value::from(idens));
        self.add_view(vdef, creator)
    }

    fn require_deletable(&self, iden: &str) -> Result<Arc<View>> {
        let view = self.require_view(iden)?;
        if view.info_get("protected").is_some_and(|valu| valu.is_truthy()) {
            return Err(err!(
                "CantDelView",
                mesg = format!("The view {iden} is protected: set protected to false first.")
            ));
        }
        Ok(view)
    }

    /// Deletes a view; its layers stay.
    pub fn del_view(&self, iden: &str) -> Result<()> {
        self.require_deletable(iden)?;
        self.pusher.push("view:del", [iden.into()]).map(drop)
    }

    /// Deletes a view with its own layer, unless views that are no forks of it use that.
    pub fn del_view_with_layer(&self, iden: &str) -> Result<()> {
        let view = self.require_deletable(iden)?;
        let parent = view.parent().map_or(Value::Null, |parent| Value::from(parent.iden()));
        let layer = view.write_layer();
        let kwargs = Map::new().with("newparent", parent);
        self.pusher.push_kw("view:delwithlayer", [iden.into(), layer.iden().into()], kwargs).map(drop)
    }

    /// Pushes an event of one view.
    pub fn push_view(&self, view: &View, event: &str, args: impl IntoIterator<Item = Value>) -> Result<Value> {
        self.cell.nexus().push(view.iden(), event, args.into_iter().collect(), Map::new()).map(|(_, valu)| valu)
    }

    /// Pushes an event of one layer.
    pub fn push_layer(&self, layer: &Layer, event: &str, args: impl IntoIterator<Item = Value>) -> Result<Value> {
        self.cell.nexus().push(layer.iden(), event, args.into_iter().collect(), Map::new()).map(|(_, valu)| valu)
    }

    // ---- applying

    fn apply_layer_add(self: &Arc<Stack>, cx: &mut ApplyCx<'_>, ldef: Map) -> Result<Value> {
        let iden = ldef.get_str("iden").unwrap_or_default().to_owned();
        if self.layers.read().contains_key(iden.as_str()) {
            return Ok(Value::Null);
        }
        let creator = ldef.get_str("creator").unwrap_or_default().to_owned();
        self.cell.auth().req_user(&creator)?;
        let ldef = ldef.with("model:version", MODEL_VERSION);
        self.stor.sub("layer:info:").set(cx, &iden, &Value::from(ldef.clone()))?;
        let layer = Layer::open_in(cx, self.cell.writer(), &self.layer_dir(&iden), ldef)?;
        self.adopt_layer(layer.clone());
        self.note_change(cx.offs, layer.iden(), true);
        self.cell.auth().add_gate(cx, &iden, "layer")?;
        self.cell.auth().apply_user_info(cx, &creator, "admin", Value::from(true), Some(&iden))?;
        Ok(Stack::pack_layer(&layer).into())
    }

    fn apply_layer_del(&self, cx: &mut ApplyCx<'_>, iden: &str) -> Result<()> {
        let Some(layer) = self.layers.read().get(iden).cloned() else { return Ok(()) };
        if self.views().iter().any(|view| view.layers().iter().any(|have| Arc::ptr_eq(have, &layer))) {
            return Err(err!("LayerInUse", mesg = format!("A view still uses the layer {iden}."), iden = iden));
        }
        self.drop_layer(cx, &layer)
    }

    fn drop_layer(&self, cx: &mut ApplyCx<'_>, layer: &Arc<Layer>) -> Result<()> {
        let iden = layer.iden().clone();
        self.layers.write().shift_remove(&iden);
        self.cell.nexus().del_handler(&iden);
        self.stor.sub("layer:info:").del(cx, &iden)?;
        if self.cell.auth().gate(&iden).is_some() {
            self.cell.auth().del_gate(cx, &iden)?;
        }
        self.note_change(cx.offs, &iden, false);
        layer.close_in(cx)?;
        match std::fs::remove_dir_all(layer.dir()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn apply_layer_clone(self: &Arc<Stack>, cx: &mut ApplyCx<'_>, iden: &str, over: &Map) -> Result<Value> {
        let new = over.get_str("iden").unwrap_or_default().to_owned();
        if self.layers.read().contains_key(new.as_str()) {
            return Ok(Value::Null);
        }
        let source = self.require_layer(iden)?;
        let mut ldef = over.clone();
        for (key, valu) in source.info().text_entries() {
            if !ldef.contains(key) {
                ldef.insert(key, valu.clone());
            }
        }
        let target = self.layer_dir(&new);
        if target.exists() {
            // Of a run that was cut off before the record was written.
            std::fs::remove_dir_all(&target)?;
        }
        source.copy_in(cx, &target)?;
        self.stor.sub("layer:info:").set(cx, &new, &Value::from(ldef.clone()))?;
        let layer = Layer::open_in(cx, self.cell.writer(), &target, ldef.clone())?;
        self.adopt_layer(layer.clone());
        self.note_change(cx.offs, layer.iden(), true);
        self.cell.auth().add_gate(cx, &new, "layer")?;
        if let Some(creator) = ldef.get_str("creator") {
            self.cell.auth().apply_user_info(cx, creator, "admin", Value::from(true), Some(&new))?;
        }
        Ok(Stack::pack_layer(&layer).into())
    }

    fn apply_layer_swap(&self, cx: &mut ApplyCx<'_>, old: &str, new: &str) -> Result<()> {
        let layer = self.require_layer(new)?;
        for view in self.views() {
            let layers = view.layers();
            if !layers.iter().any(|have| &**have.iden() == old) {
                continue;
            }
            let next =
                layers.iter().map(|have| if &**have.iden() == old { layer.clone() } else { have.clone() }).collect();
            self.restack(cx, &view, next)?;
        }
        Ok(())
    }

    /// Gives a view other layers and writes its record.
    fn restack(&self, cx: &mut WriteCx, view: &View, layers: Vec<Arc<Layer>>) -> Result<()> {
        let idens: Value = layers.iter().map(|layer| Value::from(layer.iden())).collect();
        view.set_layers(layers)?;
        self.save_view(cx, view, view.info().with("layers", idens))
    }

    /// Gives every fork of a view its parent's layers below its own.
    fn restack_forks(&self, cx: &mut WriteCx, view: &View) -> Result<()> {
        for child in self.children(view.iden()) {
            let mut layers = vec![child.write_layer()];
            layers.extend(view.layers().iter().cloned());
            self.restack(cx, &child, layers)?;
            self.restack_forks(cx, &child)?;
        }
        Ok(())
    }

    fn apply_view_add(self: &Arc<Stack>, cx: &mut ApplyCx<'_>, mut vdef: Map) -> Result<Value> {
        let iden = vdef.get_str("iden").unwrap_or_default().to_owned();
        if self.views.read().contains_key(iden.as_str()) {
            return Ok(Value::Null);
        }
        for layer in vdef.get("layers").and_then(Value::as_list).unwrap_or_default() {
            self.require_layer(layer.as_str().unwrap_or_default())?;
        }
        let creator = vdef.get_str("creator").unwrap_or_default().to_owned();
        self.cell.auth().req_user(&creator)?;
        self.cell.auth().add_gate(cx, &iden, "view")?;
        self.cell.auth().apply_user_info(cx, &creator, "admin", Value::from(true), Some(&iden))?;
        // The flag is not stored: it ends in a rule.
        if vdef.remove("worldreadable").is_some_and(|flag| flag.is_truthy()) {
            self.allow_all(cx, &["view", "read"], &iden)?;
        }
        self.stor.sub("view:info:").set(cx, &iden, &Value::from(vdef.clone()))?;
        let view = self.load_view(vdef)?;
        view.set_parent(view.info_get("parent").and_then(|iden| self.view(iden.as_str()?)));
        Ok(self.pack_view(&view).into())
    }

    fn require_not_default(&self, iden: &str) -> Result<()> {
        if &**self.default_view()?.iden() == iden {
            return Err(err!("SynErr", mesg = "The main view cannot be deleted."));
        }
        Ok(())
    }

    fn drop_view(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>) -> Result<()> {
        let iden = view.iden().clone();
        self.stor.sub("view:info:").del(cx, &iden)?;
        let hook = self.hooks.read().view_deleted.clone();
        if let Some(hook) = hook {
            hook(cx, view)?;
        }
        self.drop_merges(cx, view)?;
        self.views.write().shift_remove(&iden);
        self.cell.nexus().del_handler(&iden);
        if self.cell.auth().gate(&iden).is_some() {
            self.cell.auth().del_gate(cx, &iden)?;
        }
        match std::fs::remove_dir_all(self.cell.dirn().join("views").join(&*iden)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn apply_view_del(&self, cx: &mut ApplyCx<'_>, iden: &str) -> Result<()> {
        let Some(view) = self.view(iden) else { return Ok(()) };
        self.require_not_default(iden)?;
        if !self.children(iden).is_empty() {
            return Err(err!("SynErr", mesg = format!("The view {iden} has forks: delete them first."), iden = iden));
        }
        self.drop_view(cx, &view)
    }

    fn apply_view_del_with_layer(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<()> {
        let (iden, layer) = (event.str_arg(0, "viewiden")?, event.str_arg(1, "layriden")?);
        self.require_not_default(iden)?;
        if let Some(view) = self.view(iden) {
            self.drop_view(cx, &view)?;
        }
        let parent = event.kwargs.get_str("newparent").and_then(|iden| self.view(iden));
        let mut in_use = false;
        for view in self.views() {
            if !view.layers().iter().any(|have| &**have.iden() == layer) {
                continue;
            }
            if !Stack::is_fork_of(&view, iden) {
                in_use = true;
                continue;
            }
            let rest = view.layers().iter().filter(|have| &**have.iden() != layer).cloned().collect();
            self.restack(cx, &view, rest)?;
        }
        for child in self.children(iden) {
            child.set_parent(parent.clone());
            let parent = parent.as_ref().map_or(Value::Null, |parent| Value::from(parent.iden()));
            self.save_view(cx, &child, child.info().with("parent", parent))?;
        }
        match self.layer(layer) {
            Some(layer) if !in_use => self.drop_layer(cx, &layer),
            _ => Ok(()),
        }
    }
}

/// Refuses records whose names and descriptions are no text.
fn check_text(record: &Map, keys: &[&str]) -> Result<()> {
    for key in keys {
        if record.get(key).is_some_and(|valu| !valu.is_text()) {
            return Err(err!("SchemaViolation", mesg = format!("The {key} must be text."), name = *key));
        }
    }
    Ok(())
}

/// The stack as the part of a cortex that applies its events.
pub struct StackPart(pub Arc<Stack>);

impl Part for StackPart {
    fn events(&self) -> &'static [&'static str] {
        &[
            "view:add",
            "view:del",
            "view:delwithlayer",
            "layer:add",
            "layer:del",
            "layer:clone",
            "layer:swap",
            "layer:push:add",
            "layer:push:del",
            "layer:pull:add",
            "layer:pull:del",
        ]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        let stack = &self.0;
        match event.name.as_str() {
            "view:add" => return stack.apply_view_add(cx, event.map_arg(0, "vdef")?.clone()),
            "view:del" => stack.apply_view_del(cx, event.str_arg(0, "iden")?)?,
            "view:delwithlayer" => stack.apply_view_del_with_layer(cx, event)?,
            "layer:add" => return stack.apply_layer_add(cx, event.map_arg(0, "ldef")?.clone()),
            "layer:del" => stack.apply_layer_del(cx, event.str_arg(0, "iden")?)?,
            "layer:clone" => return stack.apply_layer_clone(cx, event.str_arg(0, "iden")?, event.map_arg(1, "ldef")?),
            "layer:swap" => stack.apply_layer_swap(cx, event.str_arg(0, "oldiden")?, event.str_arg(1, "newiden")?)?,
            name => {
                let adds = name.ends_with(":add");
                let kind = if name.starts_with("layer:push") { "pushs" } else { "pulls" };
                let layer = stack.require_layer(event.str_arg(0, "layriden")?)?;
                layers::set_sync(cx, &stack.stor, &layer, kind, adds, event.arg(1, "iden"))?;
            }
        }
        Ok(Value::Null)
    }
}
