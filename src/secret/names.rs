//! Names that credentials go by, wherever names are looked at: in addresses, manifests, logs and reports of imports.

/// What such a name ends with: `client_secret`, `X-Api-Key`, `refreshToken`.
const ENDS: [&str; 14] = [
    "accesskey",
    "accountkey",
    "apikey",
    "assertion",
    "authorization",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "secretkey",
    "subscriptionkey",
    "token",
];

/// What such a name is as a whole. Ordinary names end with these words, too, and a value of theirs that is written in a
/// file would wrongly be refused: `design`, `bypass`, `email_signature`, `accept_cookie`.
const WHOLE: [&str; 6] = ["cookie", "pass", "pwd", "sig", "signature", "xamzsignature"];

/// What only says that there may be a credential. `auth` is how to sign in as often as what with (`auth: basic`), and is
/// part of `author`; in what is only hidden, that costs nothing.
const WITHIN: [&str; 3] = ["auth", "cookie", "signature"];

/// Tokens that say where in a result somebody is, not who it is: they are sent by whoever reads on.
const POSITIONS: [&str; 4] = ["continuationtoken", "nexttoken", "pagetoken", "synctoken"];

// Two words are in no list. `key` alone is what many APIs call a key of theirs; only in the query of an address it is a
// credential. `credentials` is as a rule the path of a file with some (`GOOGLE_APPLICATION_CREDENTIALS`), which may be written.

/// True for names that credentials go by. A value of such a name that is written out is refused, so that no ordinary field
/// may be among them. Case and what stands between words make no difference.
pub fn names_credential(name: &str) -> bool {
    let name = plain(name);
    WHOLE.contains(&name.as_str()) || (ends(&name, &ENDS) && !ends(&name, &POSITIONS))
}

/// True for names that credentials may go by. For what is only hidden: it may well be an ordinary field.
pub fn may_name_credential(name: &str) -> bool {
    let plain = plain(name);
    names_credential(name) || ENDS.iter().chain(&WITHIN).any(|word| plain.contains(word))
}

/// True for names of parameters in the query of an address that credentials go by.
pub(super) fn names_parameter(name: &str) -> bool {
    names_credential(name) || plain(name) == "key"
}

fn plain(name: &str) -> String {
    name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect()
}

fn ends(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| name.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_by_their_names_and_ordinary_fields_are_none() {
        for name in [
            "password",
            "DB_PASSWORD",
            "clientSecret",
            "X-Api-Key",
            "api_key",
            "access-token",
            "authToken",
            "idToken",
            "session_token",
            "Authorization",
            "Proxy-Authorization",
            "private_key",
            "private_key_passphrase",
            "accountkey",
            "client_assertion",
            "subscription-key",
            "user_credential",
            "Cookie",
            "pwd",
            "sig",
            "X-Amz-Signature",
            "passwd",
        ] {
            assert!(names_credential(name) && may_name_credential(name), "{name}");
        }
        for name in [
            "email",
            "key",
            "keys",
            "monkey",
            "author",
            "auth",
            "authority",
            "design",
            "bypass",
            "compass",
            "tokens",
            "token_url",
            "secret_name",
            "email_signature",
            "pageToken",
            "next_page_token",
            "continuation_token",
            "keyword",
            "client_assertion_type",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "password_field",
            "",
        ] {
            assert!(!names_credential(name), "{name}");
        }
        // What is only hidden may be ordinary.
        for name in ["auth", "basicAuth", "passwordHash", "token_url", "Set-Cookie", "apiKeyValue", "request_signature"]
        {
            assert!(may_name_credential(name), "{name}");
        }
        for name in ["email", "key", "design", "plan", "Content-Type", ""] {
            assert!(!may_name_credential(name), "{name}");
        }
        assert!(names_parameter("key") && names_parameter("api_key") && !names_parameter("keys"));
    }
}
