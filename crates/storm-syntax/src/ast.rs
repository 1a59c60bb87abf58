//! The syntax tree of Storm.
//!
//! A [`Query`] is a list of operators, run one after the other on a stream of nodes. Everything below it is one of four
//! kinds: operators ([`Oper`]), values ([`Value`]), filter conditions ([`Cond`]) and edits ([`Edit`]). A query inside
//! another (`{ … }`, `${ … }`, function bodies) is an `Arc<Query>`, so that whoever needs it later keeps a handle.
//!
//! Every tree is `Send + Sync`, knows its [`Span`] and holds no name resolution: whether `inet:fqdn` is a form or a
//! property is the runtime's business.

use std::sync::Arc;

use crate::source::{Source, Span};

/// A name or text that is fixed in the query, with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The text (quotes and escapes resolved, leading punctuation dropped where the field says so).
    pub text: Arc<str>,
    /// Where it stands.
    pub span: Span,
}

/// A sequence of operators.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The operators in the order they run. Edits stand here one by one, without their square brackets.
    pub ops: Vec<Oper>,
    /// From the first to the last token; empty for a query without tokens.
    pub span: Span,
    /// What [`Query::text`] gives: `span` for `{ … }`, all between the braces for `${ … }`, everything for a whole text.
    pub text_span: Span,
    /// The whole text this query was cut from.
    pub source: Arc<Source>,
}

impl Query {
    /// The text of this query (what a query object shows and what is parsed again in another place).
    pub fn text(&self) -> &str {
        self.source.slice(self.text_span)
    }

    /// The text of any part of this query.
    pub fn slice(&self, span: Span) -> &str {
        self.source.slice(span)
    }
}

/// A text in one of the input modes other than plain Storm (`lookup`, `autoadd`, `search`).
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// The tokens before the first `|`.
    pub tokens: Vec<Name>,
    /// The query after it.
    pub query: Option<Arc<Query>>,
    /// The whole text.
    pub source: Arc<Source>,
}

/// One operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Oper {
    /// What it does.
    pub kind: OperKind,
    /// Where it stands.
    pub span: Span,
}

/// What an operator does.
#[derive(Clone, Debug, PartialEq)]
pub enum OperKind {
    /// Lift nodes.
    Lift(Lift),
    /// `+cond` (`must`) or `-cond`.
    Filter {
        /// True for `+`.
        must: bool,
        /// The condition.
        cond: Cond,
    },
    /// Pivot or join.
    Pivot(Pivot),
    /// Walk light edges: `-(verb)> dest`.
    Walk(Walk),
    /// One edit.
    Edit(Edit),
    /// `cmd arg arg`.
    Cmd(Cmd),
    /// `{ … }` or `yield { … }`.
    SubQuery {
        /// The query.
        query: Arc<Query>,
        /// Whether its nodes are yielded.
        is_yield: bool,
    },
    /// `yield $value`.
    Yield(Value),
    /// `init { … }`
    Init(Arc<Query>),
    /// `empty { … }`
    Empty(Arc<Query>),
    /// `fini { … }`
    Fini(Arc<Query>),
    /// `for $x in value { … }`
    For {
        /// The loop variable or variables.
        target: ForTarget,
        /// What is iterated over.
        iter: Value,
        /// The body.
        body: Arc<Query>,
    },
    /// `while value { … }`
    While {
        /// The condition.
        cond: Value,
        /// The body.
        body: Arc<Query>,
    },
    /// `if value { … } elif value { … } else { … }`
    If {
        /// Condition and body of `if` and of each `elif`.
        clauses: Vec<(Value, Arc<Query>)>,
        /// The body of `else`.
        otherwise: Option<Arc<Query>>,
    },
    /// `switch $value { case: { … } }`
    Switch {
        /// What is switched on.
        value: Value,
        /// The cases in order.
        cases: Vec<Case>,
    },
    /// `try { … } catch value as err { … }`
    Try {
        /// The guarded body.
        body: Arc<Query>,
        /// The handlers in order.
        catches: Vec<Catch>,
    },
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// `stop`
    Stop,
    /// `return(value)`, `return()`
    Return(Option<Value>),
    /// `emit value`
    Emit(Value),
    /// `function name(params) { … }`
    Function(Arc<Function>),
    /// `$name = value`
    SetVar {
        /// The variable.
        name: Name,
        /// Its new value.
        value: Value,
    },
    /// `($a, $b) = value`
    SetVarList {
        /// The variables.
        names: Vec<Name>,
        /// Where the names stand, parentheses included.
        names_span: Span,
        /// The value that is unpacked.
        value: Value,
    },
    /// `$item.key = value`
    SetItem {
        /// The object.
        item: Value,
        /// The key (a constant for a bare or quoted name).
        key: Value,
        /// Its new value.
        value: Value,
    },
    /// `$func()`: a value computed for its effect.
    VarEval(Value),
}

/// The target of a `for` loop.
#[derive(Clone, Debug, PartialEq)]
pub enum ForTarget {
    /// `$x`
    Var(Name),
    /// `($x, $y)`
    Vars(Vec<Name>, Span),
}

/// A case of a `switch`.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The texts it matches; empty for the default case `*`.
    pub values: Vec<Name>,
    /// Whether it is the default case.
    pub is_default: bool,
    /// The body.
    pub body: Arc<Query>,
    /// Where it stands.
    pub span: Span,
}

/// A handler of `try`.
#[derive(Clone, Debug, PartialEq)]
pub struct Catch {
    /// Which error names: a text, `*`, or a list.
    pub names: Value,
    /// The variable that gets the error.
    pub var: Name,
    /// The body.
    pub body: Arc<Query>,
    /// Where it stands.
    pub span: Span,
}

/// A function definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: Name,
    /// Its parameters; those with a default come last.
    pub params: Vec<Param>,
    /// Where all of it stands.
    pub span: Span,
    /// Where the parameter list stands.
    pub params_span: Span,
    /// The body.
    pub body: Arc<Query>,
}

/// A parameter of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Its default.
    pub default: Option<Value>,
}

/// A command with its arguments, already split: an option and its `=value` are two arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Cmd {
    /// The command.
    pub name: Name,
    /// The arguments. Bare words and options are `Const(Str)`, `{ … }` is `ArgvQuery`.
    pub args: Vec<Value>,
    /// Where the arguments stand (the command name if there are none).
    pub args_span: Span,
}

/// A property or form name in a lift, pivot or edit.
#[derive(Clone, Debug, PartialEq)]
pub enum PropName {
    /// A name in the query: `inet:fqdn`, `.created`, `inet:*`, `it:dev:str::norm` (dot of a universal property kept).
    Const(Name),
    /// `*$var`: computed; must become a text.
    Deref(Value),
}

/// A property of the node at hand.
#[derive(Clone, Debug, PartialEq)]
pub enum RelProp {
    /// `:name`, without its colon; `::` and `.` inside may lead to further nodes, `:.seen` keeps the dot.
    Rel(Name),
    /// `:$var`
    RelVar(Box<Value>, Span),
    /// `.name`, with its dot.
    Univ(Name),
    /// `.$var`: the dot is put before the computed name.
    UnivVar(Box<Value>, Span),
}

impl RelProp {
    /// Where the property stands.
    pub fn span(&self) -> Span {
        match self {
            RelProp::Rel(name) | RelProp::Univ(name) => name.span,
            RelProp::RelVar(_, span) | RelProp::UnivVar(_, span) => *span,
        }
    }

    /// The name, if it is fixed.
    pub fn as_const(&self) -> Option<&Name> {
        match self {
            RelProp::Rel(name) | RelProp::Univ(name) => Some(name),
            _ => None,
        }
    }
}

/// A tag name, or a tag pattern where patterns may stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag {
    /// How it is named.
    pub kind: TagKind,
    /// Where it stands, the `#` included.
    pub span: Span,
}

/// How a tag is named.
#[derive(Clone, Debug, PartialEq)]
pub enum TagKind {
    /// `#foo.bar` or, in a pattern, `#foo.*`: without the `#`. A lone `#` (any tag) is the empty text.
    Const(Arc<str>),
    /// `#$var`: one tag, or in edits also a list of tags.
    Var(Box<Value>),
    /// `#foo.$var.bar`: joined by dots. Each is a `Const` text or a `Var`.
    Segs(Vec<Value>),
}

impl Tag {
    /// Whether a fixed part holds an asterisk.
    pub fn has_glob(&self) -> bool {
        match &self.kind {
            TagKind::Const(text) => text.contains('*'),
            TagKind::Var(_) => false,
            TagKind::Segs(segs) => segs.iter().any(|seg| seg.as_str().is_some_and(|text| text.contains('*'))),
        }
    }
}

/// `#tag:prop`
#[derive(Clone, Debug, PartialEq)]
pub struct TagProp {
    /// The tag.
    pub tag: Tag,
    /// The property: a `Const` text or a variable.
    pub prop: Box<Value>,
    /// Where it stands.
    pub span: Span,
}

/// A comparator and what is compared with. The comparator is its text: `=`, `~=`, `^=`, `<`, `range=`, `in=`, `@=`,
/// `?=`, … (`*range=` in the query has no asterisk here).
#[derive(Clone, Debug, PartialEq)]
pub struct Cmpr {
    /// The comparator.
    pub oper: Name,
    /// The value.
    pub value: Value,
}

/// A lift.
#[derive(Clone, Debug, PartialEq)]
pub struct Lift {
    /// What is lifted.
    pub kind: LiftKind,
    /// Whether it stands in `reverse(…)`.
    pub reverse: bool,
}

/// What is lifted.
#[derive(Clone, Debug, PartialEq)]
pub enum LiftKind {
    /// `inet:fqdn`, `inet:*`, `.created`, `*$name`
    Prop(PropName),
    /// `inet:fqdn=vertex.link`, `inet:dns:a:ipv4*range=(…)`, `.created>2020`
    PropBy(PropName, Cmpr),
    /// `test:arrayprop:ints*[=3]`
    PropArray(PropName, Cmpr),
    /// `#foo.bar`, `#foo@=2020`
    Tag(Tag, Option<Cmpr>),
    /// `##foo`: nodes with a tag whose own `syn:tag` node has the tag.
    TagTag(Tag, Option<Cmpr>),
    /// `#foo:risk`, `#foo:risk>10`
    TagProp(TagProp, Option<Cmpr>),
    /// `inet:fqdn#foo`, `inet:fqdn#foo@=2020`
    FormTag(PropName, Tag, Option<Cmpr>),
    /// `inet:fqdn#foo:risk`, `inet:fqdn#foo:risk>10`
    FormTagProp(PropName, TagProp, Option<Cmpr>),
}

/// A pivot; with `join` the source nodes stay in the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Pivot {
    /// What kind.
    pub kind: PivotKind,
    /// `-+>`, `<+-`, `--+>` or `<+--` rather than `->`, `<-`, `-->`, `<--`.
    pub join: bool,
}

/// Where a pivot goes.
#[derive(Clone, Debug, PartialEq)]
pub enum PivotKind {
    /// `-> *`
    Out,
    /// `--> *`: properties and edges.
    OutEdges,
    /// `<- *`
    In,
    /// `<-- *`: properties and edges.
    InEdges,
    /// `<- form`
    InFrom(PropName),
    /// `-> #tag`, `-> #` (all tags: the empty constant)
    ToTags(Tag),
    /// `-> form`, `-> form:prop`, `-> (form, form)`, `-> $name`
    Form(PivotDest),
    /// `-> { … }`
    Raw(Arc<Query>),
    /// `:prop -> *`
    PropOut(RelProp),
    /// `:prop -> form`
    Prop(RelProp, PivotDest),
}

/// The destination of a pivot or walk.
#[derive(Clone, Debug, PartialEq)]
pub enum PivotDest {
    /// `*`: any form (walks only).
    Any(Span),
    /// A name or a name with wildcards.
    Const(Name),
    /// A list `(a, b)` or a variable.
    Value(Value),
}

/// A walk over light edges.
#[derive(Clone, Debug, PartialEq)]
pub struct Walk {
    /// `<(verb)- dest` rather than `-(verb)> dest`.
    pub reverse: bool,
    /// Whether the source nodes stay in the stream.
    pub join: bool,
    /// The verb or verbs.
    pub verb: Value,
    /// Which forms to go to.
    pub dest: PivotDest,
    /// A comparison the destination must pass.
    pub cmpr: Option<Cmpr>,
}

/// A filter condition. `and` and `or` bind equally and from the left.
#[derive(Clone, Debug, PartialEq)]
pub struct Cond {
    /// What is tested.
    pub kind: CondKind,
    /// Where it stands.
    pub span: Span,
}

/// What a condition tests.
#[derive(Clone, Debug, PartialEq)]
pub enum CondKind {
    /// Both.
    And(Box<Cond>, Box<Cond>),
    /// Either.
    Or(Box<Cond>, Box<Cond>),
    /// `not cond`
    Not(Box<Cond>),
    /// `:prop`, `.univ`
    HasRelProp(RelProp),
    /// `:prop=value`
    RelProp(RelProp, Cmpr),
    /// `:array*[=value]`
    Array(RelProp, Cmpr),
    /// `inet:fqdn`, `inet:*`
    HasAbsProp(Name),
    /// `inet:fqdn=value`
    AbsProp(Name, Cmpr),
    /// `#foo`, `#foo.*`
    Tag(Tag),
    /// `#foo@=value`
    TagValue(Tag, Cmpr),
    /// `#foo:prop`
    HasTagProp(TagProp),
    /// `#foo:prop=value`
    TagProp(TagProp, Cmpr),
    /// `{ … }`, `{ … } > 2`
    SubQuery(Arc<Query>, Option<Cmpr>),
    /// `$value`, `$(expr)`
    Value(Value),
}

/// An operator that assigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetOp {
    /// `=`
    Set,
    /// `?=`
    TrySet,
    /// `+=`
    Add,
    /// `-=`
    Del,
    /// `?+=`
    TryAdd,
    /// `?-=`
    TryDel,
    /// `++=`
    AddMulti,
    /// `--=`
    DelMulti,
    /// `?++=`
    TryAddMulti,
    /// `?--=`
    TryDelMulti,
}

impl SetOp {
    /// Whether a bad value is passed over.
    pub fn is_try(self) -> bool {
        use SetOp::*;
        matches!(self, TrySet | TryAdd | TryDel | TryAddMulti | TryDelMulti)
    }

    /// The operator with its `?`, if any, taken off.
    pub fn base(self) -> SetOp {
        use SetOp::*;
        match self {
            TrySet => Set,
            TryAdd => Add,
            TryDel => Del,
            TryAddMulti => AddMulti,
            TryDelMulti => DelMulti,
            other => other,
        }
    }

    /// The operator as text.
    pub fn text(self) -> &'static str {
        use SetOp::*;
        match self {
            Set => "=",
            TrySet => "?=",
            Add => "+=",
            Del => "-=",
            TryAdd => "?+=",
            TryDel => "?-=",
            AddMulti => "++=",
            DelMulti => "--=",
            TryAddMulti => "?++=",
            TryDelMulti => "?--=",
        }
    }

    /// The operator of a text.
    pub fn from_text(text: &str) -> Option<SetOp> {
        use SetOp::*;
        Some(match text {
            "=" => Set,
            "?=" => TrySet,
            "+=" => Add,
            "-=" => Del,
            "?+=" => TryAdd,
            "?-=" => TryDel,
            "++=" => AddMulti,
            "--=" => DelMulti,
            "?++=" => TryAddMulti,
            "?--=" => TryDelMulti,
            _ => return None,
        })
    }
}

/// One edit.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// `form=value`, `form?=value`, also `+=`, `-=` as written.
    NodeAdd(NodeAdd),
    /// `:prop=value`, `.univ=value`
    PropSet {
        /// Which property.
        prop: RelProp,
        /// How.
        op: SetOp,
        /// To what.
        value: Value,
    },
    /// `:prop*unset=value`, `:prop*$cond?=value`
    CondPropSet {
        /// Which property.
        prop: RelProp,
        /// When: `Const("unset")` or a value that computes to `always`, `unset` or `never`.
        when: Value,
        /// Where the operator stands, from its star to its `=`.
        when_span: Span,
        /// `?=`
        is_try: bool,
        /// To what.
        value: Value,
    },
    /// `:array++=values`
    PropSetMulti {
        /// Which property.
        prop: RelProp,
        /// How (one of the `Multi` operators).
        op: SetOp,
        /// The values.
        value: Value,
    },
    /// `-:prop`
    PropDel(RelProp),
    /// `-.univ`
    UnivDel(RelProp),
    /// `+#tag`, `+?#tag`, `+#tag=ival`
    TagAdd {
        /// `+?`
        is_try: bool,
        /// The tag or tags.
        tag: Tag,
        /// The interval, with `=` or `?=`.
        value: Option<(SetOp, Value)>,
    },
    /// `-#tag`
    TagDel(Tag),
    /// `+#tag:prop=value`
    TagPropSet {
        /// Which.
        prop: TagProp,
        /// How.
        op: SetOp,
        /// To what.
        value: Value,
    },
    /// `-#tag:prop`
    TagPropDel(TagProp),
    /// `( form=value edits… )`: edits of another node; the stream is untouched.
    Parens {
        /// The node.
        add: NodeAdd,
        /// Where the node edit stands.
        add_span: Span,
        /// The edits after it (each an operator of kind `Edit`).
        edits: Vec<Oper>,
    },
    /// `+(verb)> { … }`, `<(verb)+ { … }`
    EdgeAdd(EdgeEdit),
    /// `-(verb)> { … }`, `<(verb)- { … }`
    EdgeDel(EdgeEdit),
}

/// The edit that makes a node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeAdd {
    /// The form.
    pub form: PropName,
    /// How.
    pub op: SetOp,
    /// The value.
    pub value: Value,
}

/// An edit of light edges.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeEdit {
    /// The verb.
    pub verb: Value,
    /// The other nodes: a `SubQuery` or a variable.
    pub nodes: Value,
    /// `<(verb)+`: the other nodes are the sources.
    pub n2: bool,
}

/// A value or expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// What it is.
    pub kind: ValueKind,
    /// Where it stands.
    pub span: Span,
}

impl Value {
    /// The text of a constant text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            ValueKind::Const(Const::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether it is a constant that needs no runtime: plain constants, and lists of them.
    pub fn is_const(&self) -> bool {
        match &self.kind {
            ValueKind::Const(_) => true,
            ValueKind::List(items) => items.iter().all(|item| matches!(item.kind, ValueKind::Const(_))),
            _ => false,
        }
    }
}

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub enum Const {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer of any size in decimal, with its sign.
    Int(Arc<str>),
    /// A number with a decimal point, as written: Storm computes with such numbers exactly.
    Number(Arc<str>),
    /// A text: bare word or quoted.
    Str(Arc<str>),
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueKind {
    /// A literal.
    Const(Const),
    /// `$name`
    Var(Arc<str>),
    /// `$base.name`, `$base.$name`, `$base.(expr)`
    Deref {
        /// The object.
        base: Box<Value>,
        /// The key (`Const` for a bare or quoted name).
        name: Box<Value>,
    },
    /// `$func(args, name=value)`
    Call(Box<Call>),
    /// `:prop`, `.univ` of the node at hand.
    PropValue(RelProp),
    /// `#tag`: the interval of the tag.
    TagValue(Tag),
    /// `#tag:prop`
    TagPropValue(TagProp),
    /// `(expr)`, `$(expr)`
    Expr(Box<Value>),
    /// `-x`, `not x`
    Unary(UnaryOp, Box<Value>),
    /// `x + y`, `x = y`, …; `oper_span` of the error information is the whole.
    Binary(BinaryOp, Box<Value>, Box<Value>),
    /// `x and y`: the value of the last one looked at.
    And(Box<Value>, Box<Value>),
    /// `x or y`
    Or(Box<Value>, Box<Value>),
    /// `(a, b)`: a list outside of expressions.
    List(Vec<Value>),
    /// `[a, b]` in an expression.
    ExprList(Vec<Value>),
    /// `{a: b}` in an expression.
    ExprDict(Vec<(Value, Value)>),
    /// A backtick string: `Const(Str)` pieces and expressions.
    Format(Vec<Value>),
    /// `${ … }`: a query object; its text is all between the braces.
    EmbedQuery(Arc<Query>),
    /// `{ … }` where a value stands: computed by running it.
    SubQuery(Arc<Query>),
    /// `{ … }` as a command argument: its text.
    ArgvQuery(Arc<Query>),
    /// `($a, $b)` as the verbs of a walk: the names themselves (an oddity of the language, kept).
    VarList(Vec<Name>),
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What is called.
    pub func: Value,
    /// Arguments by position.
    pub args: Vec<Value>,
    /// Arguments by name.
    pub kwargs: Vec<(Name, Value)>,
}

/// An operator with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-x`
    Neg,
    /// `not x`
    Not,
}

/// An operator with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `**`
    Pow,
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `~=`
    Re,
    /// `^=`
    Pref,
}

impl BinaryOp {
    /// The operator as text.
    pub fn text(self) -> &'static str {
        use BinaryOp::*;
        match self {
            Add => "+",
            Sub => "-",
            Mul => "*",
            Div => "/",
            Mod => "%",
            Pow => "**",
            Eq => "=",
            Ne => "!=",
            Lt => "<",
            Le => "<=",
            Gt => ">",
            Ge => ">=",
            Re => "~=",
            Pref => "^=",
        }
    }
}
