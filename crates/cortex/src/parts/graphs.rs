//! Graph projections that users share. `slabs/graphs.lmdb`, table `graphs`, iden → definition.

use myelin_cell::{ApplyCx, Auth, Event, User};
use myelin_error::{Result, err};
use myelin_slab::Slab;
use myelin_slab::tables::SlabDict;
use myelin_value::{Map, Value, rand_guid};

use super::easyperm::{self, Level};
use super::{Part, Pusher, now_millis};
use crate::schemas;

/// The graph projections of a cortex.
pub struct Graphs {
    stor: SlabDict,
    auth: Auth,
    pusher: Pusher,
}

impl Graphs {
    /// Opens the table in `slabs/graphs.lmdb`.
    pub fn open(slab: &Slab, auth: Auth, pusher: Pusher) -> Result<Graphs> {
        Ok(Graphs { stor: SlabDict::open(slab, "graphs", b"")?, auth, pusher })
    }

    fn find(&self, iden: &str) -> Result<Map> {
        let missing = || err!("NoSuchIden", mesg = format!("There is no graph projection with iden {iden}."));
        self.stor.get(iden).and_then(|gdef| gdef.as_map().cloned()).ok_or_else(missing)
    }

    fn with_level(&self, iden: &str, user: &User, level: Level) -> Result<Map> {
        let gdef = self.find(iden)?;
        easyperm::require(&gdef, user, level, &format!("the graph projection {iden}"))?;
        Ok(gdef)
    }

    /// A projection that the user may read.
    pub fn get(&self, iden: &str, user: &User) -> Result<Map> {
        self.with_level(iden, user, Level::Read)
    }

    /// Every projection that the user may read.
    pub fn list(&self, user: &User) -> Vec<Map> {
        let items = self.stor.items();
        let maps = items.values().filter_map(Value::as_map);
        maps.filter(|gdef| easyperm::allows(gdef, user, Level::Read)).cloned().collect()
    }

    /// Adds a projection that belongs to the user.
    pub fn add(&self, mut gdef: Map, user: &User) -> Result<Value> {
        user.confirm_or(&["storm", "graph", "add"], Some(true), None)?;
        let now = now_millis();
        gdef.insert("iden", rand_guid());
        gdef.insert("scope", "user");
        gdef.insert("creator", user.iden());
        gdef.insert("created", now);
        gdef.insert("updated", now);
        easyperm::init(&mut gdef, Level::Read, Some(user.iden()));
        complete(&mut gdef)?;
        self.pusher.push("storm:graph:add", [gdef.into()])
    }

    /// Deletes a projection.
    pub fn del(&self, iden: &str, user: &User) -> Result<Value> {
        self.with_level(iden, user, Level::Admin)?;
        self.pusher.push("storm:graph:del", [iden.into()])
    }

    /// Changes keys of a projection.
    pub fn modify(&self, iden: &str, mut info: Map, user: &User) -> Result<Value> {
        let mut whole = self.with_level(iden, user, Level::Edit)?;
        whole.update(&info);
        complete(&mut whole)?;
        info.insert("updated", now_millis());
        self.pusher.push("storm:graph:mod", [iden.into(), info.into()])
    }

    /// Sets what a user or role may do with a projection.
    pub fn grant(&self, gden: &str, scope: &str, iden: &str, level: Option<Level>, user: &User) -> Result<Value> {
        self.with_level(gden, user, Level::Admin)?;
        let level = level.map_or(Value::Null, |level| Value::from(level as i64));
        self.pusher.push("storm:graph:set:perm", [gden.into(), scope.into(), iden.into(), level, now_millis().into()])
    }
}

/// Checks a definition and the queries in it, and fills in what it lacks.
fn complete(gdef: &mut Map) -> Result<()> {
    *gdef = schemas::check_map(&schemas::GRAPH, gdef)?;
    check_queries(gdef)
}

/// Refuses a projection with Storm that cannot be parsed.
pub fn check_queries(gdef: &Map) -> Result<()> {
    let forms = gdef.get("forms").and_then(Value::as_map);
    let rules = std::iter::once(gdef)
        .chain(forms.into_iter().flat_map(|forms| forms.iter().filter_map(|(_, rule)| rule.as_map())));
    for rule in rules {
        for key in ["filters", "pivots"] {
            for query in rule.get(key).and_then(Value::as_list).unwrap_or_default() {
                myelin_storm::run::parse(query.as_str().unwrap_or_default())?;
            }
        }
    }
    Ok(())
}

impl Part for Graphs {
    fn events(&self) -> &'static [&'static str] {
        &["storm:graph:add", "storm:graph:del", "storm:graph:mod", "storm:graph:set:perm"]
    }

    fn apply(&self, cx: &mut ApplyCx<'_>, event: &Event) -> Result<Value> {
        match event.name.as_str() {
            "storm:graph:add" => {
                let gdef = event.map_arg(0, "gdef")?;
                if gdef.get_str("scope") == Some("power-up") {
                    return Err(err!("SynErr", mesg = "Graph projections of power-ups come with their packages only."));
                }
                let iden = gdef.get_str("iden").unwrap_or_default();
                if self.stor.get(iden).is_some() {
                    return Ok(Value::Null);
                }
                let gdef = Value::from(gdef.clone());
                self.stor.set(cx, iden, &gdef)?;
                Ok(gdef)
            }
            "storm:graph:del" => Ok(self.stor.pop(cx, event.str_arg(0, "iden")?)?.unwrap_or_default()),
            "storm:graph:mod" => {
                let iden = event.str_arg(0, "iden")?;
                let mut gdef = self.find(iden)?;
                gdef.update(event.map_arg(1, "info")?);
                let gdef = Value::from(gdef);
                self.stor.set(cx, iden, &gdef)?;
                Ok(gdef)
            }
            _ => {
                let gden = event.str_arg(0, "gden")?;
                let mut gdef = self.find(gden)?;
                gdef.insert("updated", event.arg(4, "utime").clone());
                let level = easyperm::level_arg(event.arg(3, "level"))?;
                easyperm::set(&mut gdef, &self.auth, event.str_arg(1, "scope")?, event.str_arg(2, "iden")?, level)?;
                let gdef = Value::from(gdef);
                self.stor.set(cx, gden, &gdef)?;
                Ok(gdef)
            }
        }
    }
}
