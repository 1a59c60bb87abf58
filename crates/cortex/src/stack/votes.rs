//! Merges that wait for votes: a fork whose parent has a quorum asks to be merged, and members of some roles vote.
//!
//! Table `view:meta`, keys after the 16 bytes of the view's iden: `merge:req` and `merge:vote` + user on the fork;
//! `hist:merge:iden` + merge and `hist:merge:time` + time + merge on the parent, for merges that were decided.
//!
//! A vote counts while the fork is as it was when the vote was cast. Once enough approve, the fork is marked and its layer
//! can no longer be written to; the leader then merges it in the background, and goes on after a restart.

use std::sync::Arc;

use myelin_cell::{ApplyCx, Event, User};
use myelin_error::{Error, Result, err};
use myelin_graph::View;
use myelin_slab::{Reads, Scan};
use myelin_value::{Iden, Map, Value, msgpack, rand_guid};

use super::Stack;
use crate::parts::now_millis;

/// The events of merge requests, which are those of views.
pub const EVENTS: [&str; 6] =
    ["merge:set", "merge:set:comment", "merge:del", "merge:vote:set", "merge:vote:set:comment", "merge:vote:del"];

fn key(view: &str, suffix: &[u8]) -> Vec<u8> {
    let iden = Iden::from_hex(view).map(|iden| iden.0).unwrap_or_default();
    [&iden[..], suffix].concat()
}

fn with_iden(suffix: &[u8], iden: &str) -> Vec<u8> {
    let iden = Iden::from_hex(iden).map(|iden| iden.0).unwrap_or_default();
    [suffix, &iden[..]].concat()
}

/// Reading.
impl Stack {
    fn meta(&self, txn: &impl Reads, key: &[u8]) -> Result<Option<Map>> {
        let Some(byts) = txn.get(self.meta, key)? else { return Ok(None) };
        Ok(msgpack::decode(byts)?.as_map().cloned())
    }

    fn votes_in(&self, txn: &impl Reads, view: &str) -> Result<Vec<Map>> {
        let mut votes = Vec::new();
        for row in txn.scan(self.meta, Scan::Prefix(&key(view, b"merge:vote")))? {
            votes.push(msgpack::decode(row?.1)?.as_map().cloned().unwrap_or_default());
        }
        Ok(votes)
    }

    /// The quorum that a merge of a view needs, if its parent has one.
    pub fn parent_quorum(view: &View) -> Option<Value> {
        view.parent()?.info_get("quorum").filter(|quorum| !quorum.is_null())
    }

    /// The quorum that a merge of a view needs.
    ///
    /// # Errors
    /// `BadState` when it needs none.
    pub fn require_quorum(view: &View) -> Result<Value> {
        Stack::parent_quorum(view).ok_or_else(|| {
            let mesg = format!("The view {} is merged without votes: its parent has no quorum.", view.iden());
            Error::mesg("BadState", mesg)
        })
    }

    /// The merge request of a view, if there is one.
    ///
    /// # Errors
    /// What the storage fails with.
    pub fn merge_request(&self, view: &View) -> Result<Option<Map>> {
        self.meta(&self.cell.slab().read_fresh()?, &key(view.iden(), b"merge:req"))
    }

    /// The votes on the merge of a view, by user.
    ///
    /// # Errors
    /// What the storage fails with.
    pub fn merge_votes(&self, view: &View) -> Result<Vec<Map>> {
        self.votes_in(&self.cell.slab().read_fresh()?, view.iden())
    }

    /// The merges into a view that were voted for, the latest first.
    ///
    /// # Errors
    /// What the storage fails with.
    pub fn merges_into(&self, view: &View) -> Result<Vec<Map>> {
        let txn = self.cell.slab().read_fresh()?;
        let mut found = Vec::new();
        for row in txn.scan(self.meta, Scan::PrefixRev(&key(view.iden(), b"hist:merge:time")))? {
            let suffix = [b"hist:merge:iden", row?.1].concat();
            found.extend(self.meta(&txn, &key(view.iden(), &suffix))?);
        }
        Ok(found)
    }

    /// The forks of a view that ask to be merged into it.
    ///
    /// # Errors
    /// `BadState` when the view has no quorum.
    pub fn merging_views(&self, view: &View) -> Result<Vec<Arc<View>>> {
        if view.info_get("quorum").is_none_or(|quorum| quorum.is_null()) {
            let mesg = format!("The view {} has no quorum: its forks are merged without votes.", view.iden());
            return Err(Error::mesg("BadState", mesg));
        }
        let mut found = self.children(view.iden());
        let mut failed = None;
        found.retain(|fork| match self.merge_request(fork) {
            Ok(request) => request.is_some(),
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok(found), Err)
    }

    /// Whether a view is being merged after a vote.
    pub fn is_merging(view: &View) -> bool {
        view.info_get("merging").is_some_and(|valu| valu.is_truthy())
    }
}

/// Changing.
impl Stack {
    /// Asks for the merge of a view.
    ///
    /// # Errors
    /// `BadState` when none has to be asked for.
    pub fn ask_merge(&self, view: &View, user: &User, comment: Option<&str>) -> Result<Value> {
        Stack::require_quorum(view)?;
        let mut request = Map::new().with("creator", user.iden());
        if let Some(comment) = comment {
            request.insert("comment", comment);
        }
        let request = request.with("iden", rand_guid()).with("created", now_millis());
        self.push_view(view, "merge:set", [request.into()])
    }

    /// Sets the comment of a merge request.
    ///
    /// # Errors
    /// `BadState` when there is none.
    pub fn comment_merge(&self, view: &View, comment: &str) -> Result<Value> {
        self.push_view(view, "merge:set:comment", [now_millis().into(), comment.into()])
    }

    /// Takes a merge request back, with the votes on it.
    ///
    /// # Errors
    /// `BadState` when the view needs none.
    pub fn drop_merge(&self, view: &View) -> Result<Value> {
        self.push_view(view, "merge:del", [])
    }

    /// Refuses who may not vote on the merge of a view.
    ///
    /// # Errors
    /// `BadState` without a merge request, `AuthDeny` for who made it.
    pub fn require_voter(&self, view: &View, user: &str) -> Result<()> {
        check_voter(self.merge_request(view)?.as_ref(), view, user)
    }

    /// Votes on the merge of a view as it is now.
    ///
    /// # Errors
    /// As [`Stack::require_voter`].
    pub fn vote(&self, view: &View, user: &str, approved: bool, comment: Option<&str>) -> Result<Value> {
        let mut vote = Map::new().with("user", user).with("approved", approved);
        if let Some(comment) = comment {
            vote.insert("comment", comment);
        }
        let vote = vote.with("created", now_millis()).with("offset", view.write_layer().edit_indx());
        self.push_view(view, "merge:vote:set", [vote.into()])
    }

    /// Sets the comment of a vote.
    ///
    /// # Errors
    /// `BadState` when there is no such vote.
    pub fn comment_vote(&self, view: &View, user: &str, comment: &str) -> Result<Value> {
        self.push_view(view, "merge:vote:set:comment", [now_millis().into(), user.into(), comment.into()])
    }

    /// Takes a vote back.
    ///
    /// # Errors
    /// `BadState` when the view needs no votes.
    pub fn drop_vote(&self, view: &View, user: &str) -> Result<Value> {
        self.push_view(view, "merge:vote:del", [user.into(), now_millis().into()])
    }
}

fn check_voter(request: Option<&Map>, view: &View, user: &str) -> Result<()> {
    let Some(request) = request else {
        return Err(Error::mesg("BadState", format!("Nobody asked for a merge of the view {}.", view.iden())));
    };
    if request.get_str("creator") == Some(user) {
        return Err(Error::mesg("AuthDeny", "Who asks for a merge may not vote on it."));
    }
    Ok(())
}

/// Applying.
impl Stack {
    pub(super) fn apply_votes(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, event: &Event) -> Result<Value> {
        Stack::require_quorum(view)?;
        let request_key = key(view.iden(), b"merge:req");
        let vote_key = |user: &str| key(view.iden(), &with_iden(b"merge:vote", user));
        match event.name.as_str() {
            "merge:set" => {
                let request = event.map_arg(0, "mergeinfo")?.clone();
                cx.put_value(self.meta, &request_key, &Value::from(request.clone()))?;
                self.tell("view:merge:request:set", view, "merge", &request);
                Ok(request.into())
            }
            "merge:set:comment" => {
                let missing = || Error::mesg("BadState", "There is no merge request whose comment could be set.");
                let request = self.meta(&**cx, &request_key)?.ok_or_else(missing)?;
                let request = request
                    .with("updated", event.arg(0, "updated").clone())
                    .with("comment", event.arg(1, "comment").clone());
                cx.put_value(self.meta, &request_key, &Value::from(request.clone()))?;
                self.tell("view:merge:set", view, "merge", &request);
                Ok(request.into())
            }
            "merge:del" => Ok(self.drop_request(cx, view)?.map_or(Value::Null, Value::from)),
            "merge:vote:set" => {
                let vote = event.map_arg(0, "vote")?.clone();
                let user = vote.get_str("user").unwrap_or_default();
                check_voter(self.meta(&**cx, &request_key)?.as_ref(), view, user)?;
                cx.put_value(self.meta, &vote_key(user), &Value::from(vote.clone()))?;
                self.tell("view:merge:vote:set", view, "vote", &vote);
                let tick = vote.get("created").and_then(Value::as_u64).unwrap_or_default();
                self.decide(cx, view, tick)?;
                Ok(vote.into())
            }
            "merge:vote:set:comment" => {
                let key = vote_key(event.str_arg(1, "useriden")?);
                let missing = || Error::mesg("BadState", "There is no vote whose comment could be set.");
                let vote = self.meta(&**cx, &key)?.ok_or_else(missing)?;
                let vote =
                    vote.with("updated", event.arg(0, "tick").clone()).with("comment", event.arg(2, "comment").clone());
                cx.put_value(self.meta, &key, &Value::from(vote.clone()))?;
                self.tell("view:merge:vote:set", view, "vote", &vote);
                Ok(vote.into())
            }
            _ => {
                let vote = cx.pop_value(self.meta, &vote_key(event.str_arg(0, "useriden")?))?;
                if let Some(vote) = vote.as_ref().and_then(Value::as_map) {
                    self.tell("view:merge:vote:del", view, "vote", vote);
                }
                self.decide(cx, view, event.arg(1, "tick").as_u64().unwrap_or_default())?;
                Ok(vote.unwrap_or_default())
            }
        }
    }

    fn tell(&self, event: &str, view: &View, kind: &str, info: &Map) {
        self.cell.nexus().tell(event, Map::new().with("view", view.iden()).with(kind, info.clone()), None);
    }

    /// Removes the request and the votes of a view; the request.
    pub(super) fn drop_request(&self, cx: &mut ApplyCx<'_>, view: &View) -> Result<Option<Map>> {
        let request = self.meta(&**cx, &key(view.iden(), b"merge:req"))?;
        self.drop_meta(cx, &key(view.iden(), b"merge:"))?;
        if let Some(request) = &request {
            self.tell("view:merge:request:del", view, "merge", request);
        }
        Ok(request)
    }

    /// Removes all that is kept of merges of and into a view.
    pub(super) fn drop_merges(&self, cx: &mut ApplyCx<'_>, view: &View) -> Result<()> {
        self.drop_meta(cx, &key(view.iden(), b""))
    }

    fn drop_meta(&self, cx: &mut ApplyCx<'_>, prefix: &[u8]) -> Result<()> {
        let mut keys = Vec::new();
        for row in cx.scan(self.meta, Scan::Prefix(prefix))? {
            keys.push(row?.0.to_vec());
        }
        for key in keys {
            cx.del(self.meta, &key)?;
        }
        Ok(())
    }

    /// Counts the votes, and begins the merge when they are enough.
    fn decide(&self, cx: &mut ApplyCx<'_>, view: &Arc<View>, tick: u64) -> Result<()> {
        if Stack::is_merging(view) || self.cell.conf().is_on("safemode") {
            return Ok(());
        }
        let quorum = Stack::require_quorum(view)?;
        let needed = quorum.get("count").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let offset = view.write_layer().edit_indx();
        let votes = self.votes_in(&**cx, view.iden())?;
        let counts = |vote: &&Map| vote.get("offset").and_then(Value::as_u64) == Some(offset);
        let valid: Vec<&Map> = votes.iter().filter(counts).collect();
        let approves = |vote: &&Map| vote.get("approved").is_some_and(Value::is_truthy);
        if !valid.iter().all(approves) || (valid.len() as u64) < needed {
            return Ok(());
        }
        let Some(request) = self.meta(&**cx, &key(view.iden(), b"merge:req"))? else { return Ok(()) };
        let (Some(parent), Some(iden)) = (view.parent(), request.get_str("iden").map(str::to_owned)) else {
            return Ok(());
        };
        self.save_view(cx, view, view.info().with("merging", true))?;
        let layer = view.write_layer();
        let ldef = layer.info().with("readonly", true);
        self.stor.sub("layer:info:").set(cx, layer.iden(), &Value::from(ldef.clone()))?;
        layer.set_info(ldef);
        let votes: Value = votes.into_iter().map(Value::from).collect();
        let record = request.with("votes", votes.clone()).with("merged", tick);
        let merge = Iden::from_hex(&iden).map(|iden| iden.0).unwrap_or_default();
        cx.put_value(self.meta, &key(parent.iden(), &with_iden(b"hist:merge:iden", &iden)), &record.clone().into())?;
        let by_time = [&b"hist:merge:time"[..], &tick.to_be_bytes(), &merge].concat();
        cx.put(self.meta, &key(parent.iden(), &by_time), &merge)?;
        let told = Map::new().with("view", view.iden()).with("merge", record).with("votes", votes);
        self.cell.nexus().tell("view:merge:init", told, None);
        let begin = self.hooks.read().merge_decided.clone();
        if let Some(begin) = begin {
            begin(view);
        }
        Ok(())
    }
}

/// Merging what was voted for.
impl Stack {
    /// Merges a view whose merge was decided, through a function that stores edits in its parent, then removes it. May be
    /// begun again after it was interrupted. Blocks.
    ///
    /// # Errors
    /// What storing gives.
    pub fn merge_voted(
        &self,
        view: &Arc<View>,
        mut store: impl FnMut(&Arc<View>, Vec<myelin_graph::NodeEdit>, Map) -> Result<()>,
    ) -> Result<()> {
        /// How many nodes are merged by one event.
        const BATCH: usize = 5;
        let (Some(parent), Some(request)) = (view.parent(), self.merge_request(view)?) else { return Ok(()) };
        let meta = |request: &Map| {
            let part = |key: &str| request.get(key).cloned().unwrap_or_default();
            Map::new().with("user", part("creator")).with("merge", part("iden")).with("time", now_millis())
        };
        let mut walk = view.write_layer().sode_walk()?;
        let mut batch = Vec::new();
        while let Some(edits) = walk.next_edits()? {
            batch.extend(edits);
            if batch.len() >= BATCH {
                store(&parent, std::mem::take(&mut batch), meta(&request))?;
            }
            if self.cell.done().is_cancelled() {
                return Ok(());
            }
        }
        if !batch.is_empty() {
            store(&parent, batch, meta(&request))?;
        }
        let votes: Value = self.merge_votes(view)?.into_iter().map(Value::from).collect();
        let told = Map::new().with("view", view.iden()).with("merge", request).with("votes", votes);
        self.cell.nexus().tell("view:merge:fini", told, None);
        self.del_view_with_layer(view.iden())
    }

    /// The views whose merge was decided and not finished.
    pub fn undone_merges(&self) -> Vec<Arc<View>> {
        self.views().into_iter().filter(|view| Stack::is_merging(view)).collect()
    }

    /// Refuses what would pull the ground from under a merge.
    pub(super) fn require_not_merging(view: &View) -> Result<()> {
        if Stack::is_merging(view) {
            return Err(err!("BadState", mesg = format!("The view {} is being merged.", view.iden())));
        }
        Ok(())
    }
}
