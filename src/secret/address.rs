//! Passwords and keys that are written out in an address: `https://me:hunter2@host`, `https://host/?api_key=abc`.

use std::ops::Range;

use super::names::names_parameter;

/// What stands for a credential in a text: as many bytes, so that places in it stay true.
const STAR: &str = "*";

/// The places of all passwords and keys that are written out in addresses within a text, in order: in the user part
/// (`://me:hunter2@`), and as the value of a parameter with a name keys go by (`?token=…`). What comes wholly from
/// templates is not written out; what comes partly from them is.
pub fn written(text: &str) -> Vec<Range<usize>> {
    let template = templates(text);
    let mut found = Vec::new();
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let end = end(text, start, &template, |c| matches!(c, '/' | '?' | '#') || c.is_whitespace());
        let password = password(text, start..end, &template).or_else(|| {
            // A password in which `/`, `?` or `#` stand as they are; what follows the colon is no port at least.
            let after = text.get(start..end)?.split_once(':')?.1;
            let port = after.bytes().all(|byte| byte.is_ascii_digit()) || after.contains(['[', ']', '{']);
            let line = self::end(text, end, &template, |c| c.is_whitespace() || matches!(c, '"' | '`'));
            if port { None } else { password(text, start..line, &template) }
        });
        found.extend(password);
        found.extend(in_query(text, end, &template));
    }
    found.sort_by_key(|range| range.start);
    found.dedup_by(|next, before| next.start < before.end);
    found
}

/// The places of keys that are written out in the query of a path: `/rows?api_key=abc`. A parameter called `key` alone is
/// none there: it is what many APIs call a key of theirs.
pub fn written_in_path(path: &str) -> Vec<Range<usize>> {
    let template = templates(path);
    let mut found = in_query(path, 0, &template);
    found.retain(|range| {
        !path.get(..range.start).is_some_and(|before| before.ends_with("?key=") || before.ends_with("&key="))
    });
    found
}

/// The text with every password and key that is written out in an address starred.
pub fn blanked(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut done = 0;
    for range in written(text) {
        clean.push_str(text.get(done..range.start).unwrap_or_default());
        clean.push_str(&STAR.repeat(range.len()));
        done = range.end;
    }
    clean.push_str(text.get(done..).unwrap_or_default());
    clean
}

/// The password of an authority, `user:password@host`, unless it is empty or comes from templates.
fn password(text: &str, authority: Range<usize>, template: &[Range<usize>]) -> Option<Range<usize>> {
    let outside = |at: usize| !template.iter().any(|range| range.contains(&at));
    let inner = text.get(authority.clone())?;
    let at = inner.match_indices('@').map(|(at, _)| authority.start + at).rfind(|at| outside(*at))?;
    let user = text.get(authority.start..at)?;
    let colon = user.match_indices(':').map(|(colon, _)| authority.start + colon).find(|colon| outside(*colon))?;
    let range = colon + 1..at;
    is_written(range.clone(), template).then_some(range)
}

/// Values of parameters keys go by, in the query that begins behind `start`.
fn in_query(text: &str, start: usize, template: &[Range<usize>]) -> Vec<Range<usize>> {
    let stop = |c: char| c.is_whitespace() || matches!(c, '#' | '"' | '\'' | '`' | '<' | '>');
    let end = end(text, start, template, stop);
    let query = self::end(text, start, template, |c| c == '?') + 1;
    let mut found = Vec::new();
    let mut at = query;
    while at < end {
        let pair = at..self::end(text, at, template, |c| c == '&').min(end);
        at = pair.end + 1;
        let Some((name, value)) = text.get(pair.clone()).and_then(|pair| pair.split_once('=')) else { continue };
        let range = pair.end - value.len()..pair.end;
        if names_parameter(name) && is_written(range.clone(), template) {
            found.push(range);
        }
    }
    found
}

/// True when some of the range is no template.
fn is_written(range: Range<usize>, template: &[Range<usize>]) -> bool {
    range.into_iter().any(|at| !template.iter().any(|range| range.contains(&at)))
}

/// Where the first character outside templates is that ends something; else the end of the text.
fn end(text: &str, start: usize, template: &[Range<usize>], ends: impl Fn(char) -> bool) -> usize {
    let mut characters = text.get(start..).unwrap_or_default().char_indices().map(|(at, c)| (start + at, c));
    let found = characters.find(|(at, c)| ends(*c) && !template.iter().any(|range| range.contains(at)));
    found.map_or(text.len(), |(at, _)| at)
}

/// The templates of a text, each within its line.
fn templates(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices('{') {
        let rest = text.get(at..).unwrap_or_default();
        let close = match rest.as_bytes().get(1) {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            _ => continue,
        };
        let line = rest.lines().next().unwrap_or_default();
        if found.last().is_none_or(|last| last.end <= at)
            && let Some(length) = line.find(close)
        {
            found.push(at..at + length + close.len());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_keys_in_addresses_are_found_and_templates_are_not() {
        for (text, clean) in [
            ("http://svc:hunter2@127.0.0.1:8198/iterable", "http://svc:*******@127.0.0.1:8198/iterable"),
            ("https://svc:p@ss@host", "https://svc:****@host"),
            ("https://svc:a/b?c#d@host/x", "https://svc:*******@host/x"),
            ("https://:pw@host", "https://:**@host"),
            ("https://svc:{{ env.PW }}@host", "https://svc:{{ env.PW }}@host"),
            ("https://svc:{{ file('a/b@c') }}@host", "https://svc:{{ file('a/b@c') }}@host"),
            ("https://{{ env.USER }}:{{ env.PW }}@host", "https://{{ env.USER }}:{{ env.PW }}@host"),
            ("https://svc:x{{ env.PW }}@host", "https://svc:*************@host"),
            ("https://svc@host:8080/a:b@c", "https://svc@host:8080/a:b@c"),
            ("https://host:8080/a@b", "https://host:8080/a@b"),
            ("https://[::1]:8080/a@b", "https://[::1]:8080/a@b"),
            ("https://host/?api_key=abc&page=2#key=x", "https://host/?api_key=***&page=2#key=x"),
            ("https://host/x?page=2&X-Token=abc", "https://host/x?page=2&X-Token=***"),
            ("https://host?key=abc", "https://host?key=***"),
            ("https://host?key={{ env.KEY }}&token=", "https://host?key={{ env.KEY }}&token="),
            ("https://host?monkey=abc&keys=a", "https://host?monkey=abc&keys=a"),
            (
                "-  a: \"http://a:b@c/\"\n+  a: 'https://d:e@f?secret=g'\n",
                "-  a: \"http://a:*@c/\"\n+  a: 'https://d:*@f?secret=*'\n",
            ),
            ("https://größe:ä@host", "https://größe:**@host"),
            ("no address: a:b@c", "no address: a:b@c"),
            ("https://a:{{ b", "https://a:{{ b"),
            ("://", "://"),
        ] {
            assert_eq!(blanked(text), clean, "{text}");
        }
    }

    #[test]
    fn keys_in_the_query_of_a_path_are_found() {
        for (path, values) in [
            ("/rows?api_key=abc", vec!["abc"]),
            ("/rows?key=email&access_token=x", vec!["x"]),
            ("/rows?api_key={{ connection.api_key }}", vec![]),
            ("/rows", vec![]),
        ] {
            let found: Vec<&str> = written_in_path(path).into_iter().map(|range| &path[range]).collect();
            assert_eq!(found, values, "{path}");
        }
    }
}
