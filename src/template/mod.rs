//! What is written in a template, whoever renders it: names and where they stand; filters, tests and methods that are not
//! there, and filters without what they need. The engine looks those up when it gets to them, which may be never.

mod tokens;

use std::collections::HashSet;
use std::ops::Range;

use minijinja::{Environment, ErrorKind, Value};

pub use tokens::{Occurrence, Reference, occurrences, references, single_expression};

use crate::diagnostic::closest;
use tokens::{Token, segments, tokens};

/// A filter, test or method that is not there, or a filter that is not called as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// What is wrong: ``there is no filter `lowr` ``.
    pub message: String,
    /// What to write instead, if anything is close.
    pub help: Option<String>,
    /// Bytes of the name.
    pub range: Range<usize>,
}

/// The filters of the engine.
const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "urlencode",
    "zip",
];

/// The tests of the engine that are words.
const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "safe",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

/// What methods are called on that have some: what the language gives, and what a template makes itself.
const WITH_METHODS: [&str; 3] = ["loop", "self", "caller"];

/// Filters, tests and methods in a template that are not there, and filters that want other arguments. `more` are filters beside those of the engine's own.
pub fn unknown_calls(text: &str, engine: &Environment<'_>, more: &[&str]) -> Vec<Unknown> {
    let parts = segments(text).into_iter().map(|(range, _)| range);
    let mut known = Known { engine, more, made: HashSet::new() };
    parts.flat_map(|range| known.faults(text, range)).collect()
}

/// The same in an expression without braces.
pub fn unknown_calls_in(expression: &str, engine: &Environment<'_>, more: &[&str]) -> Vec<Unknown> {
    Known { engine, more, made: HashSet::new() }.faults(expression, 0..expression.len())
}

struct Known<'a> {
    engine: &'a Environment<'a>,
    more: &'a [&'a str],
    /// Names the template sets.
    made: HashSet<String>,
}

impl Known<'_> {
    fn faults(&mut self, text: &str, range: Range<usize>) -> Vec<Unknown> {
        let tokens = tokens(text, range);
        let symbol = |at: usize| match tokens.get(at) {
            Some((Token::Symbol(symbol), _)) => Some(*symbol),
            _ => None,
        };
        let word = |at: usize| match tokens.get(at) {
            Some((Token::Name(name), range)) => Some((name.as_str(), range.clone())),
            _ => None,
        };
        let statement = word(0).map(|(name, _)| name.to_owned());
        if matches!(statement.as_deref(), Some("set" | "for" | "with" | "macro" | "import" | "from" | "call")) {
            self.made.extend((1..tokens.len()).filter_map(&word).map(|(name, _)| name.to_owned()));
        }
        let mut faults = Vec::new();
        for at in 0..tokens.len() {
            let Some((name, range)) = word(at) else { continue };
            let before = at.checked_sub(1);
            let piped = before.and_then(symbol) == Some('|') || (at == 1 && statement.as_deref() == Some("filter"));
            if piped {
                if !self.filter(name) {
                    let help = did_you_mean(name, FILTERS.iter().chain(self.more).copied());
                    let message = format!("there is no filter `{name}`");
                    faults.push(Unknown { message, help, range });
                } else if let Some(given) = arguments(&tokens, at)
                    && let Some((what, help)) = self.miscalled(name, given)
                {
                    let message = format!("the filter `{name}` {what}");
                    faults.push(Unknown { message, help: Some(help.to_owned()), range });
                }
            } else if let Some(tested) = self.tested(&word, &symbol, at) {
                if !self.test(tested) {
                    let help = did_you_mean(tested, TESTS.iter().copied());
                    let message = format!("there is no test `{tested}`");
                    faults.push(Unknown { message, help, range });
                }
            } else if before.and_then(symbol) == Some('.') && symbol(at + 1) == Some('(') {
                // The beginning of the path it ends.
                let mut start = at;
                while start >= 2 && symbol(start - 1) == Some('.') && word(start - 2).is_some() {
                    start -= 2;
                }
                let root = word(start).map(|(root, _)| root).filter(|_| start < at);
                if root.is_some_and(|root| WITH_METHODS.contains(&root) || self.made.contains(root)) {
                    continue;
                }
                let help = match self.filter(name) {
                    true => format!("values have filters and no methods: `… | {name}`"),
                    false => "values have filters and no methods".to_owned(),
                };
                let message = format!("there is no method `{name}`");
                faults.push(Unknown { message, help: Some(help), range });
            }
        }
        faults
    }

    /// The test that the word at this place is: `is even`, `is not even`.
    fn tested<'t>(
        &self,
        word: &impl Fn(usize) -> Option<(&'t str, Range<usize>)>,
        symbol: &impl Fn(usize) -> Option<char>,
        at: usize,
    ) -> Option<&'t str> {
        let (name, _) = word(at)?;
        let named = |at: Option<usize>, what: &str| at.and_then(word).is_some_and(|(name, _)| name == what);
        let mut is = at.checked_sub(1);
        if named(is, "not") {
            is = is.and_then(|not| not.checked_sub(1));
        }
        // `is` must follow a value, else it is a name itself.
        let value = is.and_then(|is| is.checked_sub(1))?;
        let after = symbol(value).is_none_or(|symbol| matches!(symbol, ')' | ']' | '}'));
        (named(is, "is") && after && name != "not").then_some(name)
    }

    fn filter(&self, name: &str) -> bool {
        !self.engine.empty_state().apply_filter(name, &[]).is_err_and(|e| e.kind() == ErrorKind::UnknownFilter)
    }

    /// What is wrong with a filter that is given so many arguments, whatever they are, and what to do.
    fn miscalled(&self, name: &str, given: usize) -> Option<(&'static str, &'static str)> {
        // An argument of the wrong type may be what is said first: of several types, one tells.
        let tries = [Value::from(""), Value::from(0), Value::from(Vec::<Value>::new())];
        let mut state = self.engine.empty_state();
        let tried = tries.map(|value| match state.apply_filter(name, &vec![value; given + 1]) {
            Ok(_) => None,
            Err(error) => Some(error.kind()),
        });
        let said = |kind: ErrorKind| !tried.contains(&None) && tried.contains(&Some(kind));
        if said(ErrorKind::MissingArgument) {
            return Some(("is missing an argument", "write what it needs in brackets: `… | replace('a', 'b')`"));
        }
        let many = "leave out what it does not take: `… | trim`";
        said(ErrorKind::TooManyArguments).then_some(("takes fewer arguments", many))
    }

    fn test(&self, name: &str) -> bool {
        let tried = self.engine.empty_state().perform_test(name, &[Value::from(0)]);
        !tried.is_err_and(|e| e.kind() == ErrorKind::UnknownTest)
    }
}

/// How many arguments the word at this place is called with; `None` where that is not to be seen, as some are given by name.
fn arguments(tokens: &[(Token, Range<usize>)], name: usize) -> Option<usize> {
    let symbol = |at: usize| match tokens.get(at) {
        Some((Token::Symbol(symbol), _)) => Some(*symbol),
        _ => None,
    };
    if symbol(name + 1) != Some('(') {
        return Some(0);
    }
    let (mut depth, mut commas, mut at) = (0_usize, 0, name + 1);
    loop {
        tokens.get(at)?;
        // By name, or spread: `(x=1)`, `(*list)`.
        let opens = |at: usize| matches!(symbol(at), Some('(' | ','));
        match symbol(at) {
            Some('(' | '[' | '{') => depth += 1,
            Some(')' | ']' | '}') if depth == 1 => break,
            Some(')' | ']' | '}') => depth -= 1,
            Some(',') if depth == 1 => commas += 1,
            Some('=') if depth == 1 && opens(at - 2) && symbol(at + 1) != Some('=') => return None,
            Some('*') if depth == 1 && opens(at - 1) => return None,
            _ => {}
        }
        at += 1;
    }
    let empty = at == name + 2;
    // A comma may stand behind the last.
    Some(if empty { 0 } else { commas + usize::from(symbol(at - 1) != Some(',')) })
}

fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(word, known).map(|guess| format!("did you mean `{guess}`?"))
}

/// True for errors that are about a template as it is written, whatever values it sees: a filter, test, function or method
/// that is not there, or one without what it needs.
pub fn broken(error: &minijinja::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
            | ErrorKind::MissingArgument
            | ErrorKind::TooManyArguments
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a template: the words underlined, each with the help.
    fn said(text: &str) -> String {
        let engine = Environment::new();
        let told = |fault: Unknown| format!("{} ({})", &text[fault.range.clone()], fault.help.unwrap_or_default());
        unknown_calls(text, &engine, &["sha256"]).into_iter().map(told).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_is_not_there_is_found_where_it_is_written() {
        let cases = [
            ("{{ row.plan | lower | title }}", ""),
            ("{{ row.plan | lowr }}", "lowr (did you mean `lower`?)"),
            ("é {{ row.plan|sha25 }}", "sha25 (did you mean `sha256`?)"),
            ("{% if false %}{{ x | nosuchthing }}{% endif %}", "nosuchthing ()"),
            ("{% filter uper %}x{% endfilter %}", "uper (did you mean `upper`?)"),
            ("{% if row.plan is evn %}a{% endif %}", "evn (did you mean `even`?)"),
            ("{% if row.plan is not nottest %}a{% endif %}", "nottest ()"),
            ("{% if row.is is defined and row.a is not none and 3 is divisibleby 3 %}a{% endif %}", ""),
            ("{{ row.plan.strip() }}", "strip (values have filters and no methods)"),
            ("{{ (row.a ~ row.b).upper() }}", "upper (values have filters and no methods: `… | upper`)"),
            ("{{ 'a'.title() }}", "title (values have filters and no methods: `… | title`)"),
            ("{% for x in row.list %}{{ loop.cycle('a', 'b') }}{{ x.y() }}{% endfor %}", ""),
            ("{% set ns = namespace(a=1) %}{{ ns.a }}{{ range(3) }}", ""),
            ("{% raw %}{{ a | lowr }}{% endraw %}{# a | lowr #} a | lowr", ""),
            ("{{ 'a | lowr' }}", ""),
            ("{{ { 'is': 1 } }}{{ [1, 2] is sequence }}", ""),
            ("{{ row.plan | replace }}", "replace (write what it needs in brackets: `… | replace('a', 'b')`)"),
            (
                "{{ row.plan | replace() | lower }}",
                "replace (write what it needs in brackets: `… | replace('a', 'b')`)",
            ),
            ("{{ row.plan | replace('a') }}", "replace (write what it needs in brackets: `… | replace('a', 'b')`)"),
            ("{{ row.plan | replace(f(1, 2)) }}", "replace (write what it needs in brackets: `… | replace('a', 'b')`)"),
            ("{{ row.plan | replace('a', 'b') }}{{ x | replace(('a'), ['b', 'c'], ) }}", ""),
            (
                "{% filter replace('a') %}x{% endfilter %}",
                "replace (write what it needs in brackets: `… | replace('a', 'b')`)",
            ),
            (
                "{% if false %}{{ x | attr }}{% endif %}",
                "attr (write what it needs in brackets: `… | replace('a', 'b')`)",
            ),
            ("{{ row.plan | upper('x') }}", "upper (leave out what it does not take: `… | trim`)"),
            ("{{ row.plan | length(3) }}", "length (leave out what it does not take: `… | trim`)"),
            ("{{ x | sort(attribute='a') | map(attribute='b') | join(', ') | indent(2, true) }}", ""),
            ("{{ x | dictsort(by='value', reverse=true) | batch(2, 'x') | slice(3) }}", ""),
            ("{{ x | default | default('a') | default('a', true) | d(a == 1) | round | round(1) }}", ""),
            ("{{ x | select | selectattr('a') | selectattr('a', 'eq', 1) | reject('odd') | groupby('a') }}", ""),
            ("{{ x | split | split(',') | split(',', 1) | trim('x') | tojson | tojson(true) | replace(*args) }}", ""),
            ("{{ x | chain(y, z) | zip(y, z) | format(1, 2, 3) | max | min | sum | unique | urlencode }}", ""),
            ("{{ x | replace('a' }}", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(said(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_suggested_is_there() {
        let engine = Environment::new();
        let known = Known { engine: &engine, more: &[], made: HashSet::new() };
        assert!(FILTERS.iter().all(|name| known.filter(name)) && TESTS.iter().all(|name| known.test(name)));
        assert!(!known.filter("nofilter") && !known.test("notest"));
    }
}
