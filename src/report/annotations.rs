//! Diagnostics as commands of a GitHub workflow: each becomes an annotation at its file and line.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use std::path::Path;

use super::codequality::{path, words};
use super::diagnostics::{end, severity};
use crate::diagnostic::Diagnostic;

/// One command a line. `below` is the way from the root of the repository to the project: GitHub names files from there.
/// GitHub shows ten errors and ten warnings of a step as annotations; all of them are in its log.
pub fn github(diagnostics: &[Diagnostic], below: &Path) -> String {
    diagnostics.iter().map(|diagnostic| command(diagnostic, below)).collect()
}

fn command(diagnostic: &Diagnostic, below: &Path) -> String {
    let mut properties = Vec::new();
    if let Some(place) = &diagnostic.place {
        let ((line, column), (end_line, end_column)) = (place.line_column(), end(place).line_column());
        properties.push(format!("file={}", property(&path(place, below))));
        properties.push(format!("line={line}"));
        properties.push(format!("endLine={end_line}"));
        // Columns are taken only where both are in one line.
        if line == end_line {
            properties.push(format!("col={column}"));
            properties.push(format!("endColumn={end_column}"));
        }
    }
    properties.push(format!("title={}", property(diagnostic.code)));
    format!("::{} {}::{}\n", severity(diagnostic.severity), properties.join(","), data(&words(diagnostic, "\n")))
}

/// What stands after a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// What stands in a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::place;

    #[test]
    fn commands() {
        let text = "name: users\nmode: upsrt\n";
        let known =
            Diagnostic::error("unknown-mode", "no mode `upsrt`", Some(place("syncs/a,b:50%.yaml", text, "upsrt")))
                .with_label("expected one of\n`insert`")
                .with_help("did you mean `upsert`?");
        let odd = Diagnostic::warning("odd", "100 %\r\n::set-env name=x::y", None);
        let across = Diagnostic::error("empty", "nothing", Some(place("m.yaml", "a:\n  b: 1\n", "a:\n  b")));
        assert_eq!(
            github(&[known, odd, across], Path::new("teams/crm")),
            "::error file=teams/crm/syncs/a%2Cb%3A50%25.yaml,line=2,endLine=2,col=7,endColumn=12,title=unknown-mode::\
             no mode `upsrt`%0Aexpected one of\\n`insert`%0Adid you mean `upsert`?\n\
             ::warning title=odd::100 %25\\r\\n::set-env name=x::y\n\
             ::error file=teams/crm/m.yaml,line=1,endLine=2,title=empty::nothing\n"
        );
        assert_eq!(github(&[], Path::new("")), "");
    }
}
