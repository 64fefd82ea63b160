//! Server-sent events, as the HTML standard describes the stream.

use bytes::BytesMut;

/// Longest line; an event's own limit is far lower.
const LINE_BYTES_MAX: usize = 16 << 20;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Where to resume after it, if it says so.
    pub id: Option<String>,
    /// Its kind; `message` if it does not say.
    pub event: Option<String>,
    /// What it carries; empty if it only moves the place.
    pub data: String,
}

/// A line did not end.
#[derive(Debug, thiserror::Error)]
#[error("a line of the event stream is longer than {LINE_BYTES_MAX} bytes")]
pub struct TooLong;

/// Takes bytes in as they come and gives messages out as they become complete.
#[derive(Debug, Default)]
pub struct Parser {
    received: BytesMut,
    message: Message,
}

impl Parser {
    /// Adds bytes; returns the messages that are complete now.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        self.received.extend_from_slice(bytes);
        let mut complete = Vec::new();
        while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
            let line = self.received.split_to(end + 1);
            let line = String::from_utf8_lossy(&line);
            complete.extend(self.line(line.trim_end_matches(['\r', '\n'])));
        }
        if self.received.len() > LINE_BYTES_MAX { Err(TooLong) } else { Ok(complete) }
    }

    /// An empty line ends a message. One without data is no event, but its id still says where to resume.
    fn line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let mut message = std::mem::take(&mut self.message);
            message.data.pop();
            return (!message.data.is_empty() || message.id.is_some()).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.message.id = Some(value.to_owned()),
            "event" => self.message.event = Some(value.to_owned()),
            "data" => {
                self.message.data.push_str(value);
                self.message.data.push('\n');
            }
            // Comments (no field name) keep the connection alive; unknown fields are to be ignored.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: Option<&str>, data: &str) -> Message {
        Message { id: id.map(str::to_owned), event: None, data: data.to_owned() }
    }

    #[test]
    fn messages_may_arrive_in_any_pieces() {
        let text = ":hello\n\nid: a:0:1\ndata: {\"x\":1}\n\nid:b\r\ndata:two\r\ndata:lines\r\n\r\n";
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let messages: Vec<_> = text.as_bytes().chunks(size).flat_map(|piece| parser.feed(piece).unwrap()).collect();
            assert_eq!(messages, [message(Some("a:0:1"), "{\"x\":1}"), message(Some("b"), "two\nlines")]);
        }
    }

    #[test]
    fn a_message_may_only_move_the_place() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(b"id: a:0:7\n\n:alive\n\n").unwrap(), [message(Some("a:0:7"), "")]);
    }

    #[test]
    fn an_unfinished_message_is_not_one() {
        let mut parser = Parser::default();
        assert!(parser.feed(b"id: 1\ndata: half").unwrap().is_empty());
        assert_eq!(parser.feed(b"\n\n").unwrap(), [message(Some("1"), "half")]);
    }

    #[test]
    fn a_line_has_a_limit() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 1 << 20];
        assert!((0..20).any(|_| parser.feed(&piece).is_err()));
    }
}
