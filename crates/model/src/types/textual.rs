//! What every type built on text has in common: which inputs count as text, the options of `str`, and prefix lifts.
//!
//! A family gives its [`TextRules`]; [`Textual`] makes a type of them.

use std::sync::Arc;

use myelin_error::{Result, err};
use myelin_value::Value;

use super::ctors::Decl;
use super::scratch::{Scratch, Text};
use super::{Cmpr, Decimal, Norm, NormCx, NormInfo, PyRegex, StorCmpr, Type, TypeImpl, TypeVals, py};
use crate::StorType;

/// The options of `str`.
pub struct TextOpts {
    pub enums: Option<Vec<String>>,
    pub regex: Option<PyRegex>,
    pub lower: bool,
    pub strip: bool,
    pub replace: Vec<(String, String)>,
    pub onespace: bool,
    pub globsuffix: bool,
}

impl TextOpts {
    fn new(decl: &Decl<'_>) -> Result<TextOpts> {
        let mut replace = Vec::new();
        for item in decl.opt("replace").and_then(Value::as_list).unwrap_or_default() {
            let (Some(look), Some(repl)) = (item.at(0).and_then(Value::as_str), item.at(1).and_then(Value::as_str))
            else {
                return Err(err!("BadTypeDef", mesg = "Replacements are pairs of texts.", name = decl.name));
            };
            replace.push((look.to_owned(), repl.to_owned()));
        }
        Ok(TextOpts {
            enums: decl.text("enums").map(|enums| enums.split(',').map(str::to_owned).collect()),
            regex: decl.text("regex").map(PyRegex::new).transpose()?,
            lower: decl.flag("lower"),
            strip: decl.flag("strip"),
            replace,
            onespace: decl.flag("onespace"),
            globsuffix: decl.flag("globsuffix"),
        })
    }

    /// The text after `lower`, `replace`, `strip` and `onespace`. For lifts only the left side is stripped.
    pub fn clean<'a>(&self, text: &'a str, for_lift: bool) -> Text<'a> {
        let mut out = Text::Given(text);
        if self.lower && text.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
            let mut lower = Scratch::new();
            lower.push_lower(text);
            out = Text::Made(lower);
        }
        for (look, repl) in &self.replace {
            if out.contains(look.as_str()) {
                let mut made = Scratch::new();
                made.push_str(&out.replace(look.as_str(), repl));
                out = Text::Made(made);
            }
        }
        if self.strip {
            out = out.trimmed(|text| if for_lift { text.trim_start_matches(py::is_space) } else { py::strip(text) });
        }
        if self.onespace && !py::is_onespaced(&out) {
            let mut made = Scratch::new();
            for (nth, word) in py::words(&out).enumerate() {
                if nth > 0 {
                    made.push(' ');
                }
                made.push_str(word);
            }
            out = Text::Made(made);
        }
        out
    }

    fn is_plain(&self) -> bool {
        !self.lower && !self.strip && !self.onespace && self.replace.is_empty()
    }

    /// The value of a prefix or range lift: cleaned, not checked.
    pub fn for_lift(&self, ty: &Type, valu: &Value) -> Result<Value> {
        match valu {
            Value::Str(text) => Ok(Value::from(&*self.clean(text, true))),
            other if self.is_plain() => Ok(other.clone()),
            // Bytes know how to be lowered and stripped, and match nothing.
            Value::Bytes(byts) if self.replace.is_empty() && !self.onespace => {
                let mut byts = byts.to_vec();
                if self.lower {
                    byts.make_ascii_lowercase();
                }
                Ok(Value::from(if self.strip { byts.trim_ascii_start() } else { &byts }))
            }
            other => Err(ty.no_norm(other.kind())),
        }
    }
}

/// What a type built on text does with it.
pub trait TextRules: Send + Sync + Sized {
    /// The rules for a declaration, which may settle options of its own.
    fn make(decl: &mut Decl<'_>) -> Result<Self>;

    /// The norm of a text.
    fn norm_text(&self, opts: &TextOpts, ty: &Type, cx: &NormCx, text: &str) -> Result<Norm>;

    /// The norm of a text that is shared already, for types which may keep it as it is.
    fn norm_shared(&self, opts: &TextOpts, ty: &Type, cx: &NormCx, text: &Arc<str>) -> Result<Norm> {
        self.norm_text(opts, ty, cx, text)
    }

    /// The norm of a list or bytes, for types that take them.
    fn norm_other(&self, _opts: &TextOpts, _ty: &Type, _cx: &NormCx, _valu: &Value) -> Option<Result<Norm>> {
        None
    }

    /// The value of a prefix or range lift.
    fn for_lift(&self, opts: &TextOpts, ty: &Type, _cx: &NormCx, valu: &Value) -> Result<Value> {
        opts.for_lift(ty, valu)
    }

    /// How a stored value prints.
    fn repr(&self, norm: &Value) -> Value {
        norm.clone()
    }

    /// A filter comparator of its own.
    fn cmpr_ctor(
        &self,
        _opts: &TextOpts,
        _ty: &Arc<Type>,
        _cx: &NormCx,
        _op: &str,
        _rhs: &Value,
    ) -> Option<Result<Cmpr>> {
        None
    }

    /// Whether an integer may be taken for its decimal text.
    fn check_int(&self, _ty: &Type, _valu: &Value) -> Result<()> {
        Ok(())
    }

    /// The values one input stands for.
    fn type_vals(&self, _valu: &Value) -> Option<TypeVals> {
        None
    }
}

/// A type made of text rules.
pub struct Textual<R> {
    opts: TextOpts,
    rules: R,
}

impl<R: TextRules> Textual<R> {
    pub(super) fn new(mut decl: Decl<'_>) -> Result<Textual<R>> {
        let rules = R::make(&mut decl)?;
        Ok(Textual { opts: TextOpts::new(&decl)?, rules })
    }

    fn norm_text(&self, ty: &Type, cx: &NormCx, text: &str) -> Result<Norm> {
        self.rules.norm_text(&self.opts, ty, cx, text)
    }
}

/// A float as positional decimal text.
pub fn float_plain(valu: f64) -> String {
    Decimal::parse(&py::float_repr(valu)).map_or_else(|| py::float_repr(valu), |huge| huge.to_plain())
}

impl<R: TextRules> TypeImpl for Textual<R> {
    fn norm(&self, ty: &Type, cx: &NormCx, valu: &Value) -> Result<Norm> {
        match valu {
            Value::Str(text) => self.rules.norm_shared(&self.opts, ty, cx, text),
            Value::Int(_) | Value::Big(_) => {
                self.rules.check_int(ty, valu)?;
                self.norm_text(ty, cx, &py::str_text(valu))
            }
            Value::Bool(flag) => self.norm_text(ty, cx, if *flag { "true" } else { "false" }),
            Value::Float(float) => self.norm_text(ty, cx, &float_plain(*float)),
            other => match self.rules.norm_other(&self.opts, ty, cx, other) {
                Some(made) => made,
                None => Err(ty.no_norm(other.kind())),
            },
        }
    }

    fn norm_number(&self, ty: &Type, cx: &NormCx, number: &Decimal) -> Result<Norm> {
        self.norm_text(ty, cx, &number.to_string())
    }

    fn repr(&self, _ty: &Type, _cx: &NormCx, norm: &Value) -> Result<Value> {
        Ok(self.rules.repr(norm))
    }

    fn cmpr_ctor(&self, ty: &Arc<Type>, cx: &NormCx, op: &str, rhs: &Value) -> Option<Result<Cmpr>> {
        self.rules.cmpr_ctor(&self.opts, ty, cx, op, rhs)
    }

    fn lift(&self, ty: &Type, cx: &NormCx, op: &str, valu: &Value) -> Option<Result<Vec<StorCmpr>>> {
        match op {
            "=" if self.opts.globsuffix => match valu {
                Value::Str(text) => text.strip_suffix('*').map(|prefix| Ok(ty.stor("^=", prefix))),
                other => Some(Err(ty.no_norm(other.kind()))),
            },
            "^=" => Some(self.rules.for_lift(&self.opts, ty, cx, valu).map(|valu| ty.stor("^=", valu))),
            "range=" => Some(ty.pair_items(op, valu).and_then(|(min, max)| {
                let min = self.rules.for_lift(&self.opts, ty, cx, &min)?;
                let max = self.rules.for_lift(&self.opts, ty, cx, &max)?;
                Ok(ty.stor("range=", [min, max]))
            })),
            _ => None,
        }
    }

    fn lift_names(&self) -> &'static [&'static str] {
        &["^="]
    }

    fn type_vals(&self, _ty: &Type, _cx: &NormCx, valu: &Value) -> Option<Result<TypeVals>> {
        self.rules.type_vals(valu).map(Ok)
    }

    fn stortype(&self) -> StorType {
        StorType::UTF8
    }
}

/// The rules of `str` itself.
pub struct StrRules;

impl TextRules for StrRules {
    fn make(_decl: &mut Decl<'_>) -> Result<StrRules> {
        Ok(StrRules)
    }

    fn norm_text(&self, opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &str) -> Result<Norm> {
        let norm = opts.clean(text, false);
        let info = self.check(opts, ty, text, &norm)?;
        Ok(Norm { value: Value::from(&*norm), info })
    }

    fn norm_shared(&self, opts: &TextOpts, ty: &Type, _cx: &NormCx, text: &Arc<str>) -> Result<Norm> {
        match opts.clean(text, false) {
            Text::Given(norm) if norm.len() == text.len() => {
                let info = self.check(opts, ty, text, norm)?;
                Ok(Norm { value: Value::Str(text.clone()), info })
            }
            norm => {
                let info = self.check(opts, ty, text, &norm)?;
                Ok(Norm { value: Value::from(&*norm), info })
            }
        }
    }
}

impl StrRules {
    /// Enums and pattern; the named groups of the pattern are what follows.
    fn check(&self, opts: &TextOpts, ty: &Type, text: &str, norm: &str) -> Result<NormInfo> {
        if let Some(enums) = &opts.enums
            && !enums.iter().any(|have| have == norm)
        {
            let mesg = format!("The value is none of: {}.", enums.join(", "));
            // The original looks for the names among the type's information, where they are not.
            let names = ty.info.get("enums").cloned().unwrap_or_default();
            return Err(ty.bad_valu(&Value::from(text), mesg).with("enums", names));
        }
        let mut info = NormInfo::default();
        if let Some(regx) = &opts.regex {
            let Some(groups) = regx.match_start(norm)? else {
                let mesg = format!("{text:?} does not match the pattern {:?}.", regx.pattern());
                return Err(ty.bad_valu(&Value::from(text), mesg).with("regx", regx.pattern()));
            };
            for (name, group) in regx.group_names().into_iter().zip(groups) {
                let Some(name) = name else { continue };
                let valu = group.and_then(|(from, to)| norm.get(from..to)).map_or(Value::Null, Value::from);
                info.subs.push((Arc::<str>::from(name).into(), valu));
            }
        }
        Ok(info)
    }
}
