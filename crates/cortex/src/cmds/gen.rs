//! `gen.*`: the node which stands for a thing, found by what is known of it or made.

use super::{PureArg, PureCmd, arg, flag};

const NAME: PureArg = arg("name", "The name.");
const REPORTER: PureArg = arg("reporter", "The name of the organization which reports it.");
const TRY: PureArg = flag("--try", "Give no node instead of an error when a value does not fit its type.");

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "gen.ou.id.number",
        "Find or make the ou:id:number of a type and a value.",
        &[arg("type", "The type of the number."), arg("value", "The number.")],
        "yield $lib.gen.orgIdNumber($cmdopts.type, $cmdopts.value)",
    ),
    PureCmd::new(
        "gen.ou.id.type",
        "Find or make the ou:id:type of a name.",
        &[NAME],
        "yield $lib.gen.orgIdType($cmdopts.name)",
    ),
    PureCmd::new(
        "gen.ou.org",
        "Find or make the ou:org of a name.",
        &[NAME],
        "yield $lib.gen.orgByName($cmdopts.name)",
    ),
    PureCmd::new(
        "gen.ou.org.hq",
        "Find or make the ps:contact of the seat of an organization.",
        &[arg("name", "The name of the organization.")],
        "yield $lib.gen.orgHqByName($cmdopts.name)",
    ),
    PureCmd::new(
        "gen.ou.campaign",
        "Find or make the ou:campaign of a name and a reporter.",
        &[NAME, REPORTER],
        "yield $lib.gen.campaign($cmdopts.name, $cmdopts.reporter)",
    ),
    PureCmd::new(
        "gen.it.prod.soft",
        "Find or make the it:prod:soft of a name.",
        &[NAME],
        "yield $lib.gen.softByName($cmdopts.name)",
    ),
    PureCmd::new(
        "gen.risk.threat",
        r#"Find or make the risk:threat of a name and a reporter.

Examples:

    gen.risk.threat "grey heron" "example labs""#,
        &[NAME, REPORTER],
        "yield $lib.gen.riskThreat($cmdopts.name, $cmdopts.reporter)",
    ),
    PureCmd::new(
        "gen.risk.tool.software",
        r#"Find or make the risk:tool:software of a name and a reporter.

Examples:

    gen.risk.tool.software blueshell "example labs""#,
        &[NAME, REPORTER],
        "yield $lib.gen.riskToolSoftware($cmdopts.name, $cmdopts.reporter)",
    ),
    PureCmd::new(
        "gen.risk.vuln",
        r#"Find or make the risk:vuln of a CVE and, if given, a reporter.

Examples:

    gen.risk.vuln CVE-2021-44228 "example labs""#,
        &[arg("cve", "The CVE."), REPORTER.nargs("?"), TRY],
        "yield $lib.gen.vulnByCve($cmdopts.cve, try=$cmdopts.try, reporter=$cmdopts.reporter)",
    ),
    PureCmd::new(
        "gen.ou.industry",
        "Find or make the ou:industry of a name.",
        &[NAME],
        "yield $lib.gen.industryByName($cmdopts.name)",
    ),
    PureCmd::new(
        "gen.pol.country",
        r#"Find or make the pol:country of an ISO 3166 code.

Examples:

    // Portugal
    gen.pol.country pt"#,
        &[arg("iso2", "The code, of two letters."), TRY],
        "yield $lib.gen.polCountryByIso2($cmdopts.iso2, try=$cmdopts.try)",
    ),
    PureCmd::new(
        "gen.pol.country.government",
        r#"Find or make the ou:org of the government of a country, by its ISO 3166 code.

Examples:

    // The government of Portugal
    gen.pol.country.government pt"#,
        &[arg("iso2", "The code, of two letters."), TRY],
        "yield $lib.gen.polCountryOrgByIso2($cmdopts.iso2, try=$cmdopts.try)",
    ),
    PureCmd::new(
        "gen.ps.contact.email",
        r#"Find or make the ps:contact of a type and an address.

Examples:

    gen.ps.contact.email office.staff ada@example.com"#,
        &[arg("type", "The type of the contact."), arg("email", "The address."), TRY],
        "yield $lib.gen.psContactByEmail($cmdopts.type, $cmdopts.email, try=$cmdopts.try)",
    ),
    PureCmd::new(
        "gen.lang.language",
        "Find or make the lang:language of a name.",
        &[NAME],
        "yield $lib.gen.langByName($cmdopts.name)",
    ),
    PureCmd::new(
        "gen.it.av.scan.result",
        r#"Find or make the it:av:scan:result of a target and a signature.

The scanner and the time of the scan tell results apart too, if given.

Examples:

    // A domain
    gen.it.av.scan.result inet:fqdn example.com trojan.generic

    // As one scanner saw it on one day
    gen.it.av.scan.result inet:fqdn example.com trojan.generic --scanner-name lookout --time 2024-05-01"#,
        &[
            arg("form", "The form of the target."),
            arg("value", "The value of the target."),
            arg("signame", "The name of the signature."),
            arg("--scanner-name", "The name of the scanner."),
            arg("--time", "When the scan was run."),
            TRY,
        ],
        r#"
        yield $lib.gen.itAvScanResultByTarget(
            $cmdopts.form, $cmdopts.value, $cmdopts.signame,
            scanner=$cmdopts.scanner_name, time=$cmdopts.time, try=$cmdopts.try)
        "#,
    ),
    PureCmd::new(
        "gen.geo.place",
        "Find or make the geo:place of a name.",
        &[NAME],
        "yield $lib.gen.geoPlaceByName($cmdopts.name)",
    ),
];
