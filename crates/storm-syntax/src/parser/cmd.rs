//! Commands and their arguments, and the older splitting of command lines.

use super::{Parsed, Parser};
use crate::ast::*;
use crate::kinds::{Kind, Set};
use crate::modes;

const PUNCT: Set = Set::of(&[Kind::Plus, Kind::Minus, Kind::Cmpr, Kind::LBracket, Kind::Dot, Kind::PivotOut]);

impl Parser<'_> {
    pub(super) fn command(&mut self) -> Parsed<OperKind> {
        let name = self.cur_name();
        self.bump(modes::CMD_ARG)?;
        let start = self.cur.start;
        let mut args = Vec::new();
        loop {
            match self.kind() {
                Kind::CmdOpt => {
                    args.push(self.raw_const());
                    self.bump(modes::AFTER_CMD_OPT)?;
                    if self.at(Kind::EqTight) {
                        self.bump(modes::CMD_OPT_VALUE)?;
                        let Some(value) = self.cmd_arg()? else {
                            return Err(self.unexpected(modes::CMD_OPT_VALUE));
                        };
                        args.push(value);
                    }
                }
                _ => match self.cmd_arg()? {
                    Some(arg) => args.push(arg),
                    None => break,
                },
            }
        }
        let args_span = if args.is_empty() { name.span } else { self.since(start) };
        Ok(OperKind::Cmd(Cmd { name, args, args_span }))
    }

    fn cmd_arg(&mut self) -> Parsed<Option<Value>> {
        let start = self.cur.start;
        let value = match self.kind() {
            Kind::LBrace => {
                let query = self.block(modes::CMD_ARG)?;
                Value { kind: ValueKind::ArgvQuery(query), span: self.since(start) }
            }
            Kind::Dot => self.cmd_dot()?,
            Kind::BareWord | Kind::CmdName | Kind::Prop => self.cmd_word(String::new(), start)?,
            kind if PUNCT.has(kind) => self.cmd_word(String::new(), start)?,
            Kind::Dollar
            | Kind::LPar
            | Kind::RelName
            | Kind::ColonDollar
            | Kind::UnivName
            | Kind::HashTight
            | Kind::HashSpaced
            | Kind::TripleQuoted
            | Kind::DoubleQuoted
            | Kind::SingleQuoted
            | Kind::BackQuote
            | Kind::EmbedStart => self.value()?,
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    /// A dot: `.$var` is a property, else it starts a word.
    fn cmd_dot(&mut self) -> Parsed<Value> {
        let start = self.cur.start;
        self.bump(modes::AFTER_CMD_PUNCT)?;
        if self.at(Kind::Dollar) {
            let var = self.var_value()?;
            let span = self.since(start);
            return Ok(Value { kind: ValueKind::PropValue(RelProp::UnivVar(Box::new(var), span)), span });
        }
        let mut text = String::from(".");
        self.punct_word(&mut text)?;
        self.word_joints(text, start)
    }

    fn cmd_word(&mut self, mut text: String, start: usize) -> Parsed<Value> {
        match self.kind() {
            Kind::BareWord => {
                text.push_str(self.cur_text());
                self.bump(modes::AFTER_CMD_PUNCT)?;
                self.take_comma(&mut text)?;
            }
            Kind::CmdName | Kind::Prop => {
                text.push_str(self.cur_text());
                self.bump(modes::AFTER_CMD_WORD)?;
            }
            _ => self.punct_word(&mut text)?,
        }
        self.word_joints(text, start)
    }

    /// `punctuation+ (word | ", ")?`
    fn punct_word(&mut self, text: &mut String) -> Parsed<()> {
        while PUNCT.has(self.kind()) {
            text.push_str(self.cur_text());
            self.bump(modes::AFTER_CMD_PUNCT)?;
        }
        if matches!(self.kind(), Kind::BareWord | Kind::CmdName) {
            text.push_str(self.cur_text());
            self.bump(modes::AFTER_CMD_WORD)?;
            return Ok(());
        }
        self.take_comma(text)
    }

    fn take_comma(&mut self, text: &mut String) -> Parsed<()> {
        if self.at(Kind::CommaSpace) {
            text.push_str(self.cur_text());
            self.bump(modes::AFTER_CMD_WORD)?;
        }
        Ok(())
    }

    /// What is joined to a word by a tight comma, equals sign or bracket.
    fn word_joints(&mut self, mut text: String, start: usize) -> Parsed<Value> {
        while matches!(self.kind(), Kind::CommaTight | Kind::EqTight | Kind::RBracketTight) {
            text.push_str(self.cur_text());
            self.bump(modes::CMD_WORD_MORE)?;
            if matches!(self.kind(), Kind::BareWord | Kind::CmdName | Kind::Prop) {
                text.push_str(self.cur_text());
                self.bump(modes::AFTER_CMD_WORD)?;
            } else if PUNCT.has(self.kind()) {
                self.punct_word(&mut text)?;
            } else {
                return Err(self.unexpected(modes::CMD_WORD_MORE));
            }
        }
        Ok(Value { kind: ValueKind::Const(Const::Str(text.into())), span: self.since(start) })
    }

    /// A whole command line: words and quoted texts as written, queries without their braces.
    pub(super) fn cmdr_args(&mut self) -> Parsed<Vec<String>> {
        let mut argv: Vec<String> = Vec::new();
        loop {
            let is_opt = self.at(Kind::CmdOpt);
            argv.push(self.cmdr_arg()?);
            if self.at(Kind::EqTight) {
                self.bump(if is_opt { modes::CMDR_OPT_VALUE } else { modes::CMDR_AFTER_EQ })?;
                let value = self.cmdr_arg()?;
                if let Some(last) = argv.last_mut() {
                    last.push('=');
                    last.push_str(&value);
                }
            }
            if self.at(Kind::End) {
                return Ok(argv);
            }
        }
    }

    fn cmdr_arg(&mut self) -> Parsed<String> {
        match self.kind() {
            Kind::LBrace => {
                let query = self.value_block()?;
                Ok(query.slice(query.span).to_string())
            }
            Kind::CmdOpt | Kind::DoubleQuoted | Kind::SingleQuoted | Kind::CmdrWord => {
                let text = self.cur_text().to_string();
                self.bump(modes::CMDR)?;
                Ok(text)
            }
            _ => Err(self.unexpected(modes::CMDR)),
        }
    }
}
