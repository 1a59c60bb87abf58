//! Arguments of commands, with the conventions of Python's `argparse` that the platform keeps.

use std::collections::VecDeque;
use std::sync::Arc;

use indexmap::IndexMap;
use myelin_error::{Error, err};
use myelin_model::types::py;
use myelin_value::{Map, Value};

use super::CmdDef;
use crate::ctl::Flow;
use crate::item::{Dflt, Item};
use crate::rt::Rt;

/// How many values an argument takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nargs {
    /// One.
    One,
    /// None or one (`?`).
    Maybe,
    /// Any number (`*`).
    Many,
    /// One or more (`+`).
    Some,
    /// Exactly so many.
    Exact(usize),
}

/// What an argument does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgType {
    /// Takes its value as it is.
    Any,
    /// Takes a value of a type of the model (`int`, `str`, `time`, `bool` …).
    Model(&'static str),
    /// A flag that sets true.
    True,
    /// A flag that sets false.
    False,
    /// Takes a value each time it is given.
    Append,
    /// Takes a value of a type each time it is given.
    AppendOf(&'static str),
}

/// One argument of a command of the runtime.
#[derive(Clone, Copy, Debug)]
pub struct ArgDef {
    /// Its names: `--long` and `-s`, or one plain name.
    pub names: &'static [&'static str],
    /// What it does.
    pub kind: ArgType,
    /// How many values it takes.
    pub nargs: Nargs,
    /// Its default. `None` leaves it out.
    pub default: Option<Dflt>,
    /// Whether it must be given, for options.
    pub required: bool,
    /// The values it takes; empty for any.
    pub choices: &'static [&'static str],
    /// What it is for.
    pub help: &'static str,
}

impl ArgDef {
    /// A positional argument.
    pub const fn pos(name: &'static [&'static str], help: &'static str) -> ArgDef {
        let (kind, nargs, default) = (ArgType::Any, Nargs::One, None);
        ArgDef { names: name, kind, nargs, default, required: false, choices: &[], help }
    }

    /// An option with a value.
    pub const fn opt(names: &'static [&'static str], help: &'static str) -> ArgDef {
        ArgDef { default: Some(Dflt::Null), ..ArgDef::pos(names, help) }
    }

    /// A flag.
    pub const fn flag(names: &'static [&'static str], help: &'static str) -> ArgDef {
        ArgDef { kind: ArgType::True, default: Some(Dflt::Bool(false)), ..ArgDef::pos(names, help) }
    }

    /// The same, of a type of the model.
    #[must_use]
    pub const fn typed(self, name: &'static str) -> ArgDef {
        ArgDef { kind: ArgType::Model(name), ..self }
    }

    /// The same, with a default.
    #[must_use]
    pub const fn dflt(self, dflt: Dflt) -> ArgDef {
        ArgDef { default: Some(dflt), ..self }
    }

    /// The same, with no default.
    #[must_use]
    pub const fn no_dflt(self) -> ArgDef {
        ArgDef { default: None, ..self }
    }

    /// The same, taking another number of values.
    #[must_use]
    pub const fn nargs(self, nargs: Nargs) -> ArgDef {
        ArgDef { nargs, ..self }
    }

    /// The same, doing something else.
    #[must_use]
    pub const fn kind(self, kind: ArgType) -> ArgDef {
        ArgDef { kind, ..self }
    }

    /// The same, required.
    #[must_use]
    pub const fn req(self) -> ArgDef {
        ArgDef { required: true, default: None, ..self }
    }

    /// The same, with choices.
    #[must_use]
    pub const fn choices(self, choices: &'static [&'static str]) -> ArgDef {
        ArgDef { choices, ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Act {
    Store,
    True,
    False,
    Append,
}

#[derive(Clone, Debug)]
struct ParsedArg {
    names: Vec<String>,
    dest: String,
    act: Act,
    typ: Option<String>,
    nargs: Nargs,
    default: Option<Value>,
    required: bool,
    choices: Vec<Value>,
    deprecated: Option<Value>,
    help: Option<String>,
}

/// Parsed arguments by name (dashes become underscores).
#[derive(Clone, Default)]
pub struct Opts(pub IndexMap<Arc<str>, Item>);

impl Opts {
    /// An argument; null when it was not given and has no default.
    pub fn get(&self, name: &str) -> Item {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// Whether an argument was given or has a default that is not null.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|item| !item.is_null())
    }

    /// A flag.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Item::Val(valu)) if valu.is_truthy())
    }

    /// An argument as text.
    ///
    /// # Errors
    /// `BadCast`.
    pub fn str(&self, rt: &Rt, name: &str) -> Flow<Arc<str>> {
        self.get(name).tostr(rt)
    }

    /// An argument as text unless it is null.
    ///
    /// # Errors
    /// `BadCast`.
    pub fn opt_str(&self, rt: &Rt, name: &str) -> Flow<Option<Arc<str>>> {
        if self.has(name) { self.str(rt, name).map(Some) } else { Ok(None) }
    }

    /// An argument as an integer.
    ///
    /// # Errors
    /// `BadCast`.
    pub fn int(&self, rt: &Rt, name: &str) -> Flow<i64> {
        self.get(name).toi64(rt)
    }

    /// An argument as an integer unless it is null.
    ///
    /// # Errors
    /// `BadCast`.
    pub fn opt_int(&self, rt: &Rt, name: &str) -> Flow<Option<i64>> {
        if self.has(name) { self.int(rt, name).map(Some) } else { Ok(None) }
    }

    /// The values of an argument that takes several.
    pub fn list(&self, name: &str) -> Vec<Item> {
        self.get(name).members().unwrap_or_default()
    }
}

/// What parsing gave.
#[derive(Default)]
pub struct Parsed {
    /// The arguments; nothing when the usage was printed.
    pub opts: Option<Opts>,
    /// Lines to print.
    pub lines: Vec<String>,
    /// Warnings to give once.
    pub warnings: Vec<String>,
    /// What is wrong with the arguments.
    pub error: Option<Error>,
}

/// A parser of arguments.
#[derive(Clone, Debug)]
pub struct Parser {
    prog: String,
    descr: String,
    args: Vec<ParsedArg>,
    cdef: Map,
}

fn dest_of(names: &[String]) -> String {
    let mut names: Vec<String> = names.iter().map(|name| name.trim_matches('-').replace('-', "_")).collect();
    names.sort_by_key(String::len);
    names.pop().unwrap_or_default()
}

impl Parser {
    fn new(prog: String, descr: String, cdef: Map) -> Parser {
        let help = ParsedArg {
            names: vec!["--help".to_owned(), "-h".to_owned()],
            dest: "help".to_owned(),
            act: Act::True,
            typ: None,
            nargs: Nargs::One,
            default: Some(Value::from(false)),
            required: false,
            choices: Vec::new(),
            deprecated: None,
            help: Some("Show how the command is used.".to_owned()),
        };
        Parser { prog, descr, args: vec![help], cdef }
    }

    /// The parser of a command of the runtime.
    pub fn from_def(def: &CmdDef) -> Parser {
        let mut parser = Parser::new(def.name.to_owned(), def.descr.to_owned(), Map::new());
        for arg in def.args {
            let names: Vec<String> = arg.names.iter().map(|name| (*name).to_owned()).collect();
            let (act, typ) = match arg.kind {
                ArgType::Any => (Act::Store, None),
                ArgType::Model(name) => (Act::Store, Some(name.to_owned())),
                ArgType::True => (Act::True, None),
                ArgType::False => (Act::False, None),
                ArgType::Append => (Act::Append, None),
                ArgType::AppendOf(name) => (Act::Append, Some(name.to_owned())),
            };
            let default = arg.default.map(|dflt| match dflt {
                Dflt::Bool(flag) => Value::from(flag),
                Dflt::Int(int) => Value::from(int),
                Dflt::Str(text) => Value::from(text),
                Dflt::List => Value::empty_list(),
                Dflt::Dict => Value::from(Map::new()),
                Dflt::Null | Dflt::Undef => Value::Null,
            });
            parser.args.push(ParsedArg {
                dest: dest_of(&names),
                names,
                act,
                typ,
                nargs: arg.nargs,
                default,
                required: arg.required,
                choices: arg.choices.iter().map(|text| Value::from(*text)).collect(),
                deprecated: None,
                help: Some(arg.help.to_owned()),
            });
        }
        parser
    }

    /// The parser of a command of a package, from its definition.
    pub fn from_map(def: &Map) -> Parser {
        let text = |name: &str| def.get_str(name).map(str::to_owned);
        let descr = text("descr").unwrap_or_else(|| "no documentation provided".to_owned());
        let mut parser = Parser::new(text("name").unwrap_or_default(), descr, def.clone());
        for item in def.get("cmdargs").and_then(Value::as_list).unwrap_or_default() {
            let (Some(name), Some(opts)) = (item.at(0).and_then(Value::as_str), item.at(1).and_then(Value::as_map))
            else {
                continue;
            };
            let names = vec![name.to_owned()];
            let act = match opts.get_str("action") {
                Some("store_true") => Act::True,
                Some("store_false") => Act::False,
                Some("append") => Act::Append,
                _ => Act::Store,
            };
            let nargs = match opts.get("nargs") {
                Some(Value::Int(count)) => Nargs::Exact(usize::try_from(*count).unwrap_or_default()),
                Some(valu) => match valu.as_str() {
                    Some("?") => Nargs::Maybe,
                    Some("*") => Nargs::Many,
                    Some("+") => Nargs::Some,
                    _ => Nargs::One,
                },
                None => Nargs::One,
            };
            parser.args.push(ParsedArg {
                dest: opts.get_str("dest").map_or_else(|| dest_of(&names), str::to_owned),
                names,
                act,
                typ: opts.get_str("type").map(str::to_owned),
                nargs,
                default: opts.get("default").cloned(),
                required: opts.get("required").is_some_and(Value::is_truthy),
                choices: opts.get("choices").and_then(Value::as_list).unwrap_or_default().to_vec(),
                deprecated: opts.get("deprecated").cloned(),
                help: opts.get_str("help").map(str::to_owned),
            });
        }
        parser
    }

    fn opt_arg(&self, name: &str) -> Option<&ParsedArg> {
        if !name.starts_with('-') {
            return None;
        }
        self.args.iter().rev().find(|arg| arg.names.iter().any(|have| have == name))
    }

    fn is_opt(&self, item: &Item) -> bool {
        item.as_str().is_some_and(|text| self.opt_arg(text).is_some())
    }

    /// Parses arguments.
    ///
    /// # Errors
    /// Only what converting a value gives; arguments that do not fit are in [`Parsed::error`].
    pub fn parse(&self, rt: &Rt, argv: Vec<Item>) -> Flow<Parsed> {
        let mut parsed = Parsed::default();
        match self.try_parse(rt, &argv, &mut parsed)? {
            Ok(opts) => parsed.opts = Some(opts),
            Err(mesg) => {
                parsed.lines = self.usage();
                parsed.error = mesg.map(|mesg| err!("BadArg", mesg = mesg));
            }
        }
        Ok(parsed)
    }

    fn try_parse(&self, rt: &Rt, argv: &[Item], parsed: &mut Parsed) -> Flow<Result<Opts, Option<String>>> {
        let mut opts = Opts::default();
        let mut posargs: VecDeque<Item> = VecDeque::new();
        let mut todo: VecDeque<Item> = argv.iter().cloned().collect();
        while let Some(item) = todo.pop_front() {
            let Some(arg) = item.as_str().and_then(|text| self.opt_arg(text)) else {
                posargs.push_back(item);
                continue;
            };
            if let Some(depr) = &arg.deprecated {
                parsed.warnings.push(deprecation(item.as_str().unwrap_or_default(), depr));
            }
            let dest: Arc<str> = Arc::from(arg.dest.as_str());
            match arg.act {
                Act::True => {
                    opts.0.insert(dest, Item::from(true));
                }
                Act::False => {
                    opts.0.insert(dest, Item::from(false));
                }
                Act::Append => {
                    let mut one = Opts::default();
                    if let Err(mesg) = self.store(rt, &arg.names[0], arg, &mut todo, &mut one)? {
                        return Ok(Err(Some(mesg)));
                    }
                    let mut vals = opts.list(&dest);
                    vals.push(one.get(&dest));
                    opts.0.insert(dest, Item::list(vals));
                }
                Act::Store => {
                    let name = item.as_str().unwrap_or_default().to_owned();
                    if let Err(mesg) = self.store(rt, &name, arg, &mut todo, &mut opts)? {
                        return Ok(Err(Some(mesg)));
                    }
                }
            }
        }
        if opts.0.shift_remove("help").is_some() {
            let extra = !opts.0.is_empty() || !posargs.is_empty();
            let words: Flow<Vec<String>> =
                argv.iter().map(|item| item.tostr(rt).map(|text| text.to_string())).collect();
            return Ok(Err(extra.then(|| {
                let words = words.unwrap_or_default().join(" ");
                format!("Extra arguments and flags are not supported with the help flag: {} {words}", self.prog)
            })));
        }
        let given = posargs.len();
        for arg in self.args.iter().filter(|arg| !arg.names[0].starts_with('-')) {
            if let Err(mesg) = self.store(rt, &arg.names[0], arg, &mut posargs, &mut opts)? {
                return Ok(Err(Some(mesg)));
            }
        }
        if !posargs.is_empty() {
            let want = given - posargs.len();
            return Ok(Err(Some(format!("Expected {want} positional arguments. Got {given}"))));
        }
        for arg in &self.args {
            if let Some(default) = arg.default.as_ref().filter(|_| arg.dest != "help") {
                opts.0.entry(Arc::from(arg.dest.as_str())).or_insert_with(|| Item::from_prim(default.clone()));
            }
        }
        for arg in self.args.iter().filter(|arg| arg.required) {
            if !opts.0.contains_key(arg.dest.as_str()) {
                return Ok(Err(Some(format!("Missing a required option: {}", arg.names.join(",")))));
            }
        }
        Ok(Ok(opts))
    }

    fn value(&self, rt: &Rt, name: &str, arg: &ParsedArg, item: Item) -> Flow<Result<Item, String>> {
        let mut item = item;
        if let Some(typ) = &arg.typ {
            let prim = item.tostor(rt, false);
            let norm =
                prim.ok().and_then(|prim| rt.model().typ(typ).and_then(|found| found.norm(&rt.norm_cx(), &prim).ok()));
            match norm {
                Some(norm) => item = Item::Val(norm.value),
                None => {
                    let text = item.tostr(rt).unwrap_or_default();
                    return Ok(Err(format!("Invalid value for type ({typ}): {text}")));
                }
            }
        }
        if !arg.choices.is_empty() {
            let prim = item.toprim(rt)?;
            if !arg.choices.iter().any(|choice| choice.py_eq(&prim)) {
                let shown = if name.starts_with('-') { name.to_owned() } else { format!("<{name}>") };
                let choices = choice_text(&arg.choices);
                let text = py::str_text(&prim);
                return Ok(Err(format!("Invalid choice for argument {shown} (choose from: {choices}): {text}")));
            }
        }
        Ok(Ok(item))
    }

    fn store(
        &self,
        rt: &Rt,
        name: &str,
        arg: &ParsedArg,
        todo: &mut VecDeque<Item>,
        opts: &mut Opts,
    ) -> Flow<Result<(), String>> {
        let dest: Arc<str> = Arc::from(arg.dest.as_str());
        let more = |todo: &VecDeque<Item>| todo.front().is_some_and(|item| !self.is_opt(item));
        macro_rules! pull {
            () => {{
                let item = todo.pop_front().unwrap_or_default();
                match self.value(rt, name, arg, item)? {
                    Ok(item) => item,
                    Err(mesg) => return Ok(Err(mesg)),
                }
            }};
        }
        match arg.nargs {
            Nargs::One => {
                if !more(todo) {
                    return Ok(Err(if name.starts_with('-') {
                        format!("An argument is required for {name}.")
                    } else {
                        format!("The argument <{name}> is required.")
                    }));
                }
                let item = pull!();
                opts.0.insert(dest, item);
            }
            Nargs::Maybe => {
                if more(todo) {
                    let item = pull!();
                    opts.0.insert(dest, item);
                } else {
                    let dflt = arg.default.clone().unwrap_or_default();
                    opts.0.entry(dest).or_insert_with(|| Item::from_prim(dflt));
                }
            }
            Nargs::Many | Nargs::Some => {
                let mut vals = Vec::new();
                while more(todo) {
                    vals.push(pull!());
                }
                if vals.is_empty() && arg.nargs == Nargs::Some {
                    return Ok(Err(format!("At least one argument is required for {name}.")));
                }
                opts.0.insert(dest, Item::list(vals));
            }
            Nargs::Exact(count) => {
                let mut vals = Vec::new();
                for _ in 0..count {
                    if !more(todo) {
                        return Ok(Err(format!("{count} arguments are required for {name}.")));
                    }
                    vals.push(pull!());
                }
                opts.0.insert(dest, Item::list(vals));
            }
        }
        Ok(Ok(()))
    }

    /// The lines of `--help`.
    pub fn usage(&self) -> Vec<String> {
        let mut lines = vec![String::new(), self.descr.clone()];
        if let Some(depr) = self.cdef.get("deprecated") {
            lines.push(String::new());
            lines.push(format!("Deprecated: {}", deprecation(&self.prog, depr)));
        }
        let pos: Vec<&ParsedArg> = self.args.iter().filter(|arg| !arg.names[0].starts_with('-')).collect();
        let names: Vec<String> = pos.iter().map(|arg| format!("<{}>", arg.names[0])).collect();
        lines.push(String::new());
        lines.push(format!("Usage: {} [options] {}", self.prog, names.join(" ")));
        lines.extend([String::new(), "Options:".to_owned(), String::new()]);
        for arg in self.args.iter().filter(|arg| arg.names[0].starts_with('-')) {
            let flag = matches!(arg.act, Act::True | Act::False);
            let base =
                if flag { format!("  {}", arg.names[0]) } else { format!("  {} {}", arg.names[0], dest_text(arg)) };
            let mut help = arg.help.clone().unwrap_or_else(|| "No help available.".to_owned());
            match (&arg.default, arg.choices.is_empty()) {
                (Some(default), true) if !flag => help.push_str(&format!(" (default: {})", py::str_text(default))),
                (Some(default), false) if !flag => {
                    let choices = choice_text(&arg.choices);
                    help.push_str(&format!(" (default: {}, choices: {choices})", py::str_text(default)));
                }
                (_, false) => help.push_str(&format!(" (choices: {})", choice_text(&arg.choices))),
                _ => {}
            }
            lines.extend(wrapped(&base, &help));
        }
        if !pos.is_empty() {
            lines.extend([String::new(), "Arguments:".to_owned(), String::new()]);
            for arg in pos {
                let mut help = arg.help.clone().unwrap_or_else(|| "No help available".to_owned());
                if !arg.choices.is_empty() {
                    help.push_str(&format!(" (choices: {})", choice_text(&arg.choices)));
                }
                lines.push(format!("{:<30}: {help}", format!("  {}", dest_text(arg))));
            }
        }
        lines
    }
}

fn choice_text(choices: &[Value]) -> String {
    choices.iter().map(py::str_text).collect::<Vec<_>>().join(", ")
}

fn dest_text(arg: &ParsedArg) -> String {
    let dest = &arg.dest;
    match arg.nargs {
        Nargs::Many => format!("[<{dest}> ...]"),
        Nargs::Some => format!("<{dest}> [<{dest}> ...]"),
        Nargs::Maybe => format!("[{dest}]"),
        _ => format!("<{dest}>"),
    }
}

/// Help beside its name, wrapped to 120 columns.
fn wrapped(base: &str, help: &str) -> Vec<String> {
    const LEFT: usize = 32;
    let mut lines: Vec<String> = Vec::new();
    let mut cur = String::new();
    for word in help.split_whitespace() {
        if !cur.is_empty() && cur.chars().count() + word.chars().count() + 1 > 120 - LEFT {
            lines.push(std::mem::take(&mut cur));
        }
        if !cur.is_empty() {
            cur.push(' ');
        }
        cur.push_str(word);
    }
    lines.push(cur);
    let rest = lines.split_off(1);
    let mut retn = vec![format!("{base:<30}: {}", lines[0])];
    retn.extend(rest.into_iter().map(|line| format!("{:<LEFT$}{line}", "")));
    retn
}

pub(super) fn deprecation(name: &str, depr: &Value) -> String {
    let text = |key: &str| depr.get(key).and_then(Value::as_str).map(str::to_owned);
    match (text("mesg"), text("eolvers"), text("eoldate")) {
        (Some(mesg), ..) => format!("\"{name}\" is deprecated: {mesg}"),
        (_, Some(version), _) => format!("\"{name}\" is deprecated and will be removed in {version}."),
        (.., date) => format!("\"{name}\" is deprecated and will be removed on {}.", date.unwrap_or_default()),
    }
}
