//! Functions: the tables that describe those of the runtime, the binding of arguments, the closures of Storm.

use std::sync::Arc;

use myelin_error::err;
use myelin_value::Value;

use super::Item;
use crate::ctl::Flow;
use crate::rt::Rt;
use myelin_storm_syntax as ast;

/// What a function or method runs: the runtime of the caller, the object (the library for functions), the arguments.
pub type Handler = fn(&Rt, &Item, Args) -> Flow<Item>;
/// What computes a property of an object or a constant of a library.
pub type Getter = fn(&Rt, &Item) -> Flow<Item>;
/// What sets a property of an object; the value may be `Undef`.
pub type Setter = fn(&Rt, &Item, Item) -> Flow<()>;

/// The default of an optional argument.
#[derive(Clone, Copy, Debug)]
pub enum Dflt {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Text.
    Str(&'static str),
    /// `$lib.undef`.
    Undef,
    /// A new empty list.
    List,
    /// A new empty dictionary.
    Dict,
}

impl Dflt {
    fn item(self) -> Item {
        match self {
            Dflt::Null => Item::NULL,
            Dflt::Bool(flag) => Item::from(flag),
            Dflt::Int(int) => Item::from(int),
            Dflt::Str(text) => Item::from(text),
            Dflt::Undef => Item::Undef,
            Dflt::List => Item::list([]),
            Dflt::Dict => Item::dict::<&str>([]),
        }
    }
}

/// How an argument is given.
#[derive(Clone, Copy, Debug)]
pub enum ArgKind {
    /// It must be given.
    Req,
    /// It may be left out.
    Opt(Dflt),
    /// Takes what positional arguments are left.
    Star,
    /// Takes what named arguments are left.
    Kwargs,
}

/// One argument of a function of the runtime.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name.
    pub name: &'static str,
    /// How it is given.
    pub kind: ArgKind,
}

impl Arg {
    /// An argument that must be given.
    pub const fn req(name: &'static str) -> Arg {
        Arg { name, kind: ArgKind::Req }
    }

    /// An argument with a default.
    pub const fn opt(name: &'static str, dflt: Dflt) -> Arg {
        Arg { name, kind: ArgKind::Opt(dflt) }
    }

    /// All further positional arguments.
    pub const fn star(name: &'static str) -> Arg {
        Arg { name, kind: ArgKind::Star }
    }

    /// All further named arguments.
    pub const fn kwargs(name: &'static str) -> Arg {
        Arg { name, kind: ArgKind::Kwargs }
    }
}

/// A function or method of the runtime.
#[derive(Clone, Copy, Debug)]
pub struct FuncDef {
    /// Its name.
    pub name: &'static str,
    /// Its arguments in order.
    pub args: &'static [Arg],
    /// Whether a read-only query may call it.
    pub readonly: bool,
    /// What it does.
    pub run: Handler,
}

impl FuncDef {
    /// A function that read-only queries may call.
    pub const fn ro(name: &'static str, args: &'static [Arg], run: Handler) -> FuncDef {
        FuncDef { name, args, readonly: true, run }
    }

    /// A function that read-only queries may not call.
    pub const fn rw(name: &'static str, args: &'static [Arg], run: Handler) -> FuncDef {
        FuncDef { name, args, readonly: false, run }
    }
}

/// The methods and properties of an object type.
#[derive(Debug)]
pub struct TypeDef {
    /// The name of the type.
    pub name: &'static str,
    /// Its methods.
    pub funcs: &'static [FuncDef],
    /// Its properties.
    pub getters: &'static [(&'static str, Getter)],
    /// What may be set on it, and whether a read-only query may.
    pub setters: &'static [(&'static str, bool, Setter)],
}

impl TypeDef {
    /// A method by name.
    pub fn func(&self, name: &str) -> Option<&'static FuncDef> {
        self.funcs.iter().find(|func| func.name == name)
    }

    /// A property by name.
    pub fn getter(&self, name: &str) -> Option<Getter> {
        self.getters.iter().find(|(have, _)| *have == name).map(|(_, getter)| *getter)
    }
}

/// A closure of the host as a function of the runtime.
pub type NativeFn = Arc<dyn Fn(&Rt, Args) -> Flow<Item> + Send + Sync>;

/// A function or method of the runtime, bound to its object.
pub enum Bound {
    /// From a table.
    Def {
        /// The object, or the library.
        this: Item,
        /// The entry.
        def: &'static FuncDef,
    },
    /// Made at run time.
    Native {
        /// Its name.
        name: Arc<str>,
        /// Whether a read-only query may call it.
        readonly: bool,
        /// What it does; the arguments are not bound to names.
        run: NativeFn,
    },
}

impl Bound {
    /// How errors call it.
    pub fn path(&self) -> String {
        match self {
            Bound::Def { this: Item::Lib(path), def } if path.is_empty() => format!("$lib.{}", def.name),
            Bound::Def { this: Item::Lib(path), def } => format!("$lib.{}.{}", path.join("."), def.name),
            Bound::Def { this, def } => format!("{}.{}", this.type_name(), def.name),
            Bound::Native { name, .. } => name.to_string(),
        }
    }

    /// Whether a read-only query may call it.
    pub fn is_readonly(&self) -> bool {
        match self {
            Bound::Def { def, .. } => def.readonly,
            Bound::Native { readonly, .. } => *readonly,
        }
    }

    /// Calls it.
    ///
    /// # Errors
    /// `StormRuntimeError` when the arguments do not fit; whatever it gives.
    pub fn call(&self, rt: &Rt, args: Vec<Item>, kwargs: Vec<(Arc<str>, Item)>) -> Flow<Item> {
        match self {
            Bound::Def { this, def } => {
                let args = bind(&self.path(), def.args, args, kwargs)?;
                (def.run)(rt, this, args)
            }
            Bound::Native { run, .. } => run(rt, Args { items: Vec::new(), rest: args, kwargs }),
        }
    }
}

/// A function written in Storm, with the scope it was defined in.
pub struct Closure {
    /// Its definition.
    pub def: Arc<ast::Function>,
    /// The runtime it was defined in.
    pub rt: Rt,
    /// The arguments and their defaults.
    pub args: Vec<(Arc<str>, Option<Item>)>,
    /// Its body as statements, when it is such; made at the first call.
    pub block: std::sync::OnceLock<Option<crate::ops::Block>>,
    /// How errors call it, when it is part of a module.
    pub path: parking_lot::Mutex<Arc<str>>,
    /// Whether it was made by a module, whose error positions mean nothing to the caller.
    pub from_module: std::sync::atomic::AtomicBool,
}

/// Bound arguments, in the order of the declaration.
pub struct Args {
    items: Vec<Item>,
    rest: Vec<Item>,
    kwargs: Vec<(Arc<str>, Item)>,
}

fn arg_error(path: &str, mesg: &str) -> crate::Ctl {
    err!("StormRuntimeError", mesg = format!("{path}() {mesg}")).into()
}

/// Binds given arguments to declared ones.
///
/// # Errors
/// `StormRuntimeError` when they do not fit.
fn bind(path: &str, defs: &[Arg], args: Vec<Item>, mut kwargs: Vec<(Arc<str>, Item)>) -> Flow<Args> {
    let mut bound = Args { items: Vec::with_capacity(defs.len()), rest: Vec::new(), kwargs: Vec::new() };
    let mut args = args.into_iter();
    for def in defs {
        match def.kind {
            ArgKind::Star => {
                bound.rest = args.by_ref().collect();
                bound.items.push(Item::NULL);
            }
            ArgKind::Kwargs => {
                bound.kwargs = std::mem::take(&mut kwargs);
                bound.items.push(Item::NULL);
            }
            kind => {
                let named = kwargs.iter().position(|(name, _)| &**name == def.name);
                let named = named.map(|indx| kwargs.remove(indx).1);
                let valu = match (args.next(), named, kind) {
                    (Some(_), Some(_), _) => {
                        return Err(arg_error(path, &format!("got multiple values for argument '{}'", def.name)));
                    }
                    (Some(valu), None, _) | (None, Some(valu), _) => valu,
                    (None, None, ArgKind::Opt(dflt)) => dflt.item(),
                    (None, None, _) => {
                        return Err(arg_error(path, &format!("missing a required argument: '{}'", def.name)));
                    }
                };
                bound.items.push(valu);
            }
        }
    }
    if let Some((name, _)) = kwargs.first() {
        return Err(arg_error(path, &format!("got an unexpected keyword argument '{name}'")));
    }
    if args.next().is_some() {
        return Err(arg_error(path, "too many positional arguments"));
    }
    Ok(bound)
}

impl Args {
    /// Arguments made by the host.
    pub fn of(items: Vec<Item>) -> Args {
        Args { items, rest: Vec::new(), kwargs: Vec::new() }
    }

    /// The argument at a position as it was given.
    pub fn item(&self, indx: usize) -> &Item {
        self.items.get(indx).unwrap_or(&Item::NULL)
    }

    /// The argument at a position, taken out.
    pub fn take(&mut self, indx: usize) -> Item {
        self.items.get_mut(indx).map(std::mem::take).unwrap_or_default()
    }

    /// Whether the argument at a position is null.
    pub fn is_null(&self, indx: usize) -> bool {
        self.item(indx).is_null()
    }

    /// The argument as text (`tostr`).
    ///
    /// # Errors
    /// `BadCast` when it cannot be text.
    pub fn str(&self, rt: &Rt, indx: usize) -> Flow<Arc<str>> {
        self.item(indx).tostr(rt)
    }

    /// The argument as text unless it is null.
    ///
    /// # Errors
    /// `BadCast` when it cannot be text.
    pub fn opt_str(&self, rt: &Rt, indx: usize) -> Flow<Option<Arc<str>>> {
        if self.is_null(indx) { Ok(None) } else { self.str(rt, indx).map(Some) }
    }

    /// The argument as an integer (`toint`).
    ///
    /// # Errors
    /// `BadCast` when it cannot be an integer of 64 bits.
    pub fn int(&self, rt: &Rt, indx: usize) -> Flow<i64> {
        self.item(indx).toi64(rt)
    }

    /// The argument as an integer unless it is null.
    ///
    /// # Errors
    /// `BadCast` when it cannot be an integer of 64 bits.
    pub fn opt_int(&self, rt: &Rt, indx: usize) -> Flow<Option<i64>> {
        if self.is_null(indx) { Ok(None) } else { self.int(rt, indx).map(Some) }
    }

    /// The argument as a truth value (`tobool`).
    ///
    /// # Errors
    /// Whatever computing the truth of an object gives.
    pub fn bool(&self, rt: &Rt, indx: usize) -> Flow<bool> {
        self.item(indx).tobool(rt)
    }

    /// The argument as a truth value unless it is null.
    ///
    /// # Errors
    /// Whatever computing the truth of an object gives.
    pub fn opt_bool(&self, rt: &Rt, indx: usize) -> Flow<Option<bool>> {
        if self.is_null(indx) { Ok(None) } else { self.bool(rt, indx).map(Some) }
    }

    /// The argument as a primitive (`toprim`).
    ///
    /// # Errors
    /// `NoSuchType` when it stands for none.
    pub fn prim(&self, rt: &Rt, indx: usize) -> Flow<Value> {
        self.item(indx).toprim(rt)
    }

    /// The positional arguments that a `*args` took.
    pub fn rest(&self) -> &[Item] {
        &self.rest
    }

    /// The named arguments that a `**kwargs` took.
    pub fn kwargs(&self) -> &[(Arc<str>, Item)] {
        &self.kwargs
    }

    /// Positional arguments of a native function.
    pub fn native(&self) -> (&[Item], &[(Arc<str>, Item)]) {
        (&self.rest, &self.kwargs)
    }
}
