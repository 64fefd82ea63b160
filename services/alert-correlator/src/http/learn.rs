//! `POST /v1/rules/learn`: what the history proposes as rules. It changes nothing.

use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use spina_core::correlation::learning::Thresholds;
use spina_core::{ContextName, Timestamp};
use spina_rules::correlation::parse_span;
use spina_runtime::{ApiError, ApiJson, ApiResult};
use utoipa::ToSchema;

use super::{RETRY_AFTER_S, Served};
use crate::learn::{self, Lesson};
use crate::rules::ALERTS;

/// Most contexts of one lesson.
const CONTEXTS_MAX: usize = 16;

/// What is to be learned from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The contexts whose signals are looked at; the draft is for the first. The alerts if absent.
    #[serde(default)]
    contexts: Vec<String>,
    /// Signals from this instant on.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Signals before this instant.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// Signals that lie at most so far apart come together: a span such as 5m, which is the default.
    #[serde(default)]
    frame: Option<String>,
    /// How often at least; 5 if absent.
    #[serde(default)]
    support: Option<u32>,
    /// In which share of all cases at least; 0.8 if absent.
    #[serde(default)]
    confidence: Option<f64>,
    /// How many times as often as by chance at least; 3 if absent.
    #[serde(default)]
    lift: Option<f64>,
}

impl Asked {
    fn lesson(self) -> ApiResult<Lesson> {
        let refuse = |message: String| Err(ApiError::invalid("validation.lesson", message));
        let contexts = if self.contexts.is_empty() { vec![ALERTS.to_owned()] } else { self.contexts };
        if contexts.len() > CONTEXTS_MAX {
            return refuse(format!("at most {CONTEXTS_MAX} contexts are looked at together"));
        }
        if let Some(bad) = contexts.iter().find(|context| context.parse::<ContextName>().is_err()) {
            return refuse(format!("{bad:?} is no context's name"));
        }
        let mut thresholds = Thresholds::default();
        if let Some(text) = self.frame {
            let Some(frame) = parse_span(&text) else {
                return refuse(format!("frame must be a span of time such as 90s or 5m, not {text:?}"));
            };
            thresholds.frame = frame;
        }
        thresholds.support = self.support.unwrap_or(thresholds.support);
        thresholds.confidence = self.confidence.unwrap_or(thresholds.confidence);
        thresholds.lift = self.lift.unwrap_or(thresholds.lift);
        let sound = thresholds.support >= 2 && thresholds.lift >= 1.0 && (0.0..=1.0).contains(&thresholds.confidence);
        if !sound {
            return refuse("support is at least 2, confidence from 0 to 1, lift at least 1".to_owned());
        }
        Ok(Lesson { contexts, from: self.from, to: self.to, thresholds })
    }
}

/// Learns which signals come together, and proposes rules with their evidence, as YAML, tried on the same history.
#[utoipa::path(post, path = "/v1/rules/learn", tag = "rules", request_body = Asked,
    responses((status = 200, description = "The proposals, and the text of a correlation.yaml with all of them; nothing is put in force"),
        (status = 422, description = "What was asked for makes no sense")))]
pub(super) async fn run(State(served): State<Served>, ApiJson(asked): ApiJson<Asked>) -> ApiResult<ApiJson<Value>> {
    let lesson = asked.lesson()?;
    let waiting = || ApiError::unavailable("the servers have not answered yet", RETRY_AFTER_S);
    let history = served.history.get().ok_or_else(waiting)?;
    let learned = learn::run(history, &served.files, &lesson).await;
    learned.map(ApiJson).map_err(|error| ApiError::unavailable(format!("{error:#}"), RETRY_AFTER_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Result<Lesson, String> {
        let asked: Asked = serde_json::from_str(body).map_err(|error| error.to_string())?;
        asked.lesson().map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn what_is_asked_for_is_checked() {
        let lesson = asked(r#"{"frame": "2m", "support": 9}"#).unwrap();
        assert_eq!(
            (lesson.contexts.as_slice(), lesson.thresholds.frame),
            (&["monitoring".to_owned()][..], 120_000_000)
        );
        for (body, word) in [
            (r#"{"frame": "soon"}"#, "span"),
            (r#"{"contexts": ["Not A Name"]}"#, "no context"),
            (r#"{"confidence": 1.5}"#, "confidence"),
            (r#"{"support": 1}"#, "support"),
            (r#"{"lift": 0.5}"#, "lift"),
            (r#"{"what": 1}"#, "unknown field"),
        ] {
            let error = asked(body).unwrap_err();
            assert!(error.contains(word), "{body}: {error}");
        }
    }
}
