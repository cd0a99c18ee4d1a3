//! Where the state is kept: which settings belong to which kind of store.

use super::files::File;
use crate::diagnostic::Diagnostic;
use crate::manifest::document::escape;
use crate::manifest::project::Project;
use crate::secret;

/// Settings by the stores that have them; the others are for all.
const SETTINGS: [(&str, &[&str]); 7] = [
    ("path", &["local"]),
    ("bucket", &["s3", "gcs", "azure"]),
    ("prefix", &["s3", "gcs", "azure", "postgres"]),
    ("region", &["s3"]),
    ("account", &["azure"]),
    ("endpoint", &["s3", "gcs", "azure"]),
    ("connection", &["postgres"]),
];

/// Checks the state of the project and of each environment.
pub(super) fn check(file: &File, project: &Project, out: &mut Vec<Diagnostic>) {
    let environments = project.environments.iter().filter(|(_, environment)| environment.state.is_some());
    let pointers = environments.map(|(name, _)| format!("/environments/{}/state", escape(name)));
    for pointer in std::iter::once("/state".to_owned()).chain(pointers) {
        let Some(state) = file.value.pointer(&pointer) else { continue };
        let kind = state.get("type").and_then(|kind| kind.as_str()).unwrap_or_default();
        for (setting, kinds) in SETTINGS {
            if state.get(setting).is_some_and(|value| !value.is_null()) && !kinds.contains(&kind) {
                let message = format!("`{setting}` is a setting of {}, and this state is `{kind}`", list(kinds));
                let place = file.key_place(&format!("{pointer}/{setting}"));
                out.push(Diagnostic::error("bad-state", message, place).with_help("remove it, or change `type`"));
            }
        }
        let endpoint = format!("{pointer}/endpoint");
        if let Some(address) = file.text(&endpoint)
            && !private(address)
        {
            let message = format!("`{}` is no address the state may be sent to", secret::blanked(address));
            out.push(Diagnostic::error("bad-state", message, file.place(&endpoint)).with_help(
                "it begins with `https://`; `http://` is for this machine alone, as states hold personal data",
            ));
        }
        let prefix = format!("{pointer}/prefix");
        if file.text(&prefix).is_some_and(|text| text.split('/').any(|part| matches!(part, "." | ".."))) {
            out.push(Diagnostic::error(
                "bad-state",
                "`prefix` is no path: `.` and `..` lead nowhere",
                file.place(&prefix),
            ));
        }
    }
}

/// True for an address nobody can listen to on the way.
fn private(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("http://") else { return address.starts_with("https://") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(h, _)| h);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

fn list(kinds: &[&str]) -> String {
    kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_sent_where_nobody_listens() {
        for (address, fine) in [
            ("https://minio.example.com", true),
            ("http://127.0.0.1:9000", true),
            ("http://localhost", true),
            ("http://[::1]:9000/", true),
            ("http://minio.internal:9000", false),
            ("http://localhost@evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("minio.example.com", false),
        ] {
            assert_eq!(private(address), fine, "{address}");
        }
    }
}
