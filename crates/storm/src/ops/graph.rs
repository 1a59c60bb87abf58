//! Graph projection: the nodes of a query, what they pivot to by rules, and the edges among them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use myelin_storm_syntax::Query;
use myelin_value::{Buid, Map, Value};

use super::{NodeGenr, from_fn};
use crate::ctl::Flow;
use crate::item::Item;
use crate::node::{Node, NodePath};
use crate::rt::{Rt, VarMap};

/// A query of a rule, parsed when it is first run.
struct RuleQuery {
    text: String,
    parsed: OnceLock<Arc<Query>>,
}

impl RuleQuery {
    fn all(texts: Option<&Value>) -> Vec<RuleQuery> {
        self::texts(texts).into_iter().map(|text| RuleQuery { text, parsed: OnceLock::new() }).collect()
    }

    /// The nodes of the query over a node.
    fn run(&self, rt: &Rt, node: &Node) -> Flow<NodeGenr> {
        let query = match self.parsed.get() {
            Some(query) => query.clone(),
            None => {
                let query = rt.parse(&self.text)?;
                self.parsed.get_or_init(|| query).clone()
            }
        };
        rt.storm_parsed(&query, VarMap::default(), Some(node.clone()))
    }
}

/// What the rules say of one form.
struct FormRules {
    scope: String,
    filters: Vec<RuleQuery>,
    pivots: Vec<RuleQuery>,
}

impl FormRules {
    fn new(scope: &str, rules: &Map) -> FormRules {
        FormRules {
            scope: scope.to_owned(),
            filters: RuleQuery::all(rules.get("filters")),
            pivots: RuleQuery::all(rules.get("pivots")),
        }
    }
}

struct Rules {
    map: Map,
    all: FormRules,
    forms: HashMap<String, Option<FormRules>>,
    omits: HashMap<Buid, bool>,
}

impl Rules {
    fn new(map: &Map) -> Rules {
        let forms = map.get("forms").and_then(Value::as_map);
        let forms = forms.into_iter().flat_map(Map::text_entries);
        // What is said of a form in another shape is nothing, and hides what is said of all.
        let forms =
            forms.map(|(form, rules)| (form.to_owned(), rules.as_map().map(|rules| FormRules::new(form, rules))));
        Rules { forms: forms.collect(), all: FormRules::new("global", map), map: map.clone(), omits: HashMap::new() }
    }

    fn flag(&self, name: &str, dflt: bool) -> bool {
        self.map.get(name).map_or(dflt, Value::is_truthy)
    }

    fn int(&self, name: &str, dflt: i64) -> i64 {
        self.map.get_i64(name).unwrap_or(dflt)
    }

    fn form(&self, form: &str) -> Option<&FormRules> {
        self.forms.get(form).or_else(|| self.forms.get("*"))?.as_ref()
    }

    fn omit(&mut self, rt: &Rt, node: &Node) -> Flow<bool> {
        if let Some(answer) = self.omits.get(&node.buid()) {
            return Ok(*answer);
        }
        let of_form = self.form(node.form_name()).map_or(&[][..], |rules| &rules.filters);
        let mut omit = false;
        for filter in self.all.filters.iter().chain(of_form) {
            // A filter keeps a node by passing it on: whoever is not passed on is left out.
            if filter.run(rt, node)?.next()?.is_none() {
                omit = true;
                break;
            }
        }
        self.omits.insert(node.buid(), omit);
        Ok(omit)
    }

    fn pivots(&self, rt: &Rt, item: &NodePath, existing: &[Buid]) -> Flow<Vec<(NodePath, Map)>> {
        let (node, path) = item;
        let mut retn = Vec::new();
        let link = |prop: &str| Map::new().with("type", "prop").with("prop", prop);
        if self.flag("refs", false) {
            for (prop, ndef) in node.refs_out(rt) {
                let Some(found) = rt.snap().node_by_ref(&ndef)? else { continue };
                let link = link(&prop);
                let path = path.fork(found.clone(), Some(link.clone().into()));
                retn.push(((found, path), link));
            }
            for buid in existing {
                let Some(other) = rt.snap().node_by_buid(buid)? else { continue };
                for (prop, ndef) in other.refs_out(rt) {
                    if ndef == node.ndef_value() {
                        retn.push(((other.clone(), path.clone()), link(&prop).with("reverse", true)));
                    }
                }
            }
        }
        for rules in std::iter::once(&self.all).chain(self.form(node.form_name())) {
            rules.pivot(rt, node, &mut retn)?;
        }
        Ok(retn)
    }
}

impl FormRules {
    fn pivot(&self, rt: &Rt, node: &Node, retn: &mut Vec<(NodePath, Map)>) -> Flow<()> {
        for pivot in &self.pivots {
            let mut genr = pivot.run(rt, node)?;
            let mut indx = 0;
            while let Some(item) = genr.next()? {
                let link = Map::new().with("type", "rules").with("scope", self.scope.as_str()).with("index", indx);
                retn.push((item, link));
                indx += 1;
            }
        }
        Ok(())
    }
}

fn texts(valu: Option<&Value>) -> Vec<String> {
    let items = valu.and_then(Value::as_list).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// State of a projection.
struct Projection {
    rt: Rt,
    rules: Rules,
    input: Option<NodeGenr>,
    todo: VecDeque<(NodePath, i64)>,
    done: HashSet<Buid>,
    intodo: HashSet<Buid>,
    results: HashSet<Buid>,
    existing: Vec<Buid>,
    revpivs: HashMap<Buid, Vec<(String, Map)>>,
    /// Edges of nodes that came to nodes that may come: target, source, verbs.
    revedge: HashMap<Buid, IndexMap<Buid, Vec<String>>>,
    count: i64,
}

/// The projection of a pipe by rules (`{degrees, refs, edges, pivots, filters, forms, …}`).
///
/// # Errors
/// What reading the edges of existing nodes gives.
pub fn project(rt: &Rt, rules: &Map, input: NodeGenr) -> Flow<NodeGenr> {
    let existing = texts(rules.get("existing"));
    let existing: Vec<Buid> = existing.iter().filter_map(|iden| Buid::from_hex(iden)).collect();
    let mut proj = Projection {
        rt: rt.clone(),
        rules: Rules::new(rules),
        input: Some(input),
        todo: VecDeque::new(),
        done: HashSet::new(),
        intodo: HashSet::new(),
        results: existing.iter().copied().collect(),
        existing,
        revpivs: HashMap::new(),
        revedge: HashMap::new(),
        count: 0,
    };
    if proj.rules.flag("edges", true) {
        for buid in proj.existing.clone() {
            for edge in rt.snap().view().edges_n1(&buid, None)? {
                let (verb, n2) = edge?;
                if !proj.results.contains(&n2) {
                    proj.revedge.entry(n2).or_default().entry(buid).or_default().push(verb.to_string());
                }
            }
        }
    }
    Ok(from_fn(move || proj.step()))
}

impl Projection {
    fn pull(&mut self) -> Flow<Option<(NodePath, i64)>> {
        if let Some(input) = &mut self.input {
            if let Some((node, path)) = input.next()? {
                path.set_meta("graph:seed", Item::from(true));
                return Ok(Some(((node, path), 0)));
            }
            self.input = None;
        }
        Ok(self.todo.pop_front())
    }

    fn step(&mut self) -> Flow<Option<NodePath>> {
        let degrees = match self.rules.map.get("degrees") {
            Some(Value::Null) => None,
            Some(valu) => Some(valu.as_i64().unwrap_or(1)),
            None => Some(1),
        };
        let maxsize = self.rules.int("maxsize", 100_000);
        while let Some((item, dist)) = self.pull()? {
            self.rt.tick()?;
            let buid = item.0.buid();
            if self.done.contains(&buid) {
                continue;
            }
            self.count += 1;
            if self.count > maxsize {
                self.rt.warn(format!("Graph projection hit max size {maxsize}. Truncating results."))?;
                (self.input, self.todo) = (None, VecDeque::new());
                return Ok(None);
            }
            self.done.insert(buid);
            self.intodo.remove(&buid);
            let check = dist > 0 || self.rules.flag("filterinput", true);
            let omitted = check && self.rules.omit(&self.rt, &item.0)?;
            if omitted && !self.rules.flag("yieldfiltered", false) {
                continue;
            }
            let mut edges = self.pivot(&item, dist, degrees, omitted)?;
            if self.rules.flag("edges", true) {
                self.light_edges(buid, &mut edges)?;
            }
            let edges = edges.into_iter().map(|(iden, info)| Value::list([Value::from(iden), Value::from(info)]));
            item.1.set_meta("edges", Item::Val(Value::list(edges)));
            return Ok(Some(item));
        }
        Ok(None)
    }

    fn pivot(&mut self, item: &NodePath, dist: i64, degrees: Option<i64>, omitted: bool) -> Flow<Vec<(String, Map)>> {
        let buid = item.0.buid();
        let mut edges = self.revpivs.get(&buid).cloned().unwrap_or_default();
        for ((node, path), info) in self.rules.pivots(&self.rt, item, &self.existing)? {
            let other = node.buid();
            if self.results.contains(&other) {
                edges.push((node.iden(), info));
            } else {
                self.revpivs.entry(other).or_default().push((item.0.iden(), info.with("reverse", true)));
            }
            let known = self.done.contains(&other) || self.intodo.contains(&other) || self.existing.contains(&other);
            if omitted || known || degrees.is_some_and(|degrees| dist >= degrees) {
                continue;
            }
            self.todo.push_back(((node, path), dist + 1));
            self.intodo.insert(other);
        }
        Ok(edges)
    }

    fn light_edges(&mut self, buid: Buid, edges: &mut Vec<(String, Map)>) -> Flow<()> {
        let limit = self.rules.int("edgelimit", 3000);
        self.results.insert(buid);
        let link = |verb: &str| Map::new().with("type", "edge").with("verb", verb);
        let mut own: IndexMap<Buid, Vec<String>> = IndexMap::new();
        let mut count = 0;
        for edge in self.rt.snap().view().edges_n1(&buid, None)? {
            let (verb, n2) = edge?;
            count += 1;
            if count > limit {
                break;
            }
            own.entry(n2).or_default().push(verb.to_string());
        }
        if count > limit {
            return self.many_edges(buid, edges);
        }
        for (n2, verbs) in &own {
            self.revedge.entry(*n2).or_default().entry(buid).or_default().extend(verbs.iter().cloned());
        }
        if let Some(rev) = self.revedge.get(&buid) {
            for (n1, verbs) in rev {
                edges.extend(verbs.iter().map(|verb| (n1.to_hex(), link(verb).with("reverse", true))));
            }
        }
        for (n2, verbs) in own.iter().filter(|(n2, _)| self.results.contains(*n2)) {
            edges.extend(verbs.iter().map(|verb| (n2.to_hex(), link(verb))));
        }
        Ok(())
    }

    /// A node with very many edges: asks for each known node instead of reading them all.
    fn many_edges(&self, buid: Buid, edges: &mut Vec<(String, Map)>) -> Flow<()> {
        let view = self.rt.snap().view();
        let link = |verb: &str| Map::new().with("type", "edge").with("verb", verb);
        for other in &self.results {
            for verb in view.edge_verbs(&buid, other)? {
                edges.push((other.to_hex(), link(&verb)));
            }
            for verb in view.edge_verbs(other, &buid)? {
                edges.push((other.to_hex(), link(&verb).with("reverse", true)));
            }
        }
        Ok(())
    }
}
