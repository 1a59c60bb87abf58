//! What nodes become in STIX 2.1 and what STIX objects become in the graph, unless a query says otherwise.
//!
//! The Storm of a property sees the node as input and returns the value; that of a relation or pivot gives the nodes at
//! the other end. The Storm of an import sees `$object` and `$bundle`, and `$n1node` and `$n2node` for relations.

use myelin_value::{Map, Value};

/// The most objects that a bundle may hold without a permission.
pub const MAX_SIZE: i64 = 10_000;

/// The types of objects in STIX 2.1 that describe a domain or a relation.
pub const OBJECTS: [&str; 21] = [
    "attack-pattern",
    "campaign",
    "course-of-action",
    "grouping",
    "identity",
    "incident",
    "indicator",
    "infrastructure",
    "intrusion-set",
    "location",
    "malware-analysis",
    "malware",
    "note",
    "observed-data",
    "opinion",
    "report",
    "threat-actor",
    "tool",
    "vulnerability",
    "sighting",
    "relationship",
];

/// The types of what can be observed, whose identifiers are of another version.
pub const OBSERVABLES: [&str; 18] = [
    "artifact",
    "autonomous-system",
    "directory",
    "domain-name",
    "email-addr",
    "email-message",
    "file",
    "ipv4-addr",
    "ipv6-addr",
    "mac-addr",
    "mutex",
    "network-traffic",
    "process",
    "software",
    "url",
    "user-account",
    "windows-registry-key",
    "x509-certificate",
];

/// Names and Storm of properties.
type Props = &'static [(&'static str, &'static str)];
/// Name, type at the other end, Storm of relations.
type Rels = &'static [(&'static str, &'static str, &'static str)];

struct Mapping {
    form: &'static str,
    stix: &'static str,
    props: Props,
    rels: Rels,
    revs: Rels,
}

const fn map(form: &'static str, stix: &'static str, props: Props) -> Mapping {
    Mapping { form, stix, props, rels: &[], revs: &[] }
}

const NAME: &str = "if (:name != null) { return(:name) } return($node.repr())";
const DESC: &str = "if (:desc != null) { return(:desc) }";
const REPR: &str = "return($node.repr())";
const MADE: &str = "return($lib.stix.export.timestamp(.created))";
const SEEN_FIRST: &str = "if (.seen != null) { ($min, $max) = .seen return($lib.stix.export.timestamp($min)) }";
const SEEN_LAST: &str = "if (.seen != null) { ($min, $max) = .seen return($lib.stix.export.timestamp($max)) }";

/// The first mapping of a form is its default.
const MAPPINGS: &[Mapping] = &[
    Mapping {
        rels: &[
            ("attributed-to", "threat-actor", ":org -> ou:org"),
            ("originates-from", "location", ":org -> ou:org :hq -> geo:place"),
            ("targets", "identity", "-> risk:attack :target:org -> ou:org"),
            ("targets", "identity", "-> risk:attack :target:person -> ps:person"),
            ("targets", "vulnerability", "-> risk:attack :used:vuln -> risk:vuln"),
        ],
        ..map(
            "ou:campaign",
            "campaign",
            &[
                ("name", NAME),
                ("description", DESC),
                ("objective", ":goal -> ou:goal if (:name != null) { return(:name) }"),
                ("created", MADE),
                ("modified", MADE),
            ],
        )
    },
    map(
        "ou:org",
        "identity",
        &[
            ("name", NAME),
            ("identity_class", "return(organization)"),
            ("created", MADE),
            ("modified", MADE),
            (
                "sectors",
                "init { $names = ([]) } -> ou:industry +:name $names.append(:name)
                 fini { if $names { return($names) } }",
            ),
        ],
    ),
    Mapping {
        rels: &[
            ("attributed-to", "identity", ""),
            ("located-at", "location", ":hq -> geo:place"),
            ("targets", "identity", "-> ou:campaign -> risk:attack :target:org -> ou:org"),
            ("targets", "vulnerability", "-> ou:campaign -> risk:attack :used:vuln -> risk:vuln"),
        ],
        ..map(
            "ou:org",
            "threat-actor",
            &[
                ("name", NAME),
                ("created", MADE),
                ("modified", MADE),
                ("first_seen", SEEN_FIRST),
                ("last_seen", SEEN_LAST),
                (
                    "goals",
                    "init { $names = ([]) } -> ou:campaign:org -> ou:goal | uniq | +:name $names.append(:name)
                     fini { if $names { return($names) } }",
                ),
            ],
        )
    },
    map(
        "ps:person",
        "identity",
        &[("name", NAME), ("created", MADE), ("modified", MADE), ("identity_class", "return(individual)")],
    ),
    map(
        "ps:contact",
        "identity",
        &[("name", NAME), ("created", MADE), ("modified", MADE), ("identity_class", "return(individual)")],
    ),
    map(
        "geo:place",
        "location",
        &[
            ("name", NAME),
            ("created", MADE),
            ("modified", MADE),
            ("country", "if (:loc != null) { $loc=:loc return($loc.split('.').0) }"),
            ("latitude", "if (:latlong != null) { ($lat, $long) = :latlong return($lat) }"),
            ("longitude", "if (:latlong != null) { ($lat, $long) = :latlong return($long) }"),
        ],
    ),
    Mapping {
        rels: &[("belongs-to", "autonomous-system", "-> inet:asn")],
        ..map("inet:ipv4", "ipv4-addr", &[("value", REPR)])
    },
    Mapping {
        rels: &[("belongs-to", "autonomous-system", "-> inet:asn")],
        ..map("inet:ipv6", "ipv6-addr", &[("value", REPR)])
    },
    map(
        "inet:fqdn",
        "domain-name",
        &[
            ("value", REPR),
            (
                "resolves_to_refs",
                "init { $ids = ([]) }
                 { -> inet:dns:a -> inet:ipv4 $ids.append($bundle.add($node)) }
                 { -> inet:dns:aaaa -> inet:ipv6 $ids.append($bundle.add($node)) }
                 { -> inet:dns:cname:fqdn :cname -> inet:fqdn $ids.append($bundle.add($node)) }
                 fini { if $ids { return($ids) } }",
            ),
        ],
    ),
    map(
        "inet:asn",
        "autonomous-system",
        &[("name", "if (:name != null) { return(:name) }"), ("number", "return($node.value())")],
    ),
    map(
        "inet:email",
        "email-addr",
        &[
            ("value", REPR),
            ("display_name", "-> ps:contact if (:name != null) { return(:name) }"),
            ("belongs_to_ref", "-> inet:web:acct return($bundle.add($node))"),
        ],
    ),
    map(
        "inet:web:acct",
        "user-account",
        &[
            ("user_id", "return(:user)"),
            ("account_login", "return(:user)"),
            (
                "account_type",
                "if (:site = 'twitter.com') { return(twitter) } if (:site = 'facebook.com') { return(facebook) }",
            ),
            ("credential", "if (:passwd != null) { return(:passwd) }"),
            ("display_name", "if (:realname != null) { return(:realname) }"),
            ("account_created", "if (:signup != null) { return($lib.stix.export.timestamp(:signup)) }"),
            // The two are the wrong way round in the original; bundles made by both must be alike.
            ("account_last_login", SEEN_FIRST),
            ("account_first_login", SEEN_LAST),
        ],
    ),
    map(
        "file:bytes",
        "file",
        &[
            ("name", NAME),
            ("size", "+:size return(:size)"),
            (
                "hashes",
                "init { $found = ({}) }
                 { +:md5 $found.MD5=:md5 } { +:sha1 $found.\"SHA-1\"=:sha1 }
                 { +:sha256 $found.\"SHA-256\"=:sha256 } { +:sha512 $found.\"SHA-512\"=:sha512 }
                 fini { if $found { return($found) } }",
            ),
            ("mime_type", "if (:mime != null) { return(:mime) }"),
            (
                "contains_refs",
                "init { $ids = ([]) } -(refs)> * $id=$bundle.add($node) if $id { $ids.append($id) }
                 fini { if $ids { return($ids) } }",
            ),
        ],
    ),
    map(
        "inet:email:message",
        "email-message",
        &[
            ("date", "+:date return($lib.stix.export.timestamp(:date))"),
            ("subject", "if (:subject != null) { return(:subject) }"),
            ("message_id", "-> inet:email:header +:name=message_id return(:value)"),
            ("is_multipart", "return((false))"),
            ("from_ref", ":from -> inet:email return($bundle.add($node))"),
            (
                "to_refs",
                "init { $ids = ([]) } { :to -> inet:email $ids.append($bundle.add($node)) }
                 fini { if $ids { return($ids) } }",
            ),
        ],
    ),
    map("inet:url", "url", &[("value", REPR)]),
    map(
        "syn:tag",
        "malware",
        &[
            ("name", "if (:title != null) { return(:title) } return($node.repr())"),
            ("is_family", "return((true))"),
            ("first_seen", SEEN_FIRST),
            ("last_seen", SEEN_LAST),
            ("created", MADE),
            ("modified", MADE),
            (
                "sample_refs",
                "init { $ids = ([]) } -> file:bytes $ids.append($bundle.add($node))
                 fini { if $ids { return($ids) } }",
            ),
        ],
    ),
    map("it:prod:soft", "tool", &[("name", NAME), ("created", MADE), ("modified", MADE)]),
    map(
        "it:prod:softver",
        "tool",
        &[
            ("name", "-> it:prod:soft if (:name != null) { return(:name) } return($node.repr())"),
            ("created", MADE),
            ("modified", MADE),
            ("tool_version", "if (:vers != null) { return(:vers) }"),
        ],
    ),
    map(
        "risk:vuln",
        "vulnerability",
        &[
            ("name", NAME),
            ("description", DESC),
            ("created", MADE),
            ("modified", MADE),
            (
                "external_references",
                "if (:cve != null) { $cve=:cve return(([{'source_name': 'cve', 'external_id': $cve.upper()}])) }",
            ),
        ],
    ),
    Mapping {
        revs: &[("mitigates", "course-of-action", "<(addresses)- risk:mitigation")],
        ..map("ou:technique", "attack-pattern", &[("name", NAME), ("description", DESC)])
    },
    map("risk:mitigation", "course-of-action", &[("name", NAME), ("description", DESC)]),
    map(
        "media:news",
        "report",
        &[
            ("name", "return(:title)"),
            ("created", MADE),
            ("modified", MADE),
            ("published", "return($lib.stix.export.timestamp(:published))"),
            (
                "object_refs",
                "init { $ids = ([]) } -(refs)> * $id=$bundle.add($node) if $id { $ids.append($id) }
                 fini { return($ids) }",
            ),
        ],
    ),
    map("it:app:yara:rule", "indicator", &RULE_YARA),
    map("it:app:snort:rule", "indicator", &RULE_SNORT),
];

const RULE_YARA: [(&str, &str); 7] = rule("return('a yara rule')", "return(yara)");
const RULE_SNORT: [(&str, &str); 7] = rule("return('a snort rule')", "return(snort)");

const fn rule(desc: &'static str, kind: &'static str) -> [(&'static str, &'static str); 7] {
    [
        ("name", "if (:name != null) { return(:name) }"),
        ("description", desc),
        ("pattern", "if (:text != null) { return(:text) }"),
        ("pattern_type", kind),
        ("created", MADE),
        ("modified", MADE),
        ("valid_from", MADE),
    ]
}

fn rels(rels: Rels) -> Value {
    rels.iter()
        .map(|(name, kind, storm)| [*name, *kind, *storm].into_iter().map(Value::from).collect::<Value>())
        .collect()
}

/// What nodes become.
pub fn export() -> Map {
    let mut forms = Map::new();
    for mapping in MAPPINGS {
        let props: Map = mapping.props.iter().map(|(name, storm)| (*name, *storm)).collect();
        let mut info = Map::new().with("props", props);
        if !mapping.rels.is_empty() {
            info.insert("rels", rels(mapping.rels));
        }
        if !mapping.revs.is_empty() {
            info.insert("revs", rels(mapping.revs));
        }
        let known = forms.get(mapping.form).and_then(Value::as_map).cloned();
        let form = known.unwrap_or_else(|| Map::new().with("default", mapping.stix));
        let stix = form.get("stix").and_then(Value::as_map).cloned().unwrap_or_default().with(mapping.stix, info);
        forms.insert(mapping.form, form.with("stix", stix));
    }
    Map::new().with("maxsize", MAX_SIZE).with("custom", Map::new().with("objects", Map::new())).with("forms", forms)
}

const SOFTWARE: &str = "
    ($ok, $name) = $lib.trycast(it:prod:softname, $object.name)
    if $ok {
        it:prod:softname=$name -> it:prod:soft return($node)
        [ it:prod:soft=* :name=$name ] return($node)
    }";

/// STIX types and the Storm that makes their nodes.
const OBJECT_STORM: &[(&str, &str)] = &[
    (
        "intrusion-set",
        "($ok, $name) = $lib.trycast(ou:name, $object.name)
         if $ok {
            ou:name=$name -> ou:org { for $alias in $object.aliases { [ :names?+=$alias ] } } return($node)
            [ ou:org=* :name=$name ] { for $alias in $object.aliases { [ :names?+=$alias ] } } return($node)
         }",
    ),
    (
        // No node is returned, as in the original: identities are made but nothing refers to them.
        "identity",
        "switch $object.identity_class {
            ('group', 'organization'): {[ ps:contact=(stix, identity, $object.id) :orgname?=$object.name ]}
            'individual': {[ ps:contact=(stix, identity, $object.id) :name?=$object.name ]}
            'system': {[ it:host=(stix, identity, $object.id) :name?=$object.name ]}
         }",
    ),
    ("tool", SOFTWARE),
    (
        "threat-actor",
        "[ ps:contact=(stix, threat-actor, $object.id)
            :name?=$object.name :desc?=$object.description :names?=$object.aliases ]
         $node.data.set(stix:object, $object) return($node)",
    ),
    (
        "course-of-action",
        "[ risk:mitigation=(stix, course-of-action, $object.id) :name?=$object.name :desc?=$object.description ]
         $node.data.set(stix:object, $object) return($node)",
    ),
    (
        "campaign",
        "[ ou:campaign=(stix, campaign, $object.id) :name?=$object.name :desc?=$object.description
            .seen?=$object.last_seen .seen?=$object.first_seen ]
         $node.data.set(stix:object, $object) return($node)",
    ),
    ("malware", SOFTWARE),
    (
        "indicator",
        "$guid = $lib.guid(stix, indicator, $object.id)
         switch $object.pattern_type {
            'yara': {[ it:app:yara:rule=$guid :name?=$object.name :text?=$object.pattern ]}
            'snort': {[ it:app:snort:rule=$guid :name?=$object.name :text?=$object.pattern ]}
            *: {
                [ it:sec:stix:indicator=$guid :name?=$object.name :pattern?=$object.pattern
                    :created?=$object.created :updated?=$object.modified ]
                | scrape --refs :pattern
            }
         }
         $node.data.set(stix:object, $object) return($node)",
    ),
    (
        "report",
        "[ media:news=(stix, report, $object.id)
            :title?=$object.name :summary?=$object.description :published?=$object.published ]
         $node.data.set(stix:object, $object) return($node)",
    ),
    ("ipv4-addr", "[ inet:ipv4?=$object.value ] return($node)"),
    ("ipv6-addr", "[ inet:ipv6?=$object.value ] return($node)"),
    (
        "location",
        "$place = ({'id': $object.id, '$try': true, '$props': {'desc': $object.desc}})
         if ($object.latitude != null and $object.longitude != null) {
            $place.latlong = ([$object.latitude, $object.longitude])
            // The precision of a location is in meters.
            if $object.precision { $place.radius = `{$object.precision} m` }
         }
         if $object.name { $place.name = $object.name }
         if $object.street_address { $place.address = $object.street_address }
         if $object.country {
            ($ok, $iso2) = $lib.trycast(pol:iso2, $object.country)
            if $ok { $place.loc = $iso2 }
         }
         [ geo:place?=$place ] return($node)",
    ),
    (
        "file",
        "$hashes = $object.hashes
         if (not $hashes) { return() }
         if $hashes.\"SHA-256\" {
            [ file:bytes?=$hashes.\"SHA-256\" ]
         } else {
            $best = (null)
            for ($name, $type) in ((\"SHA-512\", hash:sha512), (\"SHA-1\", hash:sha1), (MD5, hash:md5)) {
                if ($best = null and $hashes.$name) { ($ok, $best) = $lib.trycast($type, $hashes.$name) break }
            }
            if (not $hashes.\"SHA-512\" and not $hashes.\"SHA-1\" and not $hashes.MD5) { return() }
            [ file:bytes=`guid:{$lib.guid($best)}` ]
         }
         [ :md5?=$hashes.MD5 :sha1?=$hashes.\"SHA-1\" :sha256?=$hashes.\"SHA-256\" :sha512?=$hashes.\"SHA-512\"
            :name?=$object.name :size?=$object.size ]
         return($node)",
    ),
    ("url", "[ inet:url?=$object.value ] return($node)"),
    ("domain-name", "[ inet:fqdn?=$object.value ] return($node)"),
];

/// Types of the source, the relation and the target, and what the relation becomes.
const RELATION_STORM: &[([Option<&str>; 3], &str)] = &[
    ([Some("campaign"), Some("attributed-to"), Some("intrusion-set")], "$n1node.props.org = $n2node"),
    // STIX has it the other way round.
    ([Some("intrusion-set"), Some("attributed-to"), Some("threat-actor")], "$n2node.props.org = $n1node"),
    ([None, Some("uses"), None], "yield $n1node [ +(uses)> { yield $n2node } ]"),
    ([None, Some("indicates"), None], "yield $n1node [ +(indicates)> { yield $n2node } ]"),
    // Both are the same node here.
    ([Some("threat-actor"), Some("attributed-to"), Some("identity")], ""),
];

/// What STIX objects become.
pub fn import() -> Map {
    let objects: Map = OBJECT_STORM.iter().map(|(kind, storm)| (*kind, Map::new().with("storm", *storm))).collect();
    let relations: Value = RELATION_STORM
        .iter()
        .map(|(kinds, storm)| {
            let kinds: Value = kinds.iter().map(|kind| kind.map_or(Value::Null, Value::from)).collect();
            Value::from(Map::new().with("type", kinds).with("storm", *storm))
        })
        .collect();
    let bundle = "it:sec:stix:bundle:id=$bundle.id return($node) [ it:sec:stix:bundle=* :id=$bundle.id ] return($node)";
    Map::new()
        .with("addbundle", true)
        .with("bundle", Map::new().with("storm", bundle))
        .with("objects", objects)
        .with("relationships", relations)
}
