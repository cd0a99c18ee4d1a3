//! The words of Liquid code, and what is made of them: values, filters, conditions.

use super::code::{Code, compare, contains, equals, truth};
use super::filters::Filter;
use super::{Outcome, refused};

#[derive(Debug, Clone, PartialEq)]
enum Word {
    Name(String),
    Text(String),
    Number(String),
    Sign(&'static str),
}

/// Signs, the longer ones first.
const SIGNS: [&str; 16] = ["==", "!=", "<>", "<=", ">=", "..", "|", ":", ",", ".", "[", "]", "(", ")", "<", ">"];

/// The words of one piece of code that are still to be read.
pub(super) struct Words {
    words: Vec<Word>,
    at: usize,
    /// Variables the template has assigned so far.
    assigned: Vec<String>,
}

impl Words {
    /// Cuts code into words that know no variables.
    ///
    /// # Errors
    /// A character that is none of Liquid's.
    pub fn new(code: &str) -> Outcome<Self> {
        Words::with(code, &[])
    }

    /// Cuts code into words.
    ///
    /// # Errors
    /// A character that is none of Liquid's.
    pub fn with(code: &str, assigned: &[String]) -> Outcome<Self> {
        let mut words = Vec::new();
        let mut rest = code.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first == '\'' || first == '"' {
                let Some(end) = rest[1..].find(first) else { return refused("a text without a closing quote") };
                words.push(Word::Text(rest[1..1 + end].to_owned()));
                end + 2
            } else if first.is_ascii_digit() || (first == '-' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
                let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
                let mut end = 1 + digits(&rest[1..]);
                if rest[end..].starts_with('.') && digits(&rest[end + 1..]) > 0 {
                    end += 1 + digits(&rest[end + 1..]);
                }
                words.push(Word::Number(rest[..end].to_owned()));
                end
            } else if first.is_alphabetic() || first == '_' {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '?')));
                let end = end.unwrap_or(rest.len());
                words.push(Word::Name(rest[..end].to_owned()));
                end
            } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                words.push(Word::Sign(sign));
                sign.len()
            } else {
                return refused(format!("`{first}`, which means nothing here"));
            };
            rest = rest[length..].trim_start();
        }
        Ok(Words { words, at: 0, assigned: assigned.to_vec() })
    }

    fn peek(&self) -> Option<&Word> {
        self.words.get(self.at)
    }

    fn sign(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Some(Word::Sign(found)) if *found == sign);
        self.at += usize::from(is);
        is
    }

    fn name(&mut self) -> Option<String> {
        let Some(Word::Name(name)) = self.peek() else { return None };
        let name = name.clone();
        self.at += 1;
        Some(name)
    }

    /// # Errors
    /// Something that follows.
    pub fn end(&self) -> Outcome<()> {
        match self.peek() {
            None => Ok(()),
            Some(word) => refused(format!("{} where nothing more is expected", shown(word))),
        }
    }

    /// The column when the next value is one and nothing else.
    pub fn column(&self) -> Option<String> {
        match self.words.get(self.at..)? {
            [Word::Name(row), Word::Sign("."), Word::Name(name), ..] if row == "row" => Some(name.clone()),
            [Word::Name(row), Word::Sign("["), Word::Text(name), Word::Sign("]"), ..] if row == "row" => {
                Some(name.clone())
            }
            _ => None,
        }
    }

    /// A literal, a column, a variable or something of the sync.
    pub fn value(&mut self) -> Outcome<Code> {
        let Some(word) = self.peek().cloned() else { return refused("a place where a value is missing") };
        self.at += 1;
        Ok(match word {
            Word::Text(text) => Code::literal(quoted(&text), Some(text)),
            Word::Number(number) => Code::literal(number, None),
            Word::Sign("(") => return refused("a range"),
            Word::Sign(sign) => return refused(format!("`{sign}` where a value is expected")),
            Word::Name(name) => match name.as_str() {
                "true" | "false" => Code::literal(name, None),
                "nil" | "null" => Code::nothing(),
                "empty" | "blank" => Code::emptiness(&name),
                "row" | "context" => {
                    let member = self.member(&name)?;
                    if let Some(Word::Sign("." | "[")) = self.peek() {
                        return refused(format!("a part of the column `{member}`, which may be text here"));
                    }
                    match (name.as_str(), member.as_str()) {
                        ("row", _) => Code::value(if is_identifier(&member) {
                            format!("row.{member}")
                        } else {
                            format!("row[{}]", quoted(&member))
                        }),
                        (_, "sync_run_id") => Code::remarked(
                            "run.started_at",
                            "`sync_run_id` was Hightouch's number of the run; a run is known here by when it began",
                        ),
                        (_, "sync_id") => return refused("`sync_id`, which is Hightouch's number of the sync"),
                        _ => return refused(format!("`context['{member}']`")),
                    }
                }
                _ if self.assigned.contains(&name) => match self.peek() {
                    Some(Word::Sign("." | "[")) => return refused(format!("a part of the variable `{name}`")),
                    _ => Code::value(name),
                },
                _ => return refused(format!("`{name}`, which is not known here")),
            },
        })
    }

    /// `.name` or `['name']`.
    fn member(&mut self, root: &str) -> Outcome<String> {
        if self.sign(".")
            && let Some(name) = self.name()
        {
            return Ok(name);
        }
        if self.sign("[")
            && let Some(Word::Text(name)) = self.peek().cloned()
        {
            self.at += 1;
            if self.sign("]") {
                return Ok(name);
            }
        }
        refused(format!("`{root}` otherwise than as `{root}['NAME']`"))
    }

    /// The filters behind a value, up to the end.
    pub fn filters(&mut self) -> Outcome<Vec<Filter>> {
        let mut filters = Vec::new();
        while self.sign("|") {
            let Some(name) = self.name() else { return refused("a filter without a name") };
            let mut arguments = Vec::new();
            if self.sign(":") {
                loop {
                    if matches!(self.words.get(self.at + 1), Some(Word::Sign(":"))) {
                        return refused(format!("a named argument of the filter `{name}`"));
                    }
                    arguments.push(self.value()?);
                    if !self.sign(",") {
                        break;
                    }
                }
            }
            filters.push(Filter { name, arguments });
        }
        self.end()?;
        Ok(filters)
    }

    /// The values of a `when`.
    pub fn list(&mut self) -> Outcome<Vec<Code>> {
        let mut values = vec![self.value()?];
        loop {
            let or = matches!(self.peek(), Some(Word::Name(name)) if name == "or");
            self.at += usize::from(or);
            if !or && !self.sign(",") {
                break;
            }
            values.push(self.value()?);
        }
        self.end()?;
        Ok(values)
    }

    /// A condition. Liquid knows no precedence: what stands further right is put together first.
    pub fn condition(&mut self, remarks: &mut Vec<String>) -> Outcome<String> {
        let left = self.comparison(remarks)?;
        let Some(Word::Name(word)) = self.peek().cloned() else { return Ok(left) };
        if word != "and" && word != "or" {
            return Ok(left);
        }
        self.at += 1;
        let right = self.condition(remarks)?;
        let compound = right.contains(" and ") || right.contains(" or ");
        Ok(if compound { format!("{left} {word} ({right})") } else { format!("{left} {word} {right}") })
    }

    fn comparison(&mut self, remarks: &mut Vec<String>) -> Outcome<String> {
        let left = self.value()?;
        if matches!(self.peek(), Some(Word::Sign("|"))) {
            return refused("a filter in a condition");
        }
        remarks.extend(left.remarks.iter().cloned());
        let operator = match self.peek() {
            Some(Word::Sign(sign @ ("==" | "!=" | "<>" | "<" | ">" | "<=" | ">="))) => *sign,
            Some(Word::Name(name)) if name == "contains" => "contains",
            _ => return Ok(truth(&left)),
        };
        self.at += 1;
        let right = self.value()?;
        remarks.extend(right.remarks.iter().cloned());
        Ok(match operator {
            "==" => equals(&left, &right),
            "!=" | "<>" => format!("not ({})", equals(&left, &right)),
            "contains" => contains(&left, &right)?,
            sign => {
                remarks.push(
                    "`<` and `>` compare numbers with numbers and texts with texts; Hightouch takes a text for the number \
                     it says"
                        .into(),
                );
                compare(&left, sign, &right)
            }
        })
    }
}

fn shown(word: &Word) -> String {
    match word {
        Word::Name(name) | Word::Number(name) => format!("`{name}`"),
        Word::Text(text) => format!("`'{text}'`"),
        Word::Sign(sign) => format!("`{sign}`"),
    }
}

/// A name that can follow a dot.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A text as minijinja writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}
