//! The kinds of tokens, sets of them, and with which byte each can start.

use std::ops::BitOr;

macro_rules! kinds {
    ($($name:ident $starts:literal $(= $text:literal)?,)*) => {
        /// The kinds of tokens; the order is the order in which they are tried.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub(crate) enum Kind { $($name,)* }

        const ALL: &[Kind] = &[$(Kind::$name,)*];
        const STARTS: &[&str] = &[$($starts,)*];

        impl Kind {
            /// The text of a kind that is always the same; empty for the others.
            #[inline]
            pub(crate) const fn fixed_text(self) -> &'static str {
                match self { $($(Kind::$name => $text,)?)* _ => "" }
            }
        }
    };
}

// Starts: `L` a lower-case letter or `_`, `W` any letter, digit or `_`, `D` a digit, `S` white space, `A` anything;
// all else is the byte itself, and `\0` before it means a letter stands for itself.
kinds! {
    CmdOpt "-",
    Continue "\0c",
    Return "\0r",
    Break "\0b",
    Stop "\0s",
    Emit "\0e",
    WalkOutAllJoin "-" = "--+>",
    WalkInAllJoin "<" = "<+--",
    SetMulti "+-",
    PivotIn "<",
    PivotInJoin "<" = "<+-",
    PivotOutJoin "-" = "-+>",
    WalkOutAll "-" = "-->",
    WalkInAll "<" = "<--",
    SetMod "+-",
    PivotOut "-" = "->",
    MatchHashWild "#",
    WildProp "L",
    Prop "L",
    ArrayStart "*" = "*[",
    AllTags "#",
    DerefStar "*",
    MatchHash "#",
    CaseWord "A",
    MultiCaseWord "A",
    ExprNeg "-",
    CmdName "L",
    EmbedProp "L",
    ExprUnivName ".",
    UnivName ".",
    CComment "/",
    ByName "W",
    LineComment "/",
    Bool "\0t\0f",
    Empty "\0e",
    Null "\0n",
    Else "\0e",
    Fini "\0f",
    Init "\0i",
    ExprNot "\0n",
    And "\0a" = "and",
    Pow "*" = "**",
    Or "\0o" = "or",
    EdgeAddN1Init "+" = "+(",
    EdgeN1Init "-" = "-(",
    LParTight "(",
    ColonTight ":",
    ExprColonTight ":",
    HashTight "#",
    HashSpaced "#",
    Minus "-",
    DefaultCase "*" = "*",
    Slash "/" = "/",
    Percent "%" = "%",
    Plus "+" = "+",
    Star "*" = "*",
    Number "D-",
    OctNumber "0-",
    HexNumber "0-",
    ListWord "W+-?*/\\",
    Yield "\0y",
    TrySetMulti "?",
    TrySetMod "?",
    TrySet "?" = "?=",
    EdgeN2Init "<",
    CmprOther "@?!<>^~=",
    ExprRelName ":",
    RelName ":",
    BareWord "W+-?*/\\",
    BaseProp "L",
    ExprVarName "W\"'",
    VarName "W\"'",
    DoubleQuoted "\"",
    SingleQuoted "'",
    TripleQuoted "'",
    WildTagSeg "W*",
    ExprTagSeg "W",
    TagSeg "W",
    Function "\0f" = "function",
    Reverse "\0r",
    Switch "\0s" = "switch",
    Catch "\0c" = "catch",
    Unset "\0u" = "unset",
    While "\0w" = "while",
    Elif "\0e" = "elif",
    For "\0f" = "for",
    Try "\0t" = "try",
    EdgeN1JoinFini ")" = ")+>",
    EdgeN2JoinInit "<" = "<+(",
    Not "\0n" = "not",
    Cmpr "<>!~^",
    ColonDollar ":",
    As "\0a" = "as",
    CommaSpace "," = ", ",
    If "\0i" = "if",
    In "\0i" = "in",
    EdgeAddN2Fini ")" = ")+",
    EdgeN1Fini ")" = ")>",
    EdgeN2Fini ")" = ")-",
    EmbedStart "$" = "${",
    EqSpaced "=",
    RBracketTight "]",
    CommaTight ",",
    EqTight "=",
    BackQuote "`" = "`",
    Colon ":" = ":",
    Comma "," = ",",
    Dollar "$" = "$",
    Dot "." = ".",
    Equal "=" = "=",
    LBrace "{" = "{",
    LPar "(" = "(",
    LBracket "[" = "[",
    RBrace "}" = "}",
    RPar ")" = ")",
    RBracket "]" = "]",
    Question "?" = "?",
    VBar "|" = "|",
    Wildcard "*" = "*",
    FormatText "A",
    CmdrWord "A",
    Space "S",
    WhiteWord "A",
    End "",
}

impl Kind {
    #[inline]
    pub(crate) fn from_bit(bit: u32) -> Kind {
        ALL.get(bit as usize).copied().unwrap_or(Kind::End)
    }

    /// What to call this kind in an error message.
    pub(crate) fn describe(self) -> &'static str {
        use Kind::*;
        match self {
            End => "end of input",
            Prop | EmbedProp => "property name",
            WildProp => "property name with wildcard",
            RelName | ExprRelName | ColonDollar => "relative property",
            UnivName | ExprUnivName => "universal property",
            CmdName => "command name",
            CmdOpt => "command option",
            VarName | ExprVarName => "variable name",
            BareWord | ListWord | WhiteWord | CmdrWord => "word",
            DoubleQuoted | SingleQuoted | TripleQuoted => "quoted text",
            Number | HexNumber | OctNumber => "number",
            Bool => "true or false",
            Null => "null",
            TagSeg | ExprTagSeg | WildTagSeg => "tag name",
            HashTight | HashSpaced | MatchHash | MatchHashWild | AllTags => "#",
            BaseProp => "tag property name",
            ByName | Cmpr | CmprOther => "comparison",
            SetMod | SetMulti | TrySetMod | TrySetMulti => "assignment",
            EqSpaced | EqTight => "=",
            CaseWord | MultiCaseWord => "case text",
            FormatText => "text",
            Return => "return",
            Break => "break",
            Continue => "continue",
            Stop => "stop",
            Emit => "emit",
            Yield => "yield",
            Init => "init",
            Fini => "fini",
            Empty => "empty",
            Else => "else",
            Reverse => "reverse",
            ExprNot => "not",
            PivotIn => "<-",
            EdgeN2Init => "<(",
            LParTight => "(",
            ColonTight | ExprColonTight => ":",
            Minus | ExprNeg => "-",
            DerefStar => "*",
            RBracketTight => "]",
            CommaTight | CommaSpace => ",",
            CComment | LineComment => "comment",
            Space => "space",
            other => other.fixed_text(),
        }
    }

    /// A word of letters that the patterns for words also match.
    pub(crate) fn is_keyword(self) -> bool {
        use Kind::*;
        matches!(self, Function | Switch | Catch | Unset | While | Elif | For | Try | Not | As | If | In)
    }

    /// The keyword of a text.
    pub(crate) fn keyword(text: &str) -> Option<Kind> {
        use Kind::*;
        Some(match text {
            "function" => Function,
            "switch" => Switch,
            "catch" => Catch,
            "unset" => Unset,
            "while" => While,
            "elif" => Elif,
            "for" => For,
            "try" => Try,
            "not" => Not,
            "as" => As,
            "if" => If,
            "in" => In,
            _ => return None,
        })
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Set(pub u128);

impl Set {
    #[inline]
    pub(crate) const fn of(kinds: &[Kind]) -> Set {
        let mut bits = 0;
        let mut i = 0;
        while i < kinds.len() {
            bits |= 1 << kinds[i] as u32;
            i += 1;
        }
        Set(bits)
    }

    #[inline]
    pub(crate) const fn or(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }

    #[inline]
    pub(crate) const fn plus(self, kinds: &[Kind]) -> Set {
        self.or(Set::of(kinds))
    }

    #[inline]
    pub(crate) const fn with(self, kind: Kind) -> Set {
        Set(self.0 | 1 << kind as u32)
    }

    #[inline]
    pub(crate) const fn without(self, kind: Kind) -> Set {
        Set(self.0 & !(1 << kind as u32))
    }

    #[inline]
    pub(crate) const fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }

    #[inline]
    pub(crate) const fn intersects(self, other: Set) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Kind> {
        ALL.iter().copied().filter(move |kind| self.has(*kind))
    }
}

impl BitOr for Set {
    type Output = Set;
    fn bitor(self, other: Set) -> Set {
        self.or(other)
    }
}

/// The kinds whose text is always the same.
pub(crate) const FIXED: Set = fixed();

/// The kinds that white space may be a part of and that come before it.
pub(crate) const BEFORE_SPACE: Set = Set::of(&[Kind::CaseWord, Kind::MultiCaseWord, Kind::FormatText, Kind::CmdrWord]);

const fn fixed() -> Set {
    let (mut bits, mut kind) = (0, 0);
    while kind < ALL.len() {
        if !ALL[kind].fixed_text().is_empty() {
            bits |= 1 << kind;
        }
        kind += 1;
    }
    Set(bits)
}

/// The patterns that also match the keywords.
pub(crate) const WORDS: Set = Set::of(&[
    Kind::BareWord,
    Kind::BaseProp,
    Kind::ExprVarName,
    Kind::VarName,
    Kind::WildTagSeg,
    Kind::ExprTagSeg,
    Kind::TagSeg,
]);

/// Which kinds can start with an ASCII byte.
pub(crate) static FIRST: [u128; 128] = first_table();

/// Which kinds can start with a character past ASCII.
pub(crate) const FIRST_WIDE: u128 = wide_starts();

const fn first_table() -> [u128; 128] {
    let mut table = [0; 128];
    let mut byte = 0;
    while byte < 128 {
        let mut kind = 0;
        while kind < STARTS.len() {
            if starts_with(STARTS[kind].as_bytes(), byte as u8) {
                table[byte] |= 1 << kind;
            }
            kind += 1;
        }
        byte += 1;
    }
    table
}

const fn wide_starts() -> u128 {
    let mut bits = 0;
    let mut kind = 0;
    while kind < STARTS.len() {
        let starts = STARTS[kind].as_bytes();
        if starts_with(starts, b'A') && starts_with(starts, b'1') || starts_with(starts, b' ') {
            bits |= 1 << kind;
        }
        kind += 1;
    }
    bits
}

const fn starts_with(starts: &[u8], byte: u8) -> bool {
    let mut i = 0;
    while i < starts.len() {
        let found = match starts[i] {
            0 => {
                i += 1;
                byte == starts[i]
            }
            b'L' => byte.is_ascii_lowercase() || byte == b'_',
            b'W' => byte.is_ascii_alphanumeric() || byte == b'_',
            b'D' => byte.is_ascii_digit(),
            b'S' => byte.is_ascii_whitespace() || byte == 0x0b,
            b'A' => true,
            other => byte == other,
        };
        if found {
            return true;
        }
        i += 1;
    }
    false
}
