//! Tools of the original that this build has not. Each says why, and what to do instead, with status 1.

use super::Exit;

/// Name, and why it is not here.
pub const ABSENT: &[(&str, &str)] = &[
    ("autodoc", AUTODOC),
    ("utils.autodoc", AUTODOC),
    ("changelog", CHANGELOG),
    ("utils.changelog", CHANGELOG),
    ("rstorm", RSTORM),
    ("utils.rstorm", RSTORM),
    ("pkgs.gendocs", PKGDOC),
    ("storm.pkg.doc", PKGDOC),
    ("storm.pkg._pandoc_filter", PKGDOC),
    (
        "docker.validate",
        "It checks the signatures of the original's container images, which this build does not come in. Verify your own \
         images with cosign.",
    ),
];

const AUTODOC: &str = "It writes the original's documentation from its Python classes. The model is told by getModelDict and \
                       getModelDef, libraries and commands by getStormDocs and the command help.";
const CHANGELOG: &str = "It keeps the change log of the original's own source repository.";
const RSTORM: &str =
    "It runs Storm in reStructuredText files with the original's test tools. Run queries with the tool storm.";
const PKGDOC: &str = "It builds documents of packages with rstorm and pandoc. Build them with the original and give the results to \
                      storm.pkg.gen.";

/// Says why a tool is not here.
pub fn say(name: &str, why: &str) -> Exit {
    println!("ERROR: FeatureNotSupported: The tool {name} is not part of this build. {why}");
    Ok(1)
}
