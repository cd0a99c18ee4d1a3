//! Which names a template speaks of, and exactly where: `row.plan`, `row['plan']`, `vars.region`.
//!
//! The template engine tells which variables a template may read, but not where, and not `row['plan']`. This walk over
//! the expressions finds every mention. It may see a mention too many (a loop variable called `row`), never one too few:
//! what it cannot follow counts as a use of the whole row.

use std::ops::Range;

/// A mention of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The first name: `row`, `vars`, …
    pub root: String,
    /// What is read of it: `plan` of `row.plan` and of `row['plan']`. `None` when the root is used as a whole, or in a
    /// way that cannot be followed (`row[name]`).
    pub member: Option<String>,
    /// Byte range in the template, root and member.
    pub range: Range<usize>,
}

/// Finds the names a template speaks of, in the order they stand. Words of the language (`if`, `in`, `and`, …) and names
/// a template sets itself are among them: look for the roots of interest.
pub fn mentions(template: &str) -> Vec<Mention> {
    let mut scan = Scan { text: template, at: 0, found: Vec::new() };
    while let Some(open) = scan.rest().find('{') {
        scan.at += open;
        match scan.rest().as_bytes().get(1) {
            Some(b'#') => scan.skip_past("#}"),
            Some(b'{') => {
                scan.at += 2;
                scan.expression("}}");
            }
            Some(b'%') => {
                scan.at += 2;
                let tag = scan.at;
                scan.expression("%}");
                if template[tag..].trim_start_matches(['-', '+', ' ', '\t', '\n', '\r']).starts_with("raw") {
                    scan.skip_raw();
                }
            }
            _ => scan.at += 1,
        }
    }
    scan.found
}

/// A place in the text; always at a character boundary, as it only moves over whole matches and characters.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    found: Vec<Mention>,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_past(&mut self, end: &str) {
        self.at = self.rest().find(end).map_or(self.text.len(), |found| self.at + found + end.len());
    }

    /// Moves to the tag that ends a raw block.
    fn skip_raw(&mut self) {
        while let Some(open) = self.rest().find("{%") {
            self.at += open + 2;
            if self.rest().trim_start_matches(['-', '+', ' ', '\t', '\n', '\r']).starts_with("endraw") {
                break;
            }
        }
        self.skip_past("%}");
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Walks to the end of a tag, over literals and nested braces.
    fn expression(&mut self, end: &str) {
        let mut braces = 0_usize;
        let mut before = ' ';
        while let Some(next) = self.rest().chars().next() {
            if braces == 0 && self.rest().trim_start_matches(['-', '+']).starts_with(end) {
                self.skip_past(end);
                return;
            }
            if next == '\'' || next == '"' {
                self.literal();
                before = next;
            } else if next.is_alphabetic() || next == '_' {
                self.name(before);
                before = 'a';
            } else if next.is_ascii_digit() {
                let word = word_length(self.rest());
                self.at += word;
                before = '0';
            } else {
                braces = if next == '{' { braces + 1 } else { braces.saturating_sub(usize::from(next == '}')) };
                self.at += next.len_utf8();
                if !next.is_whitespace() {
                    before = next;
                }
            }
        }
    }

    /// Moves past a string literal; gives its content when it has no escapes.
    fn literal(&mut self) -> Option<&'a str> {
        let quote = self.rest().chars().next()?;
        let start = self.at + quote.len_utf8();
        let mut escaped = false;
        let mut plain = true;
        for (offset, next) in self.text.get(start..)?.char_indices() {
            if escaped {
                escaped = false;
            } else if next == '\\' {
                (escaped, plain) = (true, false);
            } else if next == quote {
                self.at = start + offset + quote.len_utf8();
                return self.text.get(start..start + offset).filter(|_| plain);
            }
        }
        self.at = self.text.len();
        None
    }

    /// Takes a name and, where it is not an attribute or a filter, what is read of it.
    fn name(&mut self, before: char) {
        let start = self.at;
        self.at += word_length(self.rest());
        let name = self.text.get(start..self.at).unwrap_or("").to_owned();
        if matches!(before, '.' | '|') {
            return;
        }
        let end = self.at;
        let member = self.member();
        if member.is_none() {
            self.at = end;
        }
        self.found.push(Mention { root: name, member, range: start..self.at });
    }

    fn member(&mut self) -> Option<String> {
        self.skip_blanks();
        if self.rest().starts_with('.') {
            self.at += 1;
            self.skip_blanks();
            let start = self.at;
            let length = word_length(self.rest());
            self.at += length;
            let method = self.rest().trim_start().starts_with('(');
            return (length > 0 && !method).then(|| self.text.get(start..self.at)).flatten().map(str::to_owned);
        }
        if self.rest().starts_with('[') {
            self.at += 1;
            self.skip_blanks();
            if !self.rest().starts_with(['\'', '"']) {
                return None;
            }
            let member = self.literal()?;
            self.skip_blanks();
            if self.rest().starts_with(']') {
                self.at += 1;
                return Some(member.to_owned());
            }
        }
        None
    }
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_members() {
        // Template; what is read of `row`, in order (`*` is the whole row).
        let cases = [
            ("{{ row.a }} {{row.b|title}}", "a b"),
            ("{{ row['a b'] }}{{ row[\"c\"] }}", "a b,c"),
            ("{{ row . a . b }}", "a"),
            ("{{ x.row.a }}{{ 'row.a' }}{# row.b #}row.c", ""),
            ("{% raw %}{{ row.a }}{% endraw %}{{ row.b }}", "b"),
            ("{%- raw -%}{{ row.a }}{%- endraw -%}{{ row.b }}", "b"),
            ("{{ row }}", "*"),
            ("{{ row | tojson }}", "*"),
            ("{{ row[name] }}", "*"),
            ("{{ row['a' ~ x] }}", "*"),
            ("{{ row['a\\'b'] }}", "*"),
            ("{{ row.items() }}", "*"),
            ("{% for k in row %}{% endfor %}", "*"),
            ("{% if row.a and not row.b %}{{ row.c }}{% endif %}", "a b c"),
            ("{% set row = {'a': {'b': row.x}} %}", "* x"),
            ("{{ {'a': {'b': row.x}} }}{{ row.y }}", "x y"),
            ("{{ '}}' ~ row.a }}", "a"),
            ("{{ row.größe }}", "größe"),
            ("{{ arrow.a }}{{ row_.a }}", ""),
            ("{{ row.a", "a"),
            ("{{ 'row.a", ""),
            ("{", ""),
            ("{{ ä.row }}é{{ row.é }}", "é"),
        ];
        for (template, expected) in cases {
            let found: Vec<String> = mentions(template)
                .into_iter()
                .filter(|mention| mention.root == "row")
                .map(|mention| mention.member.unwrap_or("*".into()))
                .collect();
            assert_eq!(found.join(if expected.contains(',') { "," } else { " " }), expected, "{template}");
        }
    }

    #[test]
    fn places() {
        let template = "é {{ row['plan'] | title | nope(vars.x) }}";
        let places: Vec<&str> = mentions(template).iter().map(|m| &template[m.range.clone()]).collect();
        assert_eq!(places, ["row['plan']", "vars.x"]);
    }
}
