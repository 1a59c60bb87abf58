//! Constructors: which implementation stands behind a declared constructor, and its default options.

use std::fmt;

use myelin_error::Result;
use myelin_value::{Map, Value};

use super::{TypeImpl, TypeResolver, files, fqdn, geo, identity, inet, mail, numbers};
use super::{cvss, software, structures, telco, temporal, text, url};

/// A base type of the model core: its name, constructor and options.
pub struct BaseType {
    /// The name of the type.
    pub name: &'static str,
    /// Its constructor.
    pub ctor: CtorKind,
}

impl BaseType {
    /// The options with which the core declares it.
    pub fn opts(&self) -> Map {
        match self.ctor {
            CtorKind::Range => Map::new().with("type", Value::list([Value::from("int"), Value::from(Map::new())])),
            CtorKind::Array => Map::new().with("type", "int"),
            _ => Map::new(),
        }
    }
}

macro_rules! ctors {
    ($($(#[$doc:meta])* $kind:ident = $module:literal, $make:path;)*) => {
        /// The constructors of the platform, under the names of their classes.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum CtorKind {
            $($(#[$doc])* $kind,)*
        }

        impl CtorKind {
            /// Every constructor.
            pub const ALL: &'static [CtorKind] = &[$(CtorKind::$kind),*];

            /// The name of the class.
            pub fn class_name(self) -> &'static str {
                match self {
                    $(CtorKind::$kind => stringify!($kind),)*
                }
            }

            /// The path of the class, which clients see as the `ctor` of a type.
            pub fn python_path(self) -> &'static str {
                match self {
                    $(CtorKind::$kind => concat!("synapse.", $module, ".", stringify!($kind)),)*
                }
            }

            pub(super) fn make(
                self,
                resolver: &dyn TypeResolver,
                name: &str,
                opts: &mut Map,
            ) -> Result<Box<dyn TypeImpl>> {
                let decl = Decl { resolver, name, opts };
                match self {
                    $(CtorKind::$kind => Ok(Box::new($make(decl)?)),)*
                }
            }
        }
    };
}

ctors! {
    Int = "lib.types", numbers::Int::new;
    Float = "lib.types", numbers::Float::new;
    HugeNum = "lib.types", numbers::HugeNum::new;
    Bool = "lib.types", numbers::Bool::new;
    Velocity = "lib.types", numbers::Velocity::new;
    Time = "lib.types", temporal::Time::new;
    Duration = "lib.types", temporal::Duration::new;
    Ival = "lib.types", temporal::Ival::new;
    Str = "lib.types", text::Str::new;
    Hex = "lib.types", text::Hex::new;
    Guid = "lib.types", text::Guid::new;
    Loc = "lib.types", text::Loc::new;
    TagPart = "lib.types", text::TagPart::new;
    Tag = "lib.types", text::Tag::new;
    Taxon = "lib.types", text::Taxon::new;
    Taxonomy = "lib.types", text::Taxonomy::new;
    Comp = "lib.types", structures::Comp::new;
    Array = "lib.types", structures::Array::new;
    Range = "lib.types", structures::Range::new;
    Ndef = "lib.types", structures::Ndef::new;
    NodeProp = "lib.types", structures::NodeProp::new;
    Edge = "lib.types", structures::Edge::new;
    TimeEdge = "lib.types", structures::TimeEdge::new;
    Data = "lib.types", structures::Data::new;
    DnsName = "models.dns", fqdn::DnsName::new;
    FileBase = "models.files", files::FileBase::new;
    FilePath = "models.files", files::FilePath::new;
    FileBytes = "models.files", files::FileBytes::new;
    Dist = "models.geospace", geo::Dist::new;
    Area = "models.geospace", geo::Area::new;
    LatLong = "models.geospace", geo::LatLong::new;
    Addr = "models.inet", inet::Addr::new;
    Cidr4 = "models.inet", inet::Cidr4::new;
    Cidr6 = "models.inet", inet::Cidr6::new;
    Email = "models.inet", mail::Email::new;
    Fqdn = "models.inet", fqdn::Fqdn::new;
    HttpCookie = "models.inet", url::HttpCookie::new;
    IPv4 = "models.inet", inet::IPv4::new;
    IPv6 = "models.inet", inet::IPv6::new;
    IPv4Range = "models.inet", inet::IPv4Range::new;
    IPv6Range = "models.inet", inet::IPv6Range::new;
    Rfc2822Addr = "models.inet", mail::Rfc2822Addr::new;
    Url = "models.inet", url::Url::new;
    Cpe22Str = "models.infotech", software::Cpe22Str::new;
    Cpe23Str = "models.infotech", software::Cpe23Str::new;
    SemVer = "models.infotech", software::SemVer::new;
    CvssV2 = "models.risk", cvss::CvssV2::new;
    CvssV3 = "models.risk", cvss::CvssV3::new;
    SynUser = "models.syn", identity::SynUser::new;
    SynRole = "models.syn", identity::SynRole::new;
    Phone = "models.telco", telco::Phone::new;
    Imsi = "models.telco", telco::Imsi::new;
    Imei = "models.telco", telco::Imei::new;
}

impl fmt::Debug for CtorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class_name())
    }
}

/// A declaration being made into an implementation. Constructors may settle options of their own.
pub(super) struct Decl<'a> {
    pub resolver: &'a dyn TypeResolver,
    pub name: &'a str,
    pub opts: &'a mut Map,
}

impl Decl<'_> {
    /// Whether an option is set and true.
    pub fn flag(&self, name: &str) -> bool {
        self.opts.get(name).is_some_and(Value::is_truthy)
    }

    /// An option, unless it is missing or null.
    pub fn opt(&self, name: &str) -> Option<&Value> {
        self.opts.get(name).filter(|valu| !valu.is_null())
    }

    /// A text option, unless it is missing or null.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.opt(name).and_then(Value::as_str)
    }
}

impl CtorKind {
    /// The constructor with a class path; only the last part counts.
    pub fn from_path(path: &str) -> Option<CtorKind> {
        let class = path.rsplit('.').next()?;
        CtorKind::ALL.iter().copied().find(|kind| kind.class_name() == class)
    }

    /// The options a type of this constructor has before anything is declared.
    pub fn default_opts(self) -> Map {
        match self {
            CtorKind::Int | CtorKind::Dist | CtorKind::Area | CtorKind::SemVer | CtorKind::Imsi | CtorKind::Imei => {
                Map::new()
                    .with("size", 8)
                    .with("signed", true)
                    .with("enums:strict", true)
                    .with("fmt", "%d")
                    .with("min", Value::Null)
                    .with("max", Value::Null)
                    .with("ismin", false)
                    .with("ismax", false)
            }
            CtorKind::Float => Map::new()
                .with("fmt", "%f")
                .with("min", Value::Null)
                .with("minisvalid", true)
                .with("max", Value::Null)
                .with("maxisvalid", true),
            CtorKind::HugeNum => Map::new().with("units", Value::Null).with("modulo", Value::Null),
            CtorKind::Velocity => Map::new().with("relative", false),
            CtorKind::Time => Map::new().with("ismin", false).with("ismax", false),
            CtorKind::Duration => Map::new().with("signed", false),
            CtorKind::Hex => Map::new().with("size", 0).with("zeropad", 0),
            CtorKind::Range | CtorKind::IPv4Range | CtorKind::IPv6Range => Map::new().with("type", Value::Null),
            kind if kind.is_textual() => Map::new()
                .with("enums", Value::Null)
                .with("regex", Value::Null)
                .with("lower", false)
                .with("strip", false)
                .with("replace", Value::empty_list())
                .with("onespace", false)
                .with("globsuffix", false),
            _ => Map::new(),
        }
    }

    /// Whether it takes the options of `str`.
    pub fn is_textual(self) -> bool {
        use CtorKind as K;
        matches!(
            self,
            K::Str
                | K::TagPart
                | K::Tag
                | K::Taxon
                | K::Taxonomy
                | K::DnsName
                | K::FileBase
                | K::FilePath
                | K::FileBytes
                | K::Addr
                | K::Cidr4
                | K::Cidr6
                | K::Email
                | K::HttpCookie
                | K::Rfc2822Addr
                | K::Url
                | K::Cpe22Str
                | K::Cpe23Str
                | K::CvssV2
                | K::CvssV3
                | K::Phone
        )
    }
}

const fn base(name: &'static str, ctor: CtorKind) -> BaseType {
    BaseType { name, ctor }
}

/// The base types every model starts with, in order. Other constructors are declared by the model's modules.
pub static BASE_TYPES: &[BaseType] = &[
    base("int", CtorKind::Int),
    base("float", CtorKind::Float),
    base("range", CtorKind::Range),
    base("str", CtorKind::Str),
    base("hex", CtorKind::Hex),
    base("bool", CtorKind::Bool),
    base("time", CtorKind::Time),
    base("duration", CtorKind::Duration),
    base("ival", CtorKind::Ival),
    base("guid", CtorKind::Guid),
    base("syn:tag:part", CtorKind::TagPart),
    base("syn:tag", CtorKind::Tag),
    base("comp", CtorKind::Comp),
    base("loc", CtorKind::Loc),
    base("ndef", CtorKind::Ndef),
    base("array", CtorKind::Array),
    base("edge", CtorKind::Edge),
    base("timeedge", CtorKind::TimeEdge),
    base("data", CtorKind::Data),
    base("nodeprop", CtorKind::NodeProp),
    base("hugenum", CtorKind::HugeNum),
    base("taxon", CtorKind::Taxon),
    base("taxonomy", CtorKind::Taxonomy),
    base("velocity", CtorKind::Velocity),
];
