//! Which kinds of tokens may come next, by place.
//!
//! These sets are wider than the grammar of the one place: `AFTER_VAR` holds all that may follow a variable anywhere in
//! the language. That is part of the language, since a kind that cannot follow here can still win over one that could.

use crate::kinds::{Kind::*, Set};

/// All that can start an operator.
pub(crate) const OPERS: Set = Set::of(&[
    Continue,
    Return,
    Break,
    Stop,
    Emit,
    WalkOutAllJoin,
    WalkInAllJoin,
    PivotIn,
    PivotInJoin,
    PivotOutJoin,
    WalkOutAll,
    WalkInAll,
    PivotOut,
    WildProp,
    Prop,
    DerefStar,
    CmdName,
    EmbedProp,
    UnivName,
    Empty,
    Fini,
    Init,
    EdgeAddN1Init,
    EdgeN1Init,
    HashTight,
    HashSpaced,
    Minus,
    Plus,
    Yield,
    EdgeN2Init,
    RelName,
    Function,
    Reverse,
    Switch,
    While,
    For,
    Try,
    EdgeN2JoinInit,
    ColonDollar,
    If,
    Dollar,
    LBrace,
    LPar,
    LBracket,
]);
/// Comparators.
pub(crate) const CMPRS: Set = Set::of(&[TrySet, CmprOther, Cmpr, EqSpaced, EqTight, Question, Star]);
/// Values that start in one way only.
pub(crate) const QUOTED: Set = Set::of(&[DoubleQuoted, SingleQuoted, TripleQuoted, EmbedStart, BackQuote, Dot]);
/// After an operator of an expression.
pub(crate) const OPERAND: Set = Set::of(&[
    ExprNeg,
    ExprUnivName,
    Bool,
    Null,
    HashTight,
    HashSpaced,
    Number,
    OctNumber,
    HexNumber,
    ExprRelName,
    DoubleQuoted,
    SingleQuoted,
    TripleQuoted,
    ColonDollar,
    EmbedStart,
    BackQuote,
    Dollar,
    Dot,
    LBrace,
    LPar,
    LBracket,
]);
/// A value.
pub(crate) const VALUE: Set =
    QUOTED.plus(&[UnivName, HashTight, HashSpaced, RelName, BareWord, ColonDollar, Dollar, LBrace, LPar]);
/// After a quoted text or `:prop` as a value.
pub(crate) const AFTER_TEXT: Set = OPERS.or(QUOTED).plus(&[
    CmdOpt,
    And,
    Or,
    BareWord,
    Cmpr,
    As,
    EdgeAddN2Fini,
    EdgeN1Fini,
    EdgeN2Fini,
    Comma,
    RBrace,
    RPar,
    RBracket,
    VBar,
    End,
]);
/// After a bare word as a value.
pub(crate) const AFTER_WORD: Set =
    OPERS.plus(&[And, Or, As, EdgeAddN2Fini, EdgeN1Fini, EdgeN2Fini, Comma, Dot, RBrace, RPar, RBracket, VBar, End]);
/// After `.univ` as a value.
pub(crate) const AFTER_UNIV: Set = OPERS.or(QUOTED).or(CMPRS).plus(&[
    CmdOpt,
    SetMod,
    And,
    Or,
    TrySetMod,
    BareWord,
    EdgeN1JoinFini,
    As,
    EdgeAddN2Fini,
    EdgeN1Fini,
    EdgeN2Fini,
    Comma,
    RBrace,
    RPar,
    RBracket,
    VBar,
    End,
]);
/// After a variable, a key or a call.
pub(crate) const AFTER_VAR: Set = OPERS.or(QUOTED).or(CMPRS).plus(&[
    CmdOpt,
    SetMulti,
    SetMod,
    ArrayStart,
    And,
    Or,
    LParTight,
    ColonTight,
    TrySetMulti,
    TrySetMod,
    BareWord,
    EdgeN1JoinFini,
    As,
    EdgeAddN2Fini,
    EdgeN1Fini,
    EdgeN2Fini,
    Comma,
    RBrace,
    RPar,
    RBracket,
    VBar,
    End,
]);
/// After a part of a tag.
pub(crate) const AFTER_TAG_SEG: Set = OPERS.or(QUOTED).or(CMPRS).plus(&[
    CmdOpt,
    And,
    Or,
    ColonTight,
    BareWord,
    EdgeN1JoinFini,
    As,
    EdgeAddN2Fini,
    EdgeN1Fini,
    EdgeN2Fini,
    Comma,
    RBrace,
    RPar,
    RBracket,
    VBar,
    End,
]);
/// After `#tag:prop`.
pub(crate) const AFTER_TAG_PROP: Set = OPERS.or(QUOTED).or(CMPRS).plus(&[
    CmdOpt,
    And,
    Or,
    BareWord,
    EdgeN1JoinFini,
    As,
    EdgeAddN2Fini,
    EdgeN1Fini,
    EdgeN2Fini,
    Comma,
    RBrace,
    RPar,
    RBracket,
    VBar,
    End,
]);
/// After `(a, b)`.
pub(crate) const AFTER_LIST: Set = OPERS.or(QUOTED).or(CMPRS).plus(&[
    CmdOpt,
    And,
    Or,
    BareWord,
    As,
    EdgeAddN2Fini,
    EdgeN1Fini,
    EdgeN2Fini,
    Comma,
    RBrace,
    RPar,
    RBracket,
    VBar,
    End,
]);
/// After a backtick string or `(expr)`.
pub(crate) const AFTER_GROUP: Set = OPERS.or(QUOTED).or(CMPRS).plus(&[
    CmdOpt,
    SetMulti,
    SetMod,
    ArrayStart,
    And,
    Pow,
    Or,
    LParTight,
    ColonTight,
    ExprColonTight,
    Slash,
    Percent,
    TrySetMulti,
    TrySetMod,
    BareWord,
    EdgeN1JoinFini,
    As,
    EdgeAddN2Fini,
    EdgeN1Fini,
    EdgeN2Fini,
    Colon,
    Comma,
    RBrace,
    RPar,
    RBracket,
    VBar,
    End,
]);
/// After `${ … }`.
pub(crate) const AFTER_EMBED: Set = OPERS.or(QUOTED).plus(&[
    CmdOpt,
    And,
    Pow,
    Or,
    ExprColonTight,
    Slash,
    Percent,
    Star,
    BareWord,
    EdgeN1JoinFini,
    Cmpr,
    As,
    EdgeAddN2Fini,
    EdgeN1Fini,
    EdgeN2Fini,
    EqSpaced,
    EqTight,
    Colon,
    Comma,
    RBrace,
    RPar,
    RBracket,
    VBar,
    End,
]);
/// After a block that may also be a value.
pub(crate) const AFTER_BLOCK: Set = OPERS.plus(&[
    CmdOpt,
    Else,
    And,
    Or,
    DoubleQuoted,
    SingleQuoted,
    Elif,
    As,
    EdgeAddN2Fini,
    EdgeN1Fini,
    EdgeN2Fini,
    EqTight,
    Comma,
    Dot,
    RBrace,
    RPar,
    RBracket,
    VBar,
    CmdrWord,
    End,
]);
/// An operator, or the end of the query.
pub(crate) const OPER: Set = OPERS.plus(&[RBrace, VBar, End]);
/// After a lift with wildcards, or `]` of an array lift: `)` ends `reverse(`.
pub(crate) const AFTER_LIFT_EDGE: Set = OPERS.plus(&[RBrace, RPar, VBar, End]);
/// After a complete condition.
pub(crate) const AFTER_COND: Set = OPERS.plus(&[And, Or, RBrace, RPar, VBar, End]);
/// An argument after a comma.
pub(crate) const CALL_ARG: Set = QUOTED.plus(&[
    UnivName,
    HashTight,
    HashSpaced,
    RelName,
    BareWord,
    VarName,
    ColonDollar,
    Dollar,
    LBrace,
    LPar,
    RPar,
]);
/// The first argument.
pub(crate) const CALL_FIRST: Set = QUOTED.plus(&[
    UnivName,
    HashTight,
    HashSpaced,
    RelName,
    BareWord,
    VarName,
    ColonDollar,
    Comma,
    Dollar,
    LBrace,
    LPar,
    RPar,
]);
/// After a word as argument: `=` makes it a name.
pub(crate) const AFTER_ARG_WORD: Set = Set::of(&[EqSpaced, EqTight, Comma, RPar]);
/// After an operand.
pub(crate) const AFTER_EXPR: Set = Set::of(&[
    And,
    Pow,
    Or,
    ExprColonTight,
    Minus,
    Slash,
    Percent,
    Plus,
    Star,
    Cmpr,
    EqSpaced,
    EqTight,
    Colon,
    Comma,
    RBrace,
    RPar,
    RBracket,
]);
/// After a variable, key, call or group as operand.
pub(crate) const AFTER_EXPR_VAR: Set = Set::of(&[
    And,
    Pow,
    Or,
    LParTight,
    ExprColonTight,
    Minus,
    Slash,
    Percent,
    Plus,
    Star,
    Cmpr,
    EqSpaced,
    EqTight,
    Colon,
    Comma,
    Dot,
    RBrace,
    RPar,
    RBracket,
]);
/// After a part of a tag as operand.
pub(crate) const AFTER_EXPR_TAG_SEG: Set = Set::of(&[
    And,
    Pow,
    Or,
    ExprColonTight,
    Minus,
    Slash,
    Percent,
    Plus,
    Star,
    Cmpr,
    EqSpaced,
    EqTight,
    Colon,
    Comma,
    Dot,
    RBrace,
    RPar,
    RBracket,
]);
/// The start of an expression.
pub(crate) const EXPR: Set = OPERAND.plus(&[ExprNot]);
/// After `**`.
pub(crate) const POW_OPERAND: Set = QUOTED.plus(&[
    ExprUnivName,
    Bool,
    Null,
    HashTight,
    HashSpaced,
    Number,
    OctNumber,
    HexNumber,
    ExprRelName,
    ColonDollar,
    Dollar,
    LBrace,
    LPar,
    LBracket,
]);
/// A key, or the end of the dict.
pub(crate) const DICT_KEY: Set = QUOTED.plus(&[
    ExprUnivName,
    Bool,
    Null,
    HashTight,
    HashSpaced,
    Number,
    OctNumber,
    HexNumber,
    ExprRelName,
    VarName,
    ColonDollar,
    Dollar,
    LBrace,
    LPar,
    LBracket,
    RBrace,
]);
/// After a bare value of a dict.
pub(crate) const AFTER_DICT_WORD: Set = Set::of(&[Comma, RBrace]);
/// After the colon of a dict.
pub(crate) const DICT_VALUE: Set = QUOTED.plus(&[
    ExprUnivName,
    Bool,
    Null,
    HashTight,
    HashSpaced,
    Number,
    OctNumber,
    HexNumber,
    ExprRelName,
    VarName,
    ColonDollar,
    Dollar,
    LBrace,
    LPar,
    LBracket,
]);
/// After a bare key.
pub(crate) const AFTER_KEY_WORD: Set = Set::of(&[ExprColonTight, Colon]);
/// An item of `[ … ]`, or its end.
pub(crate) const LIST_ITEM: Set = QUOTED.plus(&[
    ExprUnivName,
    Bool,
    Null,
    HashTight,
    HashSpaced,
    Number,
    OctNumber,
    HexNumber,
    ExprRelName,
    VarName,
    ColonDollar,
    Dollar,
    LBrace,
    LPar,
    LBracket,
    RBracket,
]);
/// After a bare item of `[ … ]`.
pub(crate) const AFTER_ITEM_WORD: Set = Set::of(&[Comma, RBracket]);
/// After `(` that starts a list or an expression.
pub(crate) const PAREN: Set = OPERAND.plus(&[ExprNot, ListWord, RPar]);
/// An item of `(a, b)` after a comma.
pub(crate) const LIST: Set =
    QUOTED.plus(&[ExprUnivName, HashTight, HashSpaced, ListWord, ExprRelName, ColonDollar, Dollar, LBrace, LPar, RPar]);
/// After an item that is only an item.
pub(crate) const AFTER_LIST_WORD: Set = Set::of(&[Comma, RPar]);
/// After a quoted text right after `(`.
pub(crate) const AFTER_PAREN_TEXT: Set =
    Set::of(&[And, Pow, Or, Minus, Slash, Percent, Plus, Star, Cmpr, EqSpaced, EqTight, Comma, RPar]);
/// After `({`: a dict or a query.
pub(crate) const PAREN_BRACE: Set = OPERS.or(QUOTED).plus(&[
    ExprUnivName,
    Bool,
    Null,
    Number,
    OctNumber,
    HexNumber,
    ExprRelName,
    VarName,
    RBrace,
    VBar,
]);
/// An argument of a command.
pub(crate) const CMD_ARG: Set = OPERS.or(QUOTED).plus(&[CmdOpt, BareWord, Cmpr, RBrace, VBar, End]);
/// After an option.
pub(crate) const AFTER_CMD_OPT: Set = OPERS.or(QUOTED).plus(&[CmdOpt, BareWord, Cmpr, EqTight, RBrace, VBar, End]);
/// After `=` of an option.
pub(crate) const CMD_OPT_VALUE: Set = QUOTED.plus(&[
    PivotOut,
    Prop,
    CmdName,
    UnivName,
    HashTight,
    HashSpaced,
    Minus,
    Plus,
    RelName,
    BareWord,
    Cmpr,
    ColonDollar,
    Dollar,
    LBrace,
    LPar,
    LBracket,
]);
/// After a word of a command.
pub(crate) const AFTER_CMD_WORD: Set =
    OPERS.or(QUOTED).plus(&[CmdOpt, BareWord, Cmpr, RBracketTight, CommaTight, EqTight, RBrace, VBar, End]);
/// After punctuation that is part of a word of a command.
pub(crate) const AFTER_CMD_PUNCT: Set =
    OPERS.or(QUOTED).plus(&[CmdOpt, BareWord, Cmpr, CommaSpace, RBracketTight, CommaTight, EqTight, RBrace, VBar, End]);
/// After a joint inside a word of a command.
pub(crate) const CMD_WORD_MORE: Set = Set::of(&[PivotOut, Prop, CmdName, Minus, Plus, BareWord, Cmpr, Dot, LBracket]);
/// After the brace of a query.
pub(crate) const BLOCK: Set = OPERS.plus(&[RBrace, VBar]);
/// In a backtick string.
pub(crate) const FORMAT: Set = Set::of(&[BackQuote, LBrace, FormatText]);
/// After the block of `try` or `catch`.
pub(crate) const AFTER_TRY: Set = OPERS.plus(&[Catch, RBrace, VBar, End]);
/// The destination of a walk.
pub(crate) const WALK_DEST: Set = Set::of(&[WildProp, Prop, Dollar, LPar, Wildcard]);
/// After the destination of a walk.
pub(crate) const AFTER_WALK_DEST: Set = OPERS.or(CMPRS).plus(&[RBrace, VBar, End]);
/// The nodes of an edge edit.
pub(crate) const EDGE_NODES: Set = Set::of(&[Dollar, LBrace]);
/// After the verb of a walk.
pub(crate) const AFTER_VERB: Set = Set::of(&[EdgeN1JoinFini, EdgeN1Fini]);
/// After `-(`: a verb or a condition.
pub(crate) const MINUS_PAREN: Set = Set::of(&[
    MatchHashWild,
    WildProp,
    Prop,
    MatchHash,
    UnivName,
    HashTight,
    HashSpaced,
    RelName,
    BareWord,
    VarName,
    TripleQuoted,
    Not,
    ColonDollar,
    EmbedStart,
    BackQuote,
    Dollar,
    Dot,
    LBrace,
    LPar,
]);
/// After `-((`.
pub(crate) const MINUS_PAREN_PAREN: Set = Set::of(&[
    MatchHashWild,
    WildProp,
    Prop,
    MatchHash,
    UnivName,
    HashTight,
    HashSpaced,
    RelName,
    BareWord,
    VarName,
    TripleQuoted,
    Not,
    ColonDollar,
    BackQuote,
    Comma,
    Dollar,
    Dot,
    LBrace,
    LPar,
    RPar,
]);
/// After `-(($name`.
pub(crate) const AFTER_PAREN_VAR: Set = Set::of(&[And, Or, LParTight, Comma, Dot, RPar]);
/// After a list of variables.
pub(crate) const AFTER_VAR_LIST: Set = Set::of(&[EdgeN1JoinFini, In, EdgeN1Fini, Equal]);
/// A verb after a comma.
pub(crate) const WALK_LIST: Set = Set::of(&[
    Prop,
    UnivName,
    HashTight,
    HashSpaced,
    RelName,
    BareWord,
    VarName,
    TripleQuoted,
    ColonDollar,
    BackQuote,
    Dollar,
    Dot,
    RPar,
]);
/// A condition.
pub(crate) const COND: Set = Set::of(&[
    MatchHashWild,
    WildProp,
    Prop,
    MatchHash,
    UnivName,
    RelName,
    Not,
    ColonDollar,
    Dollar,
    Dot,
    LBrace,
    LPar,
]);
/// After a property or a query in a condition.
pub(crate) const AFTER_COND_PROP: Set = OPERS.or(CMPRS).plus(&[And, Or, RBrace, RPar, VBar, End]);
/// After a part of a tag pattern.
pub(crate) const AFTER_WILD_TAG_SEG: Set = OPERS.or(CMPRS).plus(&[And, Or, ColonTight, Dot, RBrace, RPar, VBar, End]);
/// After `#tag:prop` in a lift.
pub(crate) const AFTER_LIFT_TAG_PROP: Set = OPERS.or(CMPRS).plus(&[RBrace, RPar, VBar, End]);
/// After `-(prop`.
pub(crate) const AFTER_MINUS_PAREN_PROP: Set = CMPRS.plus(&[And, Or, EdgeN1JoinFini, EdgeN1Fini, RPar]);
/// After `-(:prop`.
pub(crate) const AFTER_MINUS_PAREN_REL: Set =
    CMPRS.plus(&[ArrayStart, And, Or, EdgeN1JoinFini, EdgeN1Fini, Comma, RPar]);
/// After `-((prop`.
pub(crate) const AFTER_MINUS_PAREN_LIST_PROP: Set = CMPRS.plus(&[And, Or, Comma, RPar]);
/// After `:prop` where an operator or an edit starts.
pub(crate) const AFTER_REL: Set = OPERS.or(CMPRS).plus(&[
    SetMulti,
    SetMod,
    ArrayStart,
    And,
    Or,
    TrySetMulti,
    TrySetMod,
    Dot,
    RBrace,
    RPar,
    RBracket,
    VBar,
    End,
]);
/// After a property that is lifted.
pub(crate) const AFTER_PROP: Set = OPERS.or(CMPRS).plus(&[ArrayStart, RBrace, RPar, VBar, End]);
/// After a property with embedded ones.
pub(crate) const AFTER_EMBED_PROP: Set = CMPRS.plus(&[ArrayStart]);
/// The comparator in `*[ ]`.
pub(crate) const ARRAY_CMPR: Set = Set::of(&[ByName, TrySet, CmprOther, Cmpr, EqSpaced, EqTight, Question]);
/// After `$var.key` as a statement.
pub(crate) const AFTER_STMT_KEY: Set = OPERS.plus(&[LParTight, EqSpaced, EqTight, Dot, RBrace, VBar, End]);
/// After `$var` as a statement.
pub(crate) const AFTER_STMT_VAR: Set = OPERS.plus(&[LParTight, Dot, Equal, RBrace, VBar, End]);
/// After `->`.
pub(crate) const PIVOT_OUT: Set =
    Set::of(&[MatchHashWild, WildProp, Prop, AllTags, MatchHash, UnivName, Star, Dollar, LBrace, LPar]);
/// After `-+>`.
pub(crate) const JOIN_OUT: Set =
    Set::of(&[MatchHashWild, WildProp, Prop, AllTags, MatchHash, UnivName, Star, Dollar, LPar]);
/// After `:prop ->`.
pub(crate) const PROP_PIVOT: Set = Set::of(&[Prop, UnivName, Star, Dollar, LPar]);
/// After `<-`.
pub(crate) const PIVOT_IN: Set = Set::of(&[Prop, UnivName, Star]);
/// An edit.
pub(crate) const EDIT: Set = Set::of(&[
    Prop,
    DerefStar,
    UnivName,
    EdgeAddN1Init,
    EdgeN1Init,
    Minus,
    Plus,
    EdgeN2Init,
    RelName,
    ColonDollar,
    Dot,
    LPar,
    RPar,
    RBracket,
]);
/// After `[`.
pub(crate) const EDIT_FIRST: Set = Set::of(&[
    Prop,
    DerefStar,
    UnivName,
    EdgeAddN1Init,
    EdgeN1Init,
    Minus,
    Plus,
    EdgeN2Init,
    RelName,
    ColonDollar,
    Dot,
    LPar,
    RBracket,
]);
/// After the form of a node edit.
pub(crate) const AFTER_FORM: Set = Set::of(&[SetMod, TrySetMod, TrySet, EqSpaced, EqTight]);
/// After `-` in an edit.
pub(crate) const EDIT_MINUS: Set = Set::of(&[UnivName, HashTight, RelName, ColonDollar, Dot]);
/// After `:prop*$var`.
pub(crate) const AFTER_COND_SET_VAR: Set = Set::of(&[LParTight, TrySet, Dot, Equal]);
/// A case.
pub(crate) const CASE: Set = Set::of(&[CaseWord, DefaultCase, DoubleQuoted, SingleQuoted, LPar, RBrace]);
/// A text of a case with several.
pub(crate) const MULTI_CASE: Set = Set::of(&[MultiCaseWord, DoubleQuoted, SingleQuoted]);
/// After `return(`.
pub(crate) const RETURN_VALUE: Set =
    QUOTED.plus(&[UnivName, HashTight, HashSpaced, RelName, BareWord, ColonDollar, Dollar, LBrace, LPar, RPar]);
/// After `reverse(`.
pub(crate) const REVERSE: Set = Set::of(&[WildProp, Prop, DerefStar, EmbedProp, UnivName, HashTight, HashSpaced]);
/// After the `|` of a look-up.
pub(crate) const AFTER_LOOK_BAR: Set = OPERS.plus(&[VBar, End]);
/// A word to look up.
pub(crate) const LOOK: Set = Set::of(&[DoubleQuoted, SingleQuoted, VBar, WhiteWord, End]);
/// A word of a command line.
pub(crate) const CMDR: Set = Set::of(&[CmdOpt, DoubleQuoted, SingleQuoted, EqTight, LBrace, CmdrWord, End]);
/// After `=` in a command line.
pub(crate) const CMDR_AFTER_EQ: Set = Set::of(&[CmdOpt, DoubleQuoted, SingleQuoted, LBrace, CmdrWord]);
/// After `=` of an option in a command line.
pub(crate) const CMDR_OPT_VALUE: Set = Set::of(&[DoubleQuoted, SingleQuoted, LBrace, CmdrWord]);
