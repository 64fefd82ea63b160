//! Blanking out secrets before a configuration is shown.

use serde_json::Value;

/// What stands in place of a secret.
const BLANK: &str = "***";

/// Words in a key that make its value a secret.
const SECRET_WORDS: [&str; 3] = ["password", "secret", "token"];

/// The value with passwords in URLs and connection strings, and all values of secret keys, replaced by `***`.
pub(super) fn redacted(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact_text(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(redacted).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, inner)| redact_entry(key, inner)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

fn redact_entry(key: String, value: Value) -> (String, Value) {
    let secret = value.is_string() && SECRET_WORDS.iter().any(|word| key.contains(word));
    let shown = if secret { Value::String(BLANK.into()) } else { redacted(value) };
    (key, shown)
}

/// `scheme://user:secret@host` and `password=secret`, as in PostgreSQL's two connection forms.
fn redact_text(text: &str) -> String {
    let without_user_info = match user_info_password(text) {
        Some((start, end)) => format!("{}{BLANK}{}", &text[..start], &text[end..]),
        None => text.to_owned(),
    };
    match without_user_info.find("password=") {
        Some(at) => {
            let start = at + "password=".len();
            let rest = &without_user_info[start..];
            let end = rest.find([' ', '&']).unwrap_or(rest.len());
            format!("{}{BLANK}{}", &without_user_info[..start], &rest[end..])
        }
        None => without_user_info,
    }
}

/// Byte range of the password in a URL's authority.
fn user_info_password(text: &str) -> Option<(usize, usize)> {
    let authority = text.find("://")? + 3;
    let authority_end = text[authority..].find('/').map_or(text.len(), |slash| authority + slash);
    let at = authority + text[authority..authority_end].rfind('@')?;
    let colon = authority + text[authority..at].find(':')?;
    Some((colon + 1, at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn passwords_do_not_show() {
        for (given, shown) in [
            ("postgres://spina:s3:cr@t@db:5432/spina", "postgres://spina:***@db:5432/spina"),
            ("host=db password=secret user=spina", "host=db password=*** user=spina"),
            (
                "postgres://db/spina?user=a&password=b&sslmode=off",
                "postgres://db/spina?user=a&password=***&sslmode=off",
            ),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("https://user@registry/path:x", "https://user@registry/path:x"),
        ] {
            assert_eq!(redact_text(given), shown);
        }
    }

    #[test]
    fn keys_that_sound_secret_are_blanked() {
        let value = redacted(json!({"admin_token": "abc", "tokens_max": 3, "nested": {"password": "x"}}));
        assert_eq!(value, json!({"admin_token": "***", "tokens_max": 3, "nested": {"password": "***"}}));
    }
}
