//! `$lib.gen`: the node which stands for a thing, found by what is known of it or made.
//!
//! Every function is a row: what its values must be, where the node may be found, how it is made. The queries of a row
//! see the arguments as variables. Guids are made of the same parts everywhere, so that two services agree on them.

use std::sync::Arc;

use crate::ctl::Flow;
use crate::item::{Arg, Args, Dflt, FuncDef, Item};
use crate::registry::LibDef;
use crate::rt::{Rt, var_map};

struct Row {
    args: &'static [Arg],
    /// Arguments and the types they are cast to; with `try`, a value that does not fit gives no node.
    casts: &'static [(&'static str, &'static str)],
    /// Where the node may be found, in order.
    finds: &'static [&'static str],
    make: &'static str,
}

const TRY: Arg = Arg::opt("try", Dflt::Bool(false));
const NAME: &[Arg] = &[Arg::req("name")];
const NAME_REPORTER: &[Arg] = &[Arg::req("name"), Arg::req("reporter")];

macro_rules! gens {
    ($($indx:literal $name:literal $args:expr, $casts:expr, $finds:expr, $make:expr;)*) => {
        static ROWS: &[Row] = &[$(Row { args: $args, casts: &$casts, finds: &$finds, make: $make }),*];

        /// The library.
        pub static LIB: LibDef = LibDef {
            path: "gen",
            funcs: &[$(FuncDef::rw($name, $args, |rt, _, args| run(rt, &ROWS[$indx], &args))),*],
            consts: &[],
        };
    };
}

gens! {
    0 "orgIdType" NAME, [], ["ou:id:type:name=$name"], "[ou:id:type=(gen, name, $name) :name=$name]";
    1 "orgIdNumber" &[Arg::req("type"), Arg::req("value")], [],
        ["$kind=$lib.gen.orgIdType($type) ou:id:number=($kind, $value)"],
        "$kind=$lib.gen.orgIdType($type) [ou:id:number=($kind, $value)]";
    2 "orgByName" &[Arg::req("name"), TRY], [("name", "ou:name")],
        ["ou:name=$name -> ou:org"], "[ou:org=(gen, name, $name) :name=$name]";
    3 "orgByFqdn" &[Arg::req("fqdn"), TRY], [("fqdn", "inet:fqdn")],
        ["inet:fqdn=$fqdn -> ou:org"], "[ou:org=(gen, fqdn, $fqdn) :dns:mx+=$fqdn]";
    4 "orgHqByName" NAME, [], [],
        "yield $lib.gen.orgByName($name) $org=$node $full=:name
         { -:hq [:hq={[ps:contact=(gen, hq, name, $full) :orgname=$full]}] }
         :hq -> ps:contact { -:org [:org=$org] }";
    5 "industryByName" NAME, [("name", "ou:industryname")],
        ["ou:industryname=$name -> ou:industry"], "[ou:industry=(gen, name, $name) :name=$name]";
    6 "newsByUrl" &[Arg::req("url"), TRY], [("url", "inet:url")],
        ["media:news:url=$url"], "[media:news=(gen, url, $url) :url=$url]";
    7 "softByName" NAME, [("name", "it:prod:softname")],
        ["it:prod:softname=$name -> it:prod:soft"], "[it:prod:soft=(gen, name, $name) :name=$name]";
    8 "vulnByCve" &[Arg::req("cve"), TRY, Arg::opt("reporter", Dflt::Null)], [("cve", "it:sec:cve")],
        ["risk:vuln:cve=$cve
          if $reporter { +:reporter:name=$reporter { -:reporter [:reporter=$lib.gen.orgByName($reporter)] } }"],
        "$seed=(gen, cve, $cve)
         if $reporter { $reporter=$lib.cast(ou:name, $reporter) $seed.append($reporter) }
         [risk:vuln=$seed :cve=$cve]
         if $reporter { [:reporter:name=$reporter :reporter=$lib.gen.orgByName($reporter)] }";
    9 "riskThreat" NAME_REPORTER, [("name", "ou:name"), ("reporter", "ou:name")],
        ["ou:name=$name tee { -> risk:threat:org:name } { -> risk:threat:org:names } |
          +:reporter:name=$reporter { -:reporter [:reporter=$lib.gen.orgByName($reporter)] }"],
        "[risk:threat=(gen, name, reporter, $name, $reporter) :org:name=$name
          :reporter=$lib.gen.orgByName($reporter) :reporter:name=$reporter]";
    10 "riskToolSoftware" NAME_REPORTER, [("name", "it:prod:softname"), ("reporter", "ou:name")],
        ["it:prod:softname=$name -> risk:tool:software
          +:reporter:name=$reporter { -:reporter [:reporter=$lib.gen.orgByName($reporter)] }"],
        "[risk:tool:software=(gen, $name, $reporter) :soft:name=$name
          :reporter:name=$reporter :reporter=$lib.gen.orgByName($reporter)]";
    11 "psContactByEmail" &[Arg::req("type"), Arg::req("email"), TRY],
        [("email", "inet:email"), ("type", "ps:contact:type:taxonomy")],
        ["ps:contact:email=$email +:type=$type"],
        "[ps:contact=(gen, type, email, $type, $email) :email=$email :type=$type]";
    12 "polCountryByIso2" &[Arg::req("iso2"), TRY], [("iso2", "pol:iso2")],
        ["pol:country:iso2=$iso2"], "[pol:country=(gen, iso2, $iso2) :iso2=$iso2]";
    13 "polCountryOrgByIso2" &[Arg::req("iso2"), TRY], [], [],
        "yield $lib.gen.polCountryByIso2($iso2, try=$try)
         { -:government [:government=$lib.gen.orgByName(`{:iso2} government`)] } :government -> ou:org";
    14 "langByName" NAME, [("name", "lang:name")],
        ["lang:name=$name -> lang:language"], "[lang:language=(gen, name, $name) :name=$name]";
    15 "langByCode" &[Arg::req("code"), TRY], [("code", "lang:code")],
        ["lang:language:code=$code"], "[lang:language=(bycode, $code) :code=$code]";
    16 "campaign" NAME_REPORTER, [("name", "ou:campname"), ("reporter", "ou:name")],
        ["ou:campname=$name -> ou:campaign
          +:reporter:name=$reporter { -:reporter [:reporter=$lib.gen.orgByName($reporter)] }"],
        "[ou:campaign=(gen, name, reporter, $name, $reporter) :name=$name
          :reporter:name=$reporter :reporter=$lib.gen.orgByName($reporter)]";
    17 "geoPlaceByName" NAME, [("name", "geo:name")],
        ["geo:name=$name -> geo:place"], "[geo:place=(gen, name, $name) :name=$name]";
    18 "fileBytesBySha256" &[Arg::req("sha256"), TRY], [("sha256", "hash:sha256")],
        ["file:bytes=$sha256", "file:bytes:sha256=$sha256"], "[file:bytes=$sha256]";
    19 "cryptoX509CertBySha256" &[Arg::req("sha256"), TRY], [("sha256", "hash:sha256")],
        [
            "$cert=$lib.guid(valu=$sha256) crypto:x509:cert=$cert",
            "crypto:x509:cert:sha256=$sha256",
            "file:bytes:sha256=$sha256 -> crypto:x509:cert:file { -:sha256 [:sha256=$sha256] }",
        ],
        "$cert=$lib.guid(valu=$sha256)
         [crypto:x509:cert=$cert :file=$lib.gen.fileBytesBySha256($sha256) :sha256=$sha256]";
    20 "inetTlsServerCertByServerAndSha256" &[Arg::req("server"), Arg::req("sha256"), TRY], [("server", "inet:server")],
        [],
        "$cert=$lib.gen.cryptoX509CertBySha256($sha256, try=$try)
         if $cert { [inet:tls:servercert=($server, $cert)] }";
    21 "itAvScanResultByTarget"
        &[
            Arg::req("form"), Arg::req("value"), Arg::req("signame"), Arg::opt("scanner", Dflt::Null),
            Arg::opt("time", Dflt::Null), TRY,
        ],
        [("value", ""), ("signame", "it:av:signame"), ("scanner", "it:prod:softname"), ("time", "time")],
        ["$lift=`it:av:scan:result:{$tprop}` *$lift=$value +:signame=$signame
          if ($time != $lib.null) { +:time=$time } if ($scanner != $lib.null) { +:scanner:name=$scanner }"],
        "[it:av:scan:result=(gen, target, $form, $value, $signame, $scanner, $time)
          :signame=$signame :$tprop=$value :scanner:name?=$scanner :time?=$time]";
}

/// The property that holds a target of a scan, by its form.
const TARGETS: [(&str, &str); 7] = [
    ("file:bytes", "target:file"),
    ("inet:fqdn", "target:fqdn"),
    ("inet:ipv4", "target:ipv4"),
    ("inet:ipv6", "target:ipv6"),
    ("inet:url", "target:url"),
    ("it:exec:proc", "target:proc"),
    ("it:host", "target:host"),
];

fn run(rt: &Rt, row: &Row, args: &Args) -> Flow<Item> {
    let mut vars: Vec<(Arc<str>, Item)> =
        row.args.iter().enumerate().map(|(indx, arg)| (Arc::from(arg.name), args.item(indx).clone())).collect();
    let get = |vars: &[(Arc<str>, Item)], name: &str| vars.iter().position(|(have, _)| &**have == name);
    let lenient = match get(&vars, "try") {
        Some(at) => vars[at].1.tobool(rt)?,
        None => false,
    };
    let form = match get(&vars, "form") {
        Some(at) => Some(vars[at].1.tostr(rt)?),
        None => None,
    };
    let model = rt.model();
    for (name, typ) in row.casts {
        let Some(at) = get(&vars, name) else { continue };
        if vars[at].1.is_null() {
            continue;
        }
        // The value of a target is of the type its form names.
        let typ = if typ.is_empty() { form.as_deref().unwrap_or_default() } else { typ };
        match model.req_type(typ)?.norm(&rt.norm_cx(), &vars[at].1.toprim(rt)?) {
            Ok(norm) => vars[at].1 = Item::deep(&norm.value),
            Err(error) if lenient && error.isa("BadTypeValu") => return Ok(Item::NULL),
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(form) = &form {
        let Some((_, prop)) = TARGETS.iter().find(|(have, _)| *have == &**form) else {
            crate::fail!("BadArg", mesg = format!("Unsupported target form {form}"));
        };
        vars.push((Arc::from("tprop"), Item::from(*prop)));
    }
    let vars = var_map(vars);
    for text in row.finds.iter().copied().chain([row.make]) {
        if let Some((node, _)) = rt.storm(text, vars.clone(), None)?.next()? {
            return Ok(Item::Node(node));
        }
    }
    Ok(Item::NULL)
}
