//! Where a target says later how a call goes on: an address for each call, at any orchestrator.
//!
//! ```text
//! POST <call> + Spina-Callback: <address> ─▶ 202 ─▶ POST <address>/heartbeat, again and again ─▶ POST <address>/done
//! ```

use std::fmt::Write as _;

use spina_core::saga::AskId;

/// Header of a call that may be taken for later.
pub const HEADER: &str = "Spina-Callback";

/// The address of a call: `http://127.0.0.1:7403/v1/saga-calls/saga-rebook-17/tell/do/1`.
pub fn url(endpoint: &str, ask: &AskId) -> String {
    let direction = if ask.undo { "undo" } else { "do" };
    format!("{endpoint}/v1/saga-calls/{}/{}/{direction}/{}", segment(&ask.saga), segment(&ask.step), ask.round)
}

/// A part of a path, with everything encoded that may mean something there.
fn segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            _ = write!(path, "%{byte:02X}");
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_id_of_the_call_in_it() {
        let ask = AskId { saga: "saga-rebook-a/b c".into(), step: "tell".into(), undo: true, round: 2 };
        assert_eq!(url("http://o:1", &ask), "http://o:1/v1/saga-calls/saga-rebook-a%2Fb%20c/tell/undo/2");
    }
}
