//! What a back-test should find: incidents that people know of, in a file.
//!
//! ```yaml
//! - { rule: flights/storm, group: { airport: EWR }, from: 2013-02-08T00:00:00Z, to: 2013-02-10T00:00:00Z }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spina_core::Timestamp;

/// An incident that there should be: any that has those labels and lasts at some time between those two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The rule that should open it; any, unless it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// Labels of its group; there may be more.
    #[serde(default)]
    group: BTreeMap<String, String>,
    from: Timestamp,
    to: Timestamp,
}

impl fmt::Display for Known {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, group, from, to } = self;
        let labels: Vec<String> = group.iter().map(|(name, value)| format!("{name}={value}")).collect();
        write!(out, "{} {{{}}} from {from} to {to}", rule.as_deref().unwrap_or("any rule"), labels.join(", "))
    }
}

impl Known {
    fn is(&self, incident: &Value) -> bool {
        let time = |field: &str| incident[field].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let begins_before_end = time("began_at").is_some_and(|began| began <= self.to);
        // One that is not over lasts.
        let ends_after_begin = time("resolved_at").is_none_or(|over| self.from <= over);
        let has_labels = self.group.iter().all(|(name, value)| incident["group"][name] == value.as_str());
        let has_rule = self.rule.as_ref().is_none_or(|rule| incident["rule"] == rule.as_str());
        has_rule && has_labels && begins_before_end && ends_after_begin
    }
}

/// Reads the incidents of a file.
///
/// # Errors
/// When there is none, or it says something else.
pub fn read(file: &Path) -> Result<Vec<Known>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let known = parse(&text).with_context(|| format!("read {}", file.display()))?;
    ensure!(!known.is_empty(), "{} names no incident, which shows nothing", file.display());
    Ok(known)
}

fn parse(text: &str) -> Result<Vec<Known>> {
    let known: Vec<Known> = serde_saphyr::from_str(text)?;
    for one in &known {
        ensure!(one.from <= one.to, "{one}: it ends before it begins");
    }
    Ok(known)
}

/// Those that a back-test did not find.
///
/// # Errors
/// When some are missing, and not all incidents were told.
pub fn missed(known: &[Known], answer: &Value) -> Result<Vec<Known>> {
    let found = answer["found"].as_array().map(Vec::as_slice).unwrap_or_default();
    let missed: Vec<Known> = known.iter().filter(|one| !found.iter().any(|it| one.is(it))).cloned().collect();
    let all = answer["incidents"].as_u64() == Some(found.len() as u64);
    let (told, there) = (found.len(), &answer["incidents"]);
    ensure!(all || missed.is_empty(), "only {told} of {there} incidents are told: ask for less with --from and --to");
    Ok(missed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STORMS: &str = "
- { rule: flights/storm, group: { airport: EWR }, from: 2013-02-08T00:00:00Z, to: 2013-02-09T00:00:00Z }
- { group: { airport: JFK }, from: 2013-02-08T00:00:00Z, to: 2013-02-09T00:00:00Z }
";

    fn answer(incidents: u64) -> Value {
        let storm = |airport: &str, began: &str, over: Option<&str>| {
            json!({ "rule": "flights/storm", "group": { "airport": airport, "part": "1" },
                    "began_at": began, "resolved_at": over })
        };
        let found = [
            storm("EWR", "2013-02-07T22:00:00Z", Some("2013-02-08T00:00:00Z")),
            storm("JFK", "2013-02-09T00:00:01Z", None),
        ];
        json!({ "incidents": incidents, "found": found })
    }

    #[test]
    fn one_that_lasts_at_that_time_is_found() {
        let known = parse(STORMS).unwrap();
        let missed = missed(&known, &answer(2)).unwrap();
        assert_eq!(missed, known[1..]);
        assert_eq!(missed[0].to_string(), "any rule {airport=JFK} from 2013-02-08T00:00:00Z to 2013-02-09T00:00:00Z");
    }

    #[test]
    fn rule_and_labels_must_be_those() {
        let other =
            |from: &str, to: &str| missed(&parse(&STORMS.replace(from, to)).unwrap(), &answer(2)).unwrap().len();
        assert_eq!(other("flights/storm", "flights/congestion"), 2);
        assert_eq!(other("EWR", "LGA"), 2);
        assert_eq!(other("02-09T", "02-10T"), 0);
    }

    #[test]
    fn what_was_not_told_is_not_missed() {
        let error = missed(&parse(STORMS).unwrap(), &answer(3)).unwrap_err();
        assert!(error.to_string().starts_with("only 2 of 3 incidents"), "{error}");
    }

    #[test]
    fn what_a_file_cannot_say_is_told() {
        for wrong in ["- { rules: a, from: 2013-02-08T00:00:00Z, to: 2013-02-09T00:00:00Z }", "- { rule: a }", "storms"]
        {
            parse(wrong).unwrap_err();
        }
        let error = parse("- { from: 2013-02-09T00:00:00Z, to: 2013-02-08T00:00:00Z }").unwrap_err();
        assert!(error.to_string().contains("it ends before it begins"), "{error}");
    }
}
