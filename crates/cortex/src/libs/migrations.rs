//! `$lib.model.migration.s`: moving nodes of single forms to what has replaced them, one node at a time.

use myelin_error::err;
use myelin_storm::edit::Editor;
use myelin_storm::rt::var_map;
use myelin_storm::{Arg, Args, Ctl, Ctrl, Dflt, Flow, FuncDef, Item, LibDef, Node, Registry, Rt};
use myelin_value::{Value, guid_of};

use super::migration;

const NODE: &[Arg] = &[Arg::req("n")];
const NODE_DATA: &[Arg] = &[Arg::req("n"), Arg::opt("nodata", Dflt::Bool(false))];

static LIB: LibDef = LibDef {
    path: "model.migration.s",
    funcs: &[
        FuncDef::rw("riskHasVulnToVulnerable", NODE_DATA, vulnerable),
        FuncDef::rw("inetSslCertToTlsServerCert", NODE_DATA, |rt, _, args| {
            check(&args, "inet:ssl:cert", "inetSslCertToTlsServerCert")?;
            run(rt, SERVER_CERT, &args)
        }),
        FuncDef::rw("inetServiceMessageClientAddress", NODE, |rt, _, args| {
            check(&args, "inet:service:message", "inetServiceMessageClientAddress")?;
            run(rt, CLIENT_ADDRESS, &args)
        }),
        FuncDef::rw("inetServiceInstanceToPlatform", NODE_DATA, |rt, _, args| {
            check(&args, "inet:service:instance", "inetServiceInstanceToPlatform")?;
            run(rt, PLATFORM, &args)
        }),
    ],
    consts: &[],
};

/// Puts the library into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_lib(&LIB);
}

/// The node in the first argument, if it is of a form.
fn check<'a>(args: &'a Args, form: &str, func: &str) -> Flow<&'a Node> {
    let bad = |mesg: String| -> Ctl { err!("BadArg", mesg = mesg).into() };
    let Some(node) = args.item(0).as_node() else {
        return Err(bad(format!("The argument of $lib.model.migration.s.{func}() must be a node.")));
    };
    if &**node.form_name() != form {
        let have = node.form_name();
        return Err(bad(format!("$lib.model.migration.s.{func}() takes {form} nodes, not {have}.")));
    }
    Ok(node)
}

/// Runs the Storm of a migration, with `$n` and `$nodata`; what it returns.
fn run(rt: &Rt, text: &str, args: &Args) -> Flow<Item> {
    let query = rt.parse(text)?;
    let vars = var_map([("n", args.item(0).clone()), ("nodata", Item::from(args.bool(rt, 1)?))]);
    let mut genr = rt.beside(&query, vars)?.execute()?;
    loop {
        match genr.next() {
            Ok(Some(_)) => rt.tick()?,
            Ok(None) => return Ok(Item::NULL),
            Err(Ctl::Ctrl(ctrl)) => match *ctrl {
                Ctrl::Return(item) => return Ok(item),
                other => return Err(Ctl::from(other)),
            },
            Err(error) => return Err(error),
        }
    }
}

const SERVER_CERT: &str = "
    $sha256 = { yield $n -> file:bytes -> hash:sha256 }
    if $sha256 {
        $cert = $lib.gen.inetTlsServerCertByServerAndSha256($n.props.server, $sha256)
    } else {
        // Nothing is known of the file but that it is there: the certificate is found or made by it.
        $x509 = { yield $n -> file:bytes -> crypto:x509:cert:file }
        if (not $x509) { $x509 = {[ crypto:x509:cert=($n.props.file,) :file=$n.props.file ]} }
        [ inet:tls:servercert=($n.props.server, $x509) ]
        $cert = $node
    }
    yield $cert
    [ .seen?=$n.props.'.seen' ]
    $lib.model.migration.copyTags($n, $node)
    $lib.model.migration.copyEdges($n, $node)
    if (not $nodata) { $lib.model.migration.copyData($n, $node) }
    return($node)
";

const CLIENT_ADDRESS: &str = "
    yield $n
    if (not :client:address) { return() }
    if :client { $node.data.set(migration:inet:service:message:client:address, :client:address) }
    else { [ :client=:client:address ] }
    [ -:client:address ]
    return()
";

const PLATFORM: &str = "
    ($guid, $above) = ($n.value(), $n.props.platform)
    $made = {[ inet:service:platform=$guid ]}
    if ($above = $guid) {
        $lib.warn(`The instance {$guid} is its own platform, so the new platform gets no :parent.`)
    } elif ($above != null) {
        $made.props.set(parent, $above)
    }
    for $name in (id, url, name, desc, period, status, creator, tenant, '.seen') {
        if ($n.props.$name != null) { $made.props.set($name, $n.props.$name) }
    }
    for $name in (owner, app) {
        if ($n.props.$name != null) { $made.data.set(`migration:inet:service:instance:{$name}`, $n.props.$name) }
    }
    $lib.model.migration.copyTags($n, $made)
    $lib.model.migration.copyEdges($n, $made)
    if (not $nodata) { $lib.model.migration.copyData($n, $made) }
    // What refers to the instance refers to the platform from now on, unless it names another platform already.
    yield $n <- *
    $form = $node.form()
    for ($name, $valu) in $node.props {
        if ($valu != $guid) { continue }
        if ($lib.model.prop(`{$form}:{$name}`).type.name != 'inet:service:instance') { continue }
        $other = $lib.regex.replace('instance$', 'platform', $name)
        $prop = $lib.model.prop(`{$form}:{$other}`)
        if ($prop = null or $prop.type.name != 'inet:service:platform') { continue }
        $have = $node.props.$other
        if ($have = null or $have = $above or $have = $guid) { $node.props.set($other, $guid) }
        else { $node.data.set(`migration:{$form}:{$name}`, $valu) }
        $node.props.set($name, $lib.undef)
    }
    fini { return($made) }
";

/// The properties of `risk:hasvuln` that name what is vulnerable.
const VULNERABLE: [&str; 8] = ["hardware", "host", "item", "org", "person", "place", "software", "spec"];

fn vulnerable(rt: &Rt, lib: &Item, args: Args) -> Flow<Item> {
    let node = check(&args, "risk:hasvuln", "riskHasVulnToVulnerable")?;
    let nodata = args.bool(rt, 1)?;
    let links: Vec<_> = VULNERABLE.iter().filter_map(|name| Some((*name, node.get(name)?))).collect();
    let Some(vuln) = node.get("vuln").filter(|_| !links.is_empty()) else { return Ok(Item::list([])) };
    let model = rt.model();
    let form = model.req_form("risk:vulnerable")?;
    let layer = rt.snap().layer().to_owned();
    rt.layer_confirm(&["node", "add", "risk:vulnerable"])?;
    let seen = node.get(".seen");
    for name in ["vuln", "node"].into_iter().chain(seen.is_some().then_some(".seen")) {
        if let Some(prop) = form.prop(name) {
            rt.confirm_prop_set(prop, Some(&layer))?;
        }
    }
    let mut made = Vec::new();
    for (name, valu) in &links {
        // With one link the guid stays; with more, the original makes one of the property alone, and so must we.
        let guid = match links.len() {
            1 => node.valu().clone(),
            _ => Value::from(guid_of(&Value::list([Value::Null, Value::from(*name)]))),
        };
        let typ = node.form().prop(name).map_or(Value::Null, |prop| Value::from(&prop.typ.name));
        let mut editor = Editor::new(rt);
        let buid = editor.add_node("risk:vulnerable", &guid)?;
        editor.set(buid, "vuln", &vuln)?;
        if let Some(seen) = &seen {
            editor.set(buid, ".seen", seen)?;
        }
        editor.set(buid, "node", &Value::list([typ, valu.clone()]))?;
        editor.finish()?;
        let missing = || err!("SynErr", mesg = "A risk:vulnerable node that was just added is not there.");
        let target = Item::Node(rt.snap().node_by_buid(&buid)?.ok_or_else(missing)?);
        let source = || Item::Node(node.clone());
        migration::copy_tags(rt, lib, Args::of(vec![source(), target.clone(), Item::from(false)]))?;
        migration::copy_edges(rt, lib, Args::of(vec![source(), target.clone()]))?;
        if !nodata {
            migration::copy_data(rt, lib, Args::of(vec![source(), target, Item::from(false)]))?;
        }
        made.push(Item::from(buid.to_hex()));
    }
    Ok(Item::list(made))
}
