//! Ids of decided events. A command may lead to other events when it is decided again, so what its request is recognised
//! by has to be the command itself. The ids of its events say it: they come back from the log with everything else.
//!
//! ```text
//! 6b0e...(128-bit hash of the request's id)-9f3a...(fingerprint of the command)-0 (place among its events)
//! ```

use crate::StreamKey;

/// The id of a decided event: the same each time the request is decided for the same command.
pub fn decided_event_id(request: StreamKey, fingerprint: u64, place: usize) -> String {
    format!("{:032x}-{fingerprint:016x}-{place}", request.0)
}

/// The fingerprint of the command that an event was decided from; `None` if it was appended as it is.
pub fn decided_fingerprint(event_id: &str, request: StreamKey) -> Option<u64> {
    let rest = event_id.strip_prefix(&format!("{:032x}-", request.0))?;
    let (fingerprint, place) = rest.split_once('-')?;
    place.parse::<u32>().ok().filter(|_| fingerprint.len() == 16)?;
    u64::from_str_radix(fingerprint, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_command_to_who_knows_the_request() {
        let request = StreamKey::of("withdrawal 7");
        let id = decided_event_id(request, 0xfe, 2);
        assert_eq!(decided_fingerprint(&id, request), Some(0xfe));
        assert_eq!(decided_fingerprint(&id, StreamKey::of("withdrawal 8")), None);
        assert_eq!(decided_fingerprint("0196-a-1", request), None);
    }
}
