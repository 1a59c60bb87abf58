//! `$lib.projects`: projects with their epics, sprints, tickets and comments.
//!
//! All of them are nodes (`proj:*`). What a user may do with them is decided by permissions on the project (an auth gate
//! with the project's guid), not by those of nodes; `sudo` does not lift them.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use myelin_cell::ApplyCx;
use myelin_error::{Result, err};
use myelin_storm::edit::{self, Editor};
use myelin_storm::item::{Genr, StormObj, TypeDef};
use myelin_storm::{Arg, Args, Ctl, Dflt, Flow, FuncDef, Item, LibDef, Node, Registry, Rt};
use myelin_value::{Value, rand_guid};

use super::util::{core, this};
use crate::Cortex;
use crate::host::QueryUser;

static LIB: LibDef = LibDef {
    path: "projects",
    funcs: &[
        FuncDef::rw("get", &[Arg::req("name")], |rt, _, args| {
            Ok(found(find_project(rt, &args.str(rt, 0)?)?.map(Project)))
        }),
        FuncDef::rw("add", &[Arg::req("name"), Arg::opt("desc", Dflt::Str(""))], |rt, _, args| {
            confirm(rt, &["project", "add"], rt.snap().view_iden())?;
            let (name, desc, now) = (args.str(rt, 0)?, args.str(rt, 1)?, Value::from(edit::now_ms(rt)));
            let props = [
                ("name", Value::from(name)),
                ("desc", Value::from(desc)),
                ("created", now.clone()),
                ("updated", now),
                ("creator", Value::from(rt.user().iden())),
            ];
            Ok(Item::obj(Project(add(rt, "proj:project", &props)?)))
        }),
        FuncDef::rw("del", &[Arg::req("name")], |rt, _, args| {
            confirm(rt, &["project", "del"], rt.snap().view_iden())?;
            match find_project(rt, &args.str(rt, 0)?)? {
                Some(node) => edit::del_node(rt, &node, false).map(|()| Item::from(true)),
                None => Ok(Item::from(false)),
            }
        }),
    ],
    consts: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&PROJECT, &EPICS, &EPIC, &SPRINTS, &SPRINT, &TICKETS, &TICKET, &COMMENTS, &COMMENT]);
    registry.add_lib(&LIB);
}

/// Makes the auth gate of a project that was just added, and gives who added it its permissions.
pub fn added(core: &Cortex, rt: &Rt, node: &Node) -> Result<()> {
    let gate = node.valu().as_str().unwrap_or_default().to_owned();
    let auth = core.cell.auth().clone();
    // The original does not log the gate either: each service makes its own.
    core.cell.writer().run({
        let (auth, gate) = (auth.clone(), gate.clone());
        move |cx| auth.add_gate(&mut ApplyCx::direct(cx), &gate, "storm:project").map(drop)
    })?;
    let Some(user) = rt.user().as_any().downcast_ref::<QueryUser>() else { return Ok(()) };
    let rule = Value::list([true.into(), ["project", "admin"].into_iter().map(Value::from).collect()]);
    auth.add_user_rule(&user.0, &rule, None, Some(&gate))
}

/// Refuses who lacks a permission on a project or, for projects themselves, on the view.
fn confirm(rt: &Rt, perm: &[&str], gate: &str) -> Flow<()> {
    let user = rt.user();
    if user.is_admin(Some(gate)) || user.allowed(perm, Some(gate)).unwrap_or(false) {
        return Ok(());
    }
    Err(rt.deny(perm))
}

fn found(obj: Option<impl StormObj>) -> Item {
    obj.map_or(Item::NULL, Item::obj)
}

/// Adds a node of a new guid with its properties.
fn add(rt: &Rt, form: &str, props: &[(&str, Value)]) -> Flow<Node> {
    let mut editor = Editor::new(rt);
    let buid = editor.add_node(form, &Value::from(rand_guid()))?;
    for (name, valu) in props {
        editor.set(buid, name, valu)?;
    }
    editor.finish()?;
    let missing = || err!("SynErr", mesg = format!("A {form} node that was just added is not there."));
    Ok(rt.snap().node_by_buid(&buid)?.ok_or_else(missing)?)
}

/// The one node that a value gives, of those whose property is the given one; nothing if the value does not fit the type.
fn find_one(rt: &Rt, full: &str, cmpr: &str, valu: &str, keep: Option<(&str, &Value)>) -> Flow<Option<Node>> {
    let nodes = match rt.snap().by_prop_valu(full, cmpr, &Value::from(valu), false) {
        Err(Ctl::Err(error)) if error.isa("BadTypeValu") => return Ok(None),
        other => other?,
    };
    let mut one = None;
    for node in nodes {
        rt.tick()?;
        let node = node?;
        if keep.is_some_and(|(name, want)| node.get(name).as_ref() != Some(want)) {
            continue;
        }
        if one.is_some() {
            let mesg = format!("More than one node has {full}{cmpr}{valu}: name it by more of its value.");
            return Err(err!("StormRuntimeError", mesg = mesg).into());
        }
        one = Some(node);
    }
    Ok(one)
}

/// By the beginning of its name, else by the beginning of its guid.
fn find_named(rt: &Rt, form: &str, name: &str, keep: Option<(&str, &Value)>) -> Flow<Option<Node>> {
    match find_one(rt, &format!("{form}:name"), "^=", name, keep)? {
        Some(node) => Ok(Some(node)),
        None => find_one(rt, form, "^=", name, keep),
    }
}

fn find_project(rt: &Rt, name: &str) -> Flow<Option<Node>> {
    find_named(rt, "proj:project", name, None)
}

/// Sets a property to text, or removes it for null.
fn put(rt: &Rt, node: &Node, name: &str, valu: &Item) -> Flow<()> {
    if valu.is_null() {
        return edit::del_prop(rt, node, name).map(drop);
    }
    edit::set_prop(rt, node, name, &Value::from(valu.tostr(rt)?)).map(drop)
}

fn touch(rt: &Rt, node: &Node) -> Flow<()> {
    edit::set_prop(rt, node, "updated", &Value::from(edit::now_ms(rt))).map(drop)
}

fn prop(node: &Node, name: &str) -> Item {
    node.get(name).map_or(Item::NULL, Item::from)
}

fn is(rt: &Rt, node: &Node, name: &str) -> bool {
    node.get(name).is_some_and(|valu| valu.as_str() == Some(rt.user().iden()))
}

/// The nodes with a property of a value, as objects.
fn objects<T: StormObj>(rt: &Rt, full: &str, valu: &Value, make: impl Fn(Node) -> T + Send + 'static) -> Flow<Genr> {
    let mut nodes = rt.snap().by_prop_valu(full, "=", valu, false)?;
    Ok(Genr::from_fn(move || Ok(nodes.next().transpose()?.map(|node| Item::obj(make(node))))))
}

/// Removes a property from every node that has a value in it.
fn unlink(rt: &Rt, full: &str, name: &str, valu: &Value) -> Flow<()> {
    let nodes: Vec<Node> = rt.snap().by_prop_valu(full, "=", valu, false)?.collect::<Flow<_>>()?;
    for node in nodes {
        rt.tick()?;
        edit::del_prop(rt, &node, name)?;
    }
    Ok(())
}

/// A project.
struct Project(Node);

impl Project {
    fn confirm(&self, rt: &Rt, perm: &[&str]) -> Flow<()> {
        confirm(rt, perm, self.0.valu().as_str().unwrap_or_default())
    }

    fn same(&self) -> Project {
        Project(self.0.clone())
    }

    /// What of a form belongs to this project and has a name.
    fn find(&self, rt: &Rt, form: &str, name: &str) -> Flow<Option<Node>> {
        find_named(rt, form, name, Some(("project", self.0.valu())))
    }

    /// Deletes an epic or a sprint, which its tickets then belong to no more. Gives whether there was one.
    fn del_group(&self, rt: &Rt, kind: &str, name: &str) -> Flow<Item> {
        self.confirm(rt, &["project", kind, "del"])?;
        let Some(node) = self.find(rt, &format!("proj:{kind}"), name)? else { return Ok(Item::from(false)) };
        unlink(rt, &format!("proj:ticket:{kind}"), kind, node.valu())?;
        edit::del_node(rt, &node, false).map(|()| Item::from(true))
    }
}

static PROJECT: TypeDef = TypeDef {
    name: "proj:project",
    funcs: &[],
    getters: &[
        ("name", |_, item| Ok(prop(&this::<Project>(item)?.0, "name"))),
        ("epics", |_, item| Ok(Item::obj(Epics(this::<Project>(item)?.same())))),
        ("sprints", |_, item| Ok(Item::obj(Sprints(this::<Project>(item)?.same())))),
        ("tickets", |_, item| Ok(Item::obj(Tickets(this::<Project>(item)?.same())))),
    ],
    setters: &[("name", false, |rt, item, valu| {
        let project = this::<Project>(item)?;
        project.confirm(rt, &["project", "set", "name"])?;
        edit::set_prop(rt, &project.0, "name", &Value::from(valu.tostr(rt)?)).map(drop)
    })],
};

/// The epics of a project.
struct Epics(Project);

static EPICS: TypeDef = TypeDef {
    name: "proj:epics",
    funcs: &[
        FuncDef::rw("get", &[Arg::req("name")], |rt, item, args| {
            let project = &this::<Epics>(item)?.0;
            let node = project.find(rt, "proj:epic", &args.str(rt, 0)?)?;
            Ok(found(node.map(|node| Epic(project.same(), node))))
        }),
        FuncDef::rw("add", &[Arg::req("name")], |rt, item, args| {
            let project = &this::<Epics>(item)?.0;
            project.confirm(rt, &["project", "epic", "add"])?;
            let props = [
                ("name", Value::from(args.str(rt, 0)?)),
                ("created", Value::from(edit::now_ms(rt))),
                ("creator", Value::from(rt.user().iden())),
                ("project", project.0.valu().clone()),
            ];
            Ok(Item::obj(Epic(project.same(), add(rt, "proj:epic", &props)?)))
        }),
        FuncDef::rw("del", &[Arg::req("name")], |rt, item, args| {
            this::<Epics>(item)?.0.del_group(rt, "epic", &args.str(rt, 0)?)
        }),
    ],
    getters: &[],
    setters: &[],
};

/// An epic.
struct Epic(Project, Node);

static EPIC: TypeDef = TypeDef {
    name: "proj:epic",
    funcs: &[],
    getters: &[("name", |_, item| Ok(prop(&this::<Epic>(item)?.1, "name")))],
    setters: &[("name", false, |rt, item, valu| {
        let epic = this::<Epic>(item)?;
        epic.0.confirm(rt, &["project", "epic", "set", "name"])?;
        put(rt, &epic.1, "name", &valu)
    })],
};

/// The sprints of a project.
struct Sprints(Project);

static SPRINTS: TypeDef = TypeDef {
    name: "proj:sprints",
    funcs: &[
        FuncDef::rw("get", &[Arg::req("name")], |rt, item, args| {
            let project = &this::<Sprints>(item)?.0;
            let node = project.find(rt, "proj:sprint", &args.str(rt, 0)?)?;
            Ok(found(node.map(|node| Sprint(project.same(), node))))
        }),
        FuncDef::rw("add", &[Arg::req("name"), Arg::opt("period", Dflt::Null)], |rt, item, args| {
            let project = &this::<Sprints>(item)?.0;
            project.confirm(rt, &["project", "sprint", "add"])?;
            let mut props = vec![
                ("name", Value::from(args.str(rt, 0)?)),
                ("created", Value::from(edit::now_ms(rt))),
                ("project", project.0.valu().clone()),
                ("creator", Value::from(rt.user().iden())),
                ("status", Value::from("planned")),
            ];
            if !args.is_null(1) {
                props.push(("period", args.prim(rt, 1)?));
            }
            Ok(Item::obj(Sprint(project.same(), add(rt, "proj:sprint", &props)?)))
        }),
        FuncDef::rw("del", &[Arg::req("name")], |rt, item, args| {
            this::<Sprints>(item)?.0.del_group(rt, "sprint", &args.str(rt, 0)?)
        }),
    ],
    getters: &[],
    setters: &[],
};

/// A sprint.
struct Sprint(Project, Node);

impl Sprint {
    fn set(rt: &Rt, item: &Item, name: &str, valu: &Item) -> Flow<()> {
        let sprint = this::<Sprint>(item)?;
        sprint.0.confirm(rt, &["project", "sprint", "set", name])?;
        put(rt, &sprint.1, name, valu)
    }
}

static SPRINT: TypeDef = TypeDef {
    name: "proj:sprint",
    funcs: &[],
    getters: &[
        ("name", |_, item| Ok(prop(&this::<Sprint>(item)?.1, "name"))),
        ("desc", |_, item| Ok(prop(&this::<Sprint>(item)?.1, "desc"))),
        ("status", |_, item| Ok(prop(&this::<Sprint>(item)?.1, "status"))),
        ("tickets", |rt, item| {
            let Sprint(project, node) = this::<Sprint>(item)?;
            let project = project.same();
            let make = move |node| Ticket(project.same(), node);
            Ok(Item::Genr(objects(rt, "proj:ticket:sprint", node.valu(), make)?))
        }),
    ],
    setters: &[
        ("name", false, |rt, item, valu| Sprint::set(rt, item, "name", &valu)),
        ("desc", false, |rt, item, valu| Sprint::set(rt, item, "desc", &valu)),
        ("status", false, |rt, item, valu| Sprint::set(rt, item, "status", &valu)),
    ],
};

/// The tickets of a project.
struct Tickets(Project);

static TICKETS: TypeDef = TypeDef {
    name: "proj:tickets",
    funcs: &[
        FuncDef::ro("get", &[Arg::req("name")], |rt, item, args| {
            let project = &this::<Tickets>(item)?.0;
            let node = project.find(rt, "proj:ticket", &args.str(rt, 0)?)?;
            Ok(found(node.map(|node| Ticket(project.same(), node))))
        }),
        FuncDef::rw("add", &[Arg::req("name"), Arg::opt("desc", Dflt::Str(""))], |rt, item, args| {
            let project = &this::<Tickets>(item)?.0;
            project.confirm(rt, &["project", "ticket", "add"])?;
            let now = Value::from(edit::now_ms(rt));
            let props = [
                ("name", Value::from(args.str(rt, 0)?)),
                ("desc", Value::from(args.str(rt, 1)?)),
                ("status", Value::from(0)),
                ("priority", Value::from(0)),
                ("created", now.clone()),
                ("updated", now),
                ("creator", Value::from(rt.user().iden())),
                ("project", project.0.valu().clone()),
            ];
            Ok(Item::obj(Ticket(project.same(), add(rt, "proj:ticket", &props)?)))
        }),
        FuncDef::rw("del", &[Arg::req("name")], |rt, item, args| {
            let project = &this::<Tickets>(item)?.0;
            let Some(node) = project.find(rt, "proj:ticket", &args.str(rt, 0)?)? else { return Ok(Item::from(false)) };
            if !is(rt, &node, "creator") {
                project.confirm(rt, &["project", "ticket", "del"])?;
            }
            let comments = rt.snap().by_prop_valu("proj:comment:ticket", "=", node.valu(), false)?;
            for comment in comments.collect::<Flow<Vec<Node>>>()? {
                edit::del_node(rt, &comment, false)?;
            }
            edit::del_node(rt, &node, false).map(|()| Item::from(true))
        }),
    ],
    getters: &[],
    setters: &[],
};

/// A ticket.
struct Ticket(Project, Node);

impl Ticket {
    /// Refuses who neither has the permission to set a property nor is the user in `whose`.
    fn confirm(&self, rt: &Rt, name: &str, whose: Option<&str>) -> Flow<()> {
        if whose.is_some_and(|whose| is(rt, &self.1, whose)) {
            return Ok(());
        }
        self.0.confirm(rt, &["project", "ticket", "set", name])
    }

    fn set_text(rt: &Rt, item: &Item, name: &str, valu: &Item) -> Flow<()> {
        let ticket = this::<Ticket>(item)?;
        ticket.confirm(rt, name, Some("creator"))?;
        put(rt, &ticket.1, name, valu)?;
        touch(rt, &ticket.1)
    }

    fn set_level(rt: &Rt, item: &Item, name: &str, whose: Option<&str>, valu: &Item) -> Flow<()> {
        let ticket = this::<Ticket>(item)?;
        ticket.confirm(rt, name, whose)?;
        edit::set_prop(rt, &ticket.1, name, &Value::from(valu.tostr(rt)?))?;
        touch(rt, &ticket.1)
    }

    /// Links to an epic or a sprint of the project, or to none.
    fn set_link(rt: &Rt, item: &Item, name: &str, whose: Option<&str>, valu: &Item) -> Flow<()> {
        let ticket = this::<Ticket>(item)?;
        ticket.confirm(rt, name, whose)?;
        if valu.is_null() {
            edit::del_prop(rt, &ticket.1, name)?;
            return touch(rt, &ticket.1);
        }
        let want = valu.tostr(rt)?;
        let Some(node) = ticket.0.find(rt, &format!("proj:{name}"), &want)? else {
            return Err(
                err!("NoSuchName", mesg = format!("The project has no {name} with the name or iden {want}.")).into()
            );
        };
        edit::set_prop(rt, &ticket.1, name, node.valu())?;
        touch(rt, &ticket.1)
    }

    fn set_assignee(rt: &Rt, item: &Item, valu: &Item) -> Flow<()> {
        let ticket = this::<Ticket>(item)?;
        ticket.confirm(rt, "assignee", None)?;
        if valu.is_null() {
            edit::del_prop(rt, &ticket.1, "assignee")?;
            return touch(rt, &ticket.1);
        }
        let name = valu.tostr(rt)?;
        let Some(user) = core(rt)?.cell.auth().user_by_name(&name) else {
            let mesg = format!("There is no user named {name}.");
            return Err(err!("NoSuchUser", mesg = mesg, username = &name).into());
        };
        edit::set_prop(rt, &ticket.1, "assignee", &Value::from(user.iden()))?;
        touch(rt, &ticket.1)
    }

    fn get(item: &Item, name: &str) -> Flow<Item> {
        Ok(prop(&this::<Ticket>(item)?.1, name))
    }
}

static TICKET: TypeDef = TypeDef {
    name: "proj:ticket",
    funcs: &[],
    getters: &[
        ("desc", |_, item| Ticket::get(item, "desc")),
        ("epic", |_, item| Ticket::get(item, "epic")),
        ("name", |_, item| Ticket::get(item, "name")),
        ("status", |_, item| Ticket::get(item, "status")),
        ("sprint", |_, item| Ticket::get(item, "sprint")),
        ("assignee", |_, item| Ticket::get(item, "assignee")),
        ("priority", |_, item| Ticket::get(item, "priority")),
        ("comments", |_, item| {
            let Ticket(project, node) = this::<Ticket>(item)?;
            Ok(Item::obj(Comments(project.same(), node.clone())))
        }),
    ],
    setters: &[
        ("desc", false, |rt, item, valu| Ticket::set_text(rt, item, "desc", &valu)),
        ("name", false, |rt, item, valu| Ticket::set_text(rt, item, "name", &valu)),
        ("epic", false, |rt, item, valu| Ticket::set_link(rt, item, "epic", Some("creator"), &valu)),
        ("sprint", false, |rt, item, valu| Ticket::set_link(rt, item, "sprint", None, &valu)),
        ("status", false, |rt, item, valu| Ticket::set_level(rt, item, "status", Some("assignee"), &valu)),
        ("priority", false, |rt, item, valu| Ticket::set_level(rt, item, "priority", None, &valu)),
        ("assignee", false, |rt, item, valu| Ticket::set_assignee(rt, item, &valu)),
    ],
};

/// The comments of a ticket.
struct Comments(Project, Node);

static COMMENTS: TypeDef = TypeDef {
    name: "proj:comments",
    funcs: &[
        FuncDef::rw("add", &[Arg::req("text")], |rt, item, args| {
            let Comments(project, ticket) = this::<Comments>(item)?;
            project.confirm(rt, &["project", "comment", "add"])?;
            let now = Value::from(edit::now_ms(rt));
            let props = [
                ("text", Value::from(args.str(rt, 0)?)),
                ("ticket", ticket.valu().clone()),
                ("created", now.clone()),
                ("updated", now),
                ("creator", Value::from(rt.user().iden())),
            ];
            Ok(Item::obj(Comment::new(project.same(), add(rt, "proj:comment", &props)?)))
        }),
        FuncDef::ro("get", &[Arg::req("guid")], |rt, item, args| {
            let Comments(project, ticket) = this::<Comments>(item)?;
            let keep = Some(("ticket", ticket.valu()));
            let node = find_one(rt, "proj:comment", "=", &args.str(rt, 0)?, keep)?;
            Ok(found(node.map(|node| Comment::new(project.same(), node))))
        }),
    ],
    getters: &[],
    setters: &[],
};

/// A comment, until it is deleted.
struct Comment {
    project: Project,
    node: Node,
    deleted: AtomicBool,
}

impl Comment {
    fn new(project: Project, node: Node) -> Comment {
        Comment { project, node, deleted: AtomicBool::new(false) }
    }

    fn node(&self) -> Flow<&Node> {
        if self.deleted.load(Ordering::Relaxed) {
            return Err(err!("StormRuntimeError", mesg = "The comment has been deleted.").into());
        }
        Ok(&self.node)
    }
}

static COMMENT: TypeDef = TypeDef {
    name: "proj:comment",
    funcs: &[FuncDef::rw("del", &[], |rt, item, _: Args| {
        let comment = this::<Comment>(item)?;
        let node = comment.node()?;
        if !is(rt, node, "creator") {
            comment.project.confirm(rt, &["project", "comment", "del"])?;
        }
        edit::del_node(rt, node, false)?;
        comment.deleted.store(true, Ordering::Relaxed);
        Ok(Item::from(true))
    })],
    getters: &[("text", |_, item| Ok(prop(this::<Comment>(item)?.node()?, "text")))],
    setters: &[("text", false, |rt, item, valu| {
        let node = this::<Comment>(item)?.node()?;
        if !is(rt, node, "creator") {
            return Err(err!("AuthDeny", mesg = "Only who wrote a comment may change it.").into());
        }
        edit::set_prop(rt, node, "text", &Value::from(valu.tostr(rt)?))?;
        touch(rt, node)
    })],
};

/// What stands for one node: its value is that of the node, `yield` gives the node.
macro_rules! node_object {
    ($kind:ty, $def:ident, |$this:ident| $node:expr) => {
        impl StormObj for $kind {
            fn type_name(&self) -> &'static str {
                $def.name
            }

            fn as_any(&self) -> &dyn Any {
                self
            }

            fn type_def(&self) -> Option<&'static TypeDef> {
                Some(&$def)
            }

            fn value(&self, _rt: &Rt) -> Flow<Value> {
                let $this = self;
                Ok($node.valu().clone())
            }

            fn nodes(&self, _rt: &Rt) -> Flow<Option<Genr>> {
                let $this = self;
                Ok(Some(Genr::of([Item::Node($node.clone())])))
            }
        }
    };
}

node_object!(Project, PROJECT, |it| it.0);
node_object!(Epic, EPIC, |it| it.1);
node_object!(Sprint, SPRINT, |it| it.1);
node_object!(Ticket, TICKET, |it| it.1);
node_object!(Comment, COMMENT, |it| it.node()?);

/// What can be looped over: the nodes with a property that names the owner, as objects.
macro_rules! collection {
    ($kind:ty, $def:ident, $full:literal, |$this:ident| $owner:expr, $make:expr) => {
        impl StormObj for $kind {
            fn type_name(&self) -> &'static str {
                $def.name
            }

            fn as_any(&self) -> &dyn Any {
                self
            }

            fn type_def(&self) -> Option<&'static TypeDef> {
                Some(&$def)
            }

            fn iter(&self, rt: &Rt) -> Flow<Genr> {
                let $this = self;
                let project = Arc::new($this.0.same());
                let make = $make;
                objects(rt, $full, $owner.valu(), move |node| make(project.same(), node))
            }

            fn value(&self, _rt: &Rt) -> Flow<Value> {
                Ok(Value::Null)
            }
        }
    };
}

impl Project {
    fn valu(&self) -> &Value {
        self.0.valu()
    }
}

collection!(Epics, EPICS, "proj:epic:project", |it| it.0, Epic);
collection!(Sprints, SPRINTS, "proj:sprint:project", |it| it.0, Sprint);
collection!(Tickets, TICKETS, "proj:ticket:project", |it| it.0, Ticket);
collection!(Comments, COMMENTS, "proj:comment:ticket", |it| it.1, Comment::new);
