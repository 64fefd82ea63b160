//! Events and commands as JSON text: from outbox tables and source connectors that know no schema of ours.
//!
//! The header `ce_type` says which one it is; its fields are read as they are in requests over HTTP. An Avro frame begins
//! with a zero byte, which no JSON text does.

use std::sync::Arc;

use serde_json::{Map, Value};
use spina_codec::catalog::EventType;

use super::{Content, malformed};
use crate::context::Context;
use crate::prepare::Invalid;

/// Whether the value is a JSON object, rather than a frame or garbage.
pub(super) fn is_object(value: &[u8]) -> bool {
    value.trim_ascii_start().first() == Some(&b'{')
}

/// The type that the record's header names, and the fields.
pub(super) fn content(
    context: &Context,
    named: Option<&str>,
    value: &[u8],
) -> Result<(Arc<EventType>, Content), Invalid> {
    let unknown = |message: String| Invalid::new("validation.unknown_type", message);
    let name = named.ok_or_else(|| unknown("a record in JSON needs the header `ce_type`".to_owned()))?;
    let event_type = context.catalog.by_name(name);
    let event_type =
        event_type.ok_or_else(|| unknown(format!("context {} has no event or command `{name}`", context.name())))?;
    let fields: Map<String, Value> = serde_json::from_slice(value).map_err(|error| malformed(error.to_string()))?;
    Ok((Arc::clone(event_type), Content::Fields(fields)))
}

#[cfg(test)]
mod tests {
    use spina_codec::frame::frame;

    use super::*;

    #[test]
    fn an_object_is_told_from_a_frame_and_from_garbage() {
        assert!(is_object(br#"{"carrier": "UA"}"#) && is_object(b" \n{}"));
        for other in [frame(0x7b7b_7b7b, b"{}").as_slice(), b"", b"[{}]", br#""{}""#, b"\0{"] {
            assert!(!is_object(other), "{other:?}");
        }
    }
}
