//! Unique values: which claims a stream's state holds.
//!
//! A value of a unique field is claimed in a stream of its own, which is named after aggregate, field and value. Its events
//! are not of the domain. Who holds the value is told by the holder's own state; a claim only says whom to ask.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{StreamId, StreamKey};

/// Categories that begin so are of streams that claim values. No aggregate has such a name.
pub const CATEGORY_PREFIX: &str = "unique_";
/// Record of a claim: a stream has taken the value, or is about to.
pub const VALUE_CLAIMED: &str = "spina.ValueClaimed";
/// Record of a claim that is given back.
pub const VALUE_RELEASED: &str = "spina.ValueReleased";
/// Record by which an owner proves that nobody owned its partition after it.
pub const OWNERSHIP_PROVED: &str = "spina.OwnershipProved";
/// All records of claims.
pub const RECORDS: [&str; 3] = [VALUE_CLAIMED, VALUE_RELEASED, OWNERSHIP_PROVED];

/// The `ce_type` of events that are written with such a record: `spina.claim.ValueClaimed`. No context is called `spina`.
pub fn event_type(record: &str) -> String {
    format!("spina.claim.{}", record.rsplit('.').next().unwrap_or(record))
}

/// The claims of a state, each with its field. A field that is missing or null claims nothing.
pub fn claims(aggregate: &str, unique: &[String], state: &Map<String, Value>) -> BTreeMap<StreamId, String> {
    let valued = unique.iter().filter_map(|field| Some((field, state.get(field).filter(|value| !value.is_null())?)));
    valued.map(|(field, value)| (claim(aggregate, field, value), field.clone())).collect()
}

/// The stream that claims a value: `unique_customer-email-3f29...`, with 128 bits of the value's hash.
fn claim(aggregate: &str, field: &str, value: &Value) -> StreamId {
    let hash = StreamKey::of(&value.to_string()).0;
    let id = format!("{CATEGORY_PREFIX}{aggregate}-{field}-{hash:032x}");
    id.parse().expect("aggregates and fields are names of limited length")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claimed(state: &Value) -> Vec<(String, String)> {
        let unique = ["email", "number"].map(str::to_owned);
        let claims = claims("customer", &unique, state.as_object().unwrap());
        claims.into_iter().map(|(claim, field)| (claim.to_string(), field)).collect()
    }

    #[test]
    fn a_state_claims_its_unique_values_and_nothing_else() {
        let claims = claimed(&json!({ "email": "a@b", "number": 7, "name": "A" }));
        let [(email, first), (number, second)] = claims.as_slice() else { panic!("{claims:?}") };
        assert_eq!((first.as_str(), second.as_str()), ("email", "number"));
        assert!(email.starts_with("unique_customer-email-") && number.starts_with("unique_customer-number-"));
        assert_eq!(claimed(&json!({ "email": null, "name": "a@b" })), []);
    }

    #[test]
    fn values_are_told_apart_by_all_they_are() {
        let of = |email: Value| claimed(&json!({ "email": email }));
        assert_eq!(of(json!("a@b")), of(json!("a@b")));
        assert_ne!(of(json!("a@b")), of(json!("A@b")));
        assert_ne!(of(json!("7")), of(json!(7)));
    }
}
