//! Adding packed nodes for clients: from what they send, and from a file in the axon.

use std::collections::BTreeSet;
use std::sync::Arc;

use myelin_cell::User as CellUser;
use myelin_error::{Result, err};
use myelin_telepath::{Todo, ValueStream};
use myelin_value::{Map, Value};

use crate::Cortex;
use crate::pipe::pipe;

/// The one format of feeds.
const FORMAT: &str = "syn.nodes";

impl Cortex {
    /// Adds nodes from packed nodes, in a view or the user's; what cannot be added is left out. Whoever may feed a layer may
    /// make what the feed holds.
    ///
    /// # Errors
    /// `AuthDeny`, `NoSuchView`, `NoSuchName` for a format other than `syn.nodes`.
    pub async fn add_feed(
        self: Arc<Cortex>,
        caller: CellUser,
        name: String,
        items: Value,
        view: Value,
    ) -> Result<Value> {
        if name != FORMAT {
            let mesg = format!("There is no feed format {name}: there is {FORMAT}.");
            return Err(err!("NoSuchName", mesg = mesg, name = name));
        }
        let mut opts = Map::new();
        if !view.is_null() {
            opts.insert("view", view);
        }
        let items = items.as_list().map(<[Value]>::to_vec);
        let items = items.ok_or_else(|| err!("BadArg", mesg = "The items of a feed are a list.", name = "items"))?;
        self.need(&caller, &opts, &["feed:data", "syn", "nodes"])?;
        let work = move |query: myelin_storm::StormQuery| {
            query.feed(items.into_iter().map(Ok), |_| Ok(())).map(|_| Value::Null)
        };
        self.on_thread("feeddata", caller, String::new(), opts.into(), work).await
    }

    /// Adds the nodes of a `.nodes` file in the axon; how many there were.
    ///
    /// # Errors
    /// `AuthDeny`, `NoSuchView`, `NoSuchFile`, and what reading the file gives.
    pub async fn feed_from_axon(self: Arc<Cortex>, caller: CellUser, sha256: String, opts: Value) -> Result<Value> {
        let given = opts.as_map().cloned().unwrap_or_default();
        self.need(&caller, &given, &["node"])?;
        let core = self.clone();
        let work = move |query: myelin_storm::StormQuery| {
            let byts = myelin_axon::sha256_of(&sha256)?;
            let todo = Todo::new("iterMpkFile").arg(sha256);
            let items = core.stores.axon.genr(todo, |axon| Ok(Box::new(axon.mpk_items(&byts)?)))?;
            query.feed(items, |_| Ok(())).map(Value::from)
        };
        self.on_thread("feeddata", caller, String::new(), opts, work).await
    }

    /// Adds packed nodes to the user's view, and gives back each as it is now.
    ///
    /// # Errors
    /// `AuthDeny` for a form that the user may not add.
    pub async fn add_nodes(self: Arc<Cortex>, caller: CellUser, nodes: Value) -> Result<ValueStream> {
        let nodes = nodes.as_list().map(<[Value]>::to_vec);
        let nodes = nodes.ok_or_else(|| err!("BadArg", mesg = "The nodes to add are a list.", name = "nodes"))?;
        let forms: BTreeSet<String> =
            nodes.iter().filter_map(|node| Some(node.at(0)?.at(0)?.as_str()?.to_owned())).collect();
        for form in &forms {
            self.need(&caller, &Map::new(), &["node", "add", form])?;
        }
        let (query, user) = self.query(&caller, "", &Value::Null)?;
        let (task, guard) = self.begin("addNodes", &query, user)?;
        let (tx, stream) = pipe(self.cell.nexus().clone(), guard);
        let tx = tx.until(&query.cancel);
        myelin_storm::run::spawn(move || {
            if let Err(error) = query.feed(nodes.into_iter().map(Ok), |node| tx.send(Ok(node), false)) {
                let _ = tx.send(Err(error), true);
            }
            drop(task);
        })?;
        Ok(stream)
    }

    /// Adds one node to the user's view; the node.
    ///
    /// # Errors
    /// `AuthDeny`, `NoSuchForm`, `BadTypeValu`.
    pub async fn add_node(self: Arc<Cortex>, caller: CellUser, ndef: [Value; 2], props: Value) -> Result<Value> {
        let form = ndef[0].as_str().unwrap_or_default().to_owned();
        self.need(&caller, &Map::new(), &["node", "add", &form])?;
        let item = Value::list([Value::list(ndef), Map::new().with("props", props).into()]);
        let work = move |query: myelin_storm::StormQuery| {
            let mut made = None;
            query.feed([Ok(item)], |node| {
                made = Some(node);
                Ok(())
            })?;
            made.ok_or_else(|| {
                let mesg = format!("The node was not added: there is no form {form}, or the value does not fit it.");
                err!("BadTypeValu", mesg = mesg, form = form)
            })
        };
        self.on_thread("addNode", caller, String::new(), Value::Null, work).await
    }

    /// Refuses users without a permission on the layer that a view writes to.
    fn need(self: &Arc<Cortex>, caller: &CellUser, opts: &Map, perm: &[&str]) -> Result<()> {
        let (query, user) = self.query(caller, "", &Value::from(opts.clone()))?;
        let layer = query.view.layers().first().cloned().unwrap_or_else(|| Arc::from(""));
        user.confirm(perm, Some(&layer))
    }
}
