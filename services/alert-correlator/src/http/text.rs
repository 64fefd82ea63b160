//! What Alertmanager's clients write and read: query strings, instants, refusals.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use spina_core::Timestamp;
use spina_core::correlation::Labels;
use spina_rules::correlation::{Matcher, matches_all};
use spina_runtime::ApiError;

/// The receiver of what no route takes.
pub const NOBODY: &str = "nobody";

/// An instant with three decimals, as Alertmanager writes them.
pub fn instant(time: Timestamp) -> String {
    Timestamp::from_millis(time.millis()).unwrap_or_default().to_string()
}

/// A refusal in Alertmanager's form: the reason as a JSON text.
#[derive(Debug)]
pub enum Refused {
    /// The request is not valid.
    Bad(String),
    /// Anything else, in our own form.
    Other(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(reason) => (StatusCode::BAD_REQUEST, Json(reason)).into_response(),
            Self::Other(error) => error.into_response(),
        }
    }
}

/// The parameters of a query string, of which some may come several times.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads it; what is missing is empty.
    pub fn of(raw: Option<&str>) -> Self {
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (decode(n), decode(v))).collect(),
        )
    }

    /// A switch, which is on unless it says false.
    pub fn wants(&self, name: &str) -> bool {
        self.0.iter().all(|(known, value)| known != name || value != "false")
    }

    /// The matchers of `filter`.
    pub fn filter(&self) -> Result<Filter, Refused> {
        let filters = self.0.iter().filter(|(name, _)| name == "filter");
        let parsed = filters.map(|(_, text)| Matcher::parse(text).map_err(|error| Refused::Bad(error.to_string())));
        parsed.collect::<Result<_, _>>().map(Filter)
    }

    /// The last value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Conditions that a caller asked for.
#[derive(Debug)]
pub struct Filter(Vec<Matcher>);

impl Filter {
    /// Whether the labels fit.
    pub fn takes(&self, labels: &Labels) -> bool {
        matches_all(&self.0, labels)
    }

    /// Its matchers.
    pub fn matchers(&self) -> &[Matcher] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings_are_read_with_repeats() {
        let query = Query::of(Some("silenced=false&filter=a%3D%22b+c%22&filter=d!%3De&x"));
        assert!(!query.wants("silenced") && query.wants("active"));
        let filter = query.filter().unwrap();
        let labels: Labels = [("a".to_owned(), "b c".to_owned())].into_iter().collect();
        assert!(filter.takes(&labels) && filter.matchers().len() == 2);
        assert!(Query::of(Some("filter=nonsense")).filter().is_err());
        assert_eq!(query.get("x"), Some(""));
    }
}
