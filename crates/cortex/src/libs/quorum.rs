//! `$lib.quorum.merge`, and the methods of views about merges that wait for votes.

use std::collections::HashSet;
use std::sync::Arc;

use myelin_error::Error;
use myelin_graph::View;
use myelin_storm::item::Genr;
use myelin_storm::{Arg, Args, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_value::{Map, Value};

use super::util::{core, data, user};
use crate::libs::view::{ViewObj, view_of};
use crate::stack::Stack;

static LIB: LibDef = LibDef {
    path: "quorum.merge",
    funcs: &[FuncDef::rw("list", &[Arg::opt("todo", Dflt::Bool(false))], list)],
    consts: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&LIB);
}

/// The methods of views about merge requests.
pub const METHODS: [FuncDef; 10] = [
    FuncDef::rw("getMerges", &[], |rt, this, _| {
        let merges = core(rt)?.stack.merges_into(&*view_of(rt, this)?)?;
        Ok(Item::Genr(Genr::of(merges.into_iter().map(data).collect::<Vec<_>>())))
    }),
    FuncDef::rw("getMergingViews", &[], |rt, this, _| {
        let view = view_of(rt, this)?;
        rt.confirm(&["view", "read"], Some(view.iden()))?;
        let views = core(rt)?.stack.merging_views(&view)?;
        Ok(data(views.iter().map(|view| Value::from(view.iden())).collect::<Value>()))
    }),
    FuncDef::rw("getMergeRequest", &[], |rt, this, _| {
        let view = view_of(rt, this)?;
        rt.confirm(&["view", "read"], Some(view.iden()))?;
        Ok(core(rt)?.stack.merge_request(&view)?.map_or(Item::NULL, data))
    }),
    FuncDef::rw("getMergeRequestSummary", &[], |rt, this, _| {
        let view = view_of(rt, this)?;
        rt.confirm(&["view", "read"], Some(view.iden()))?;
        Ok(summary(rt, &view)?.map_or(Item::NULL, data))
    }),
    FuncDef::rw("setMergeRequest", &[Arg::opt("comment", Dflt::Null)], |rt, this, args| {
        let view = asking(rt, this, "asks for a merge")?;
        let comment = args.opt_str(rt, 0)?;
        Ok(data(core(rt)?.stack.ask_merge(&view, &user(rt)?, comment.as_deref())?))
    }),
    FuncDef::rw("delMergeRequest", &[], |rt, this, _| {
        let view = asking(rt, this, "takes a merge request back")?;
        Ok(data(core(rt)?.stack.drop_merge(&view)?))
    }),
    FuncDef::rw("setMergeComment", &[Arg::req("comment")], |rt, this, args| {
        let view = asking(rt, this, "changes a merge request")?;
        Ok(data(core(rt)?.stack.comment_merge(&view, &args.str(rt, 0)?)?))
    }),
    FuncDef::rw("setMergeVote", &[Arg::opt("approved", Dflt::Bool(true)), Arg::opt("comment", Dflt::Null)], vote),
    FuncDef::rw("setMergeVoteComment", &[Arg::req("comment")], |rt, this, args| {
        let view = view_of(rt, this)?;
        let comment = args.str(rt, 0)?;
        Ok(data(core(rt)?.stack.comment_vote(&view, rt.user().iden(), &comment)?))
    }),
    FuncDef::rw("delMergeVote", &[Arg::opt("useriden", Dflt::Null)], |rt, this, args| {
        let view = view_of(rt, this)?;
        Stack::require_quorum(&view)?;
        let whose = args.opt_str(rt, 0)?;
        if whose.is_some() && !rt.is_admin(None) {
            return Err(Error::mesg("AuthDeny", "Only a global admin may take back the vote of another user.").into());
        }
        let whose = whose.unwrap_or_else(|| Arc::from(rt.user().iden()));
        Ok(data(core(rt)?.stack.drop_vote(&view, &whose)?))
    }),
];

/// A view whose merge its admin decides about.
fn asking(rt: &Rt, this: &Item, what: &str) -> Flow<Arc<View>> {
    let view = view_of(rt, this)?;
    Stack::require_quorum(&view)?;
    if !rt.is_admin(Some(view.iden())) {
        return Err(Error::mesg("AuthDeny", format!("Only an admin of the view {what}.")).into());
    }
    Ok(view)
}

fn vote(rt: &Rt, this: &Item, args: Args) -> Flow<Item> {
    let view = view_of(rt, this)?;
    let quorum = Stack::require_quorum(&view)?;
    if !may_vote(rt, &quorum) {
        return Err(Error::mesg("AuthDeny", "You are in none of the roles that vote on this merge.").into());
    }
    let stack = &core(rt)?.stack;
    stack.require_voter(&view, rt.user().iden())?;
    let (approved, comment) = (args.bool(rt, 0)?, args.opt_str(rt, 1)?);
    Ok(data(stack.vote(&view, rt.user().iden(), approved, comment.as_deref())?))
}

fn may_vote(rt: &Rt, quorum: &Value) -> bool {
    let roles: HashSet<String> = rt.user().roles().into_iter().collect();
    let voters = quorum.get("roles").and_then(Value::as_list).unwrap_or_default();
    voters.iter().filter_map(Value::as_str).any(|role| roles.contains(role))
}

fn summary(rt: &Rt, view: &View) -> Flow<Option<Map>> {
    let stack = &core(rt)?.stack;
    let Some(request) = stack.merge_request(view)? else { return Ok(None) };
    let votes: Value = stack.merge_votes(view)?.into_iter().map(Value::from).collect();
    Ok(Some(
        Map::new()
            .with("merge", request)
            .with("quorum", Stack::parent_quorum(view).unwrap_or_default())
            .with("merging", Stack::is_merging(view))
            .with("votes", votes)
            .with("offset", view.write_layer().edit_indx()),
    ))
}

/// The views with merge requests that the user may see, each with its summary; `todo` for those where a vote of the user
/// is missing.
fn list(rt: &Rt, _lib: &Item, args: Args) -> Flow<Item> {
    let todo = args.bool(rt, 0)?;
    let core = core(rt)?;
    let mine = rt.user().iden();
    let mut found = Vec::new();
    for view in core.stack.views() {
        if !rt.allowed(&["view", "read"], Some(view.iden())) {
            continue;
        }
        let Some(summary) = summary(rt, &view)? else { continue };
        if todo {
            let of_mine = |info: &Value, key: &str| info.get(key).and_then(Value::as_str) == Some(mine);
            let request = summary.get("merge").cloned().unwrap_or_default();
            let votes = summary.get("votes").and_then(Value::as_list).unwrap_or_default();
            let voted = votes.iter().any(|vote| of_mine(vote, "user"));
            let quorum = summary.get("quorum").cloned().unwrap_or_default();
            if Stack::is_merging(&view) || voted || of_mine(&request, "creator") || !may_vote(rt, &quorum) {
                continue;
            }
        }
        found.push(Item::list([ViewObj::of(core, &view), data(summary)]));
    }
    Ok(Item::Genr(Genr::of(found)))
}
