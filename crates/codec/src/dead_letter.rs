//! Records of a dead-letter topic: the record as it came, and headers that say why it is there.
//!
//! Ours are text, so any client can show them. Those of Kafka Connect (KIP-298) and of Spring for Apache Kafka are understood
//! too; Spring writes numbers in binary, big-endian.

use spina_core::Timestamp;

use crate::headers::{Headers, SPINA_ERROR};

/// `<topic>:<partition>:<offset>` of the record as it came: the same however often it is written.
pub const SPINA_DLQ_ID: &str = "spina-dlq-id";
/// Class of the error: all of one class may be mended in one go.
pub const SPINA_DLQ_CLASS: &str = "spina-dlq-class";
/// Topic of the record as it came.
pub const SPINA_DLQ_TOPIC: &str = "spina-dlq-topic";
/// Its partition, decimal.
pub const SPINA_DLQ_PARTITION: &str = "spina-dlq-partition";
/// Its offset, decimal.
pub const SPINA_DLQ_OFFSET: &str = "spina-dlq-offset";
/// When it was written there, RFC 3339.
pub const SPINA_DLQ_TIME: &str = "spina-dlq-time";
/// Who could not handle it: `flights/flight_status`.
pub const SPINA_DLQ_READER: &str = "spina-dlq-reader";

/// Longest message, in characters.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// Whose headers they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Ours.
    Spina,
    /// Kafka Connect's: `__connect.errors.*`.
    Connect,
    /// Spring for Apache Kafka's: `kafka_dlt-*`.
    Spring,
}

/// Why a record is among the dead letters, and where it stood; what the headers do not say is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Whose headers say so.
    pub family: Family,
    /// Class of the error: one of ours, or a Java class.
    pub class: Option<String>,
    /// The error, for people.
    pub message: Option<String>,
    /// Topic of the record as it came.
    pub topic: Option<String>,
    /// Its partition.
    pub partition: Option<i32>,
    /// Its offset.
    pub offset: Option<i64>,
    /// When it was written there.
    pub time: Option<Timestamp>,
    /// Who could not handle it: a model, a connector, a consumer group.
    pub reader: Option<String>,
}

/// A record that cannot be handled, as it came.
#[derive(Debug, Clone, Copy)]
pub struct Unhandled<'r> {
    /// Where it stands.
    pub place: (&'r str, i32, i64),
    /// When it was written, in milliseconds since 1970; negative where that is not known.
    pub timestamp_ms: i64,
    /// Its headers.
    pub headers: &'r Headers,
    /// Class of the error.
    pub class: &'r str,
    /// The error.
    pub message: &'r str,
    /// Who cannot handle it.
    pub reader: &'r str,
}

/// The headers of a dead letter: those of the record, then ours.
pub fn headers_of(unhandled: &Unhandled<'_>) -> Headers {
    let (topic, partition, offset) = unhandled.place;
    let mut headers = unhandled.headers.clone();
    let mut put = |name: &str, value: &str| headers.push(name, Some(value.as_bytes()));
    put(SPINA_DLQ_ID, &format!("{topic}:{partition}:{offset}"));
    put(SPINA_DLQ_CLASS, unhandled.class);
    put(SPINA_ERROR, &unhandled.message.chars().take(MESSAGE_CHARS_MAX).collect::<String>());
    put(SPINA_DLQ_TOPIC, topic);
    put(SPINA_DLQ_PARTITION, &partition.to_string());
    put(SPINA_DLQ_OFFSET, &offset.to_string());
    if let Some(time) = (unhandled.timestamp_ms >= 0).then(|| Timestamp::from_millis(unhandled.timestamp_ms)).flatten()
    {
        put(SPINA_DLQ_TIME, &time.to_string());
    }
    put(SPINA_DLQ_READER, unhandled.reader);
    headers
}

impl Cause {
    /// What a dead letter's headers say; `None` if they are of no family that is known.
    ///
    /// A record may have been a dead letter of another program before: the headers that were added last are ours.
    pub fn read(headers: &Headers) -> Option<Self> {
        let family = if headers.get(SPINA_ERROR).is_some() {
            Family::Spina
        } else if headers.iter().any(|(name, _)| name.starts_with("__connect.errors.")) {
            Family::Connect
        } else if headers.iter().any(|(name, _)| name.starts_with("kafka_dlt-")) {
            Family::Spring
        } else {
            return None;
        };
        Some(match family {
            Family::Spina => Self::ours(headers),
            Family::Connect => Self::of_connect(headers),
            Family::Spring => Self::of_spring(headers),
        })
    }

    fn ours(headers: &Headers) -> Self {
        Self {
            family: Family::Spina,
            class: text(headers, SPINA_DLQ_CLASS),
            message: text(headers, SPINA_ERROR),
            topic: text(headers, SPINA_DLQ_TOPIC),
            partition: parsed(headers, SPINA_DLQ_PARTITION),
            offset: parsed(headers, SPINA_DLQ_OFFSET),
            time: parsed(headers, SPINA_DLQ_TIME),
            reader: text(headers, SPINA_DLQ_READER),
        }
    }

    fn of_connect(headers: &Headers) -> Self {
        Self {
            family: Family::Connect,
            class: text(headers, "__connect.errors.exception.class.name"),
            message: text(headers, "__connect.errors.exception.message"),
            topic: text(headers, "__connect.errors.topic"),
            partition: parsed(headers, "__connect.errors.partition"),
            offset: parsed(headers, "__connect.errors.offset"),
            time: None,
            reader: text(headers, "__connect.errors.connector.name"),
        }
    }

    fn of_spring(headers: &Headers) -> Self {
        // The exception is the listener's wrapper; its cause says more, where there is one.
        let class = ["kafka_dlt-exception-cause-fqcn", "kafka_dlt-exception-fqcn"];
        Self {
            family: Family::Spring,
            class: class.into_iter().find_map(|name| text(headers, name)),
            message: text(headers, "kafka_dlt-exception-message"),
            topic: text(headers, "kafka_dlt-original-topic"),
            partition: fixed(headers, "kafka_dlt-original-partition").map(i32::from_be_bytes),
            offset: fixed(headers, "kafka_dlt-original-offset").map(i64::from_be_bytes),
            time: fixed(headers, "kafka_dlt-original-timestamp")
                .and_then(|bytes| Timestamp::from_millis(i64::from_be_bytes(bytes))),
            reader: text(headers, "kafka_dlt-original-consumer-group"),
        }
    }
}

impl Family {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spina => "spina",
            Self::Connect => "connect",
            Self::Spring => "spring",
        }
    }
}

fn text(headers: &Headers, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
}

fn parsed<T: std::str::FromStr>(headers: &Headers, name: &str) -> Option<T> {
    headers.get_str(name)?.parse().ok()
}

fn fixed<const N: usize>(headers: &Headers, name: &str) -> Option<[u8; N]> {
    headers.get(name)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&str, &[u8])]) -> Headers {
        let mut headers = Headers::default();
        of.iter().for_each(|(name, value)| headers.push(name, Some(value)));
        headers
    }

    #[test]
    fn what_we_write_is_text_behind_the_records_own_headers_and_is_read_back() {
        let own = headers(&[("odd", &[0xff, 0]), (SPINA_ERROR, b"an older one")]);
        let unhandled = Unhandled {
            place: ("flights.events.v1", 3, 1287),
            timestamp_ms: 1_356_998_400_000,
            headers: &own,
            class: "undecodable",
            message: &"x".repeat(MESSAGE_CHARS_MAX + 1),
            reader: "flights/flight_status",
        };
        let written = headers_of(&unhandled);
        assert_eq!(written.iter().next(), Some(("odd", Some([0xff, 0].as_slice()))));
        assert!(written.iter().skip(1).all(|(_, value)| std::str::from_utf8(value.unwrap()).is_ok()));
        assert_eq!(written.get_str(SPINA_DLQ_ID), Some("flights.events.v1:3:1287"));
        let cause = Cause {
            family: Family::Spina,
            class: Some("undecodable".into()),
            message: Some("x".repeat(MESSAGE_CHARS_MAX)),
            topic: Some("flights.events.v1".into()),
            partition: Some(3),
            offset: Some(1287),
            time: Timestamp::from_millis(1_356_998_400_000),
            reader: Some("flights/flight_status".into()),
        };
        assert_eq!(Cause::read(&written), Some(cause));
    }

    #[test]
    fn connects_headers_are_understood() {
        let cause = Cause::read(&headers(&[
            ("__connect.errors.topic", b"orders"),
            ("__connect.errors.partition", b"2"),
            ("__connect.errors.offset", b"77"),
            ("__connect.errors.connector.name", b"sink"),
            ("__connect.errors.exception.class.name", b"org.apache.kafka.connect.errors.DataException"),
            ("__connect.errors.exception.message", b"no schema"),
        ]));
        let cause = cause.unwrap();
        assert_eq!((cause.family, cause.partition, cause.offset), (Family::Connect, Some(2), Some(77)));
        let said = [cause.class, cause.message, cause.topic, cause.reader].map(Option::unwrap);
        assert_eq!(said, ["org.apache.kafka.connect.errors.DataException", "no schema", "orders", "sink"]);
    }

    #[test]
    fn springs_headers_are_understood_and_numbers_of_another_size_are_not() {
        let of = |partition: &[u8]| {
            Cause::read(&headers(&[
                ("kafka_dlt-original-topic", b"orders"),
                ("kafka_dlt-original-partition", partition),
                ("kafka_dlt-original-offset", &77_i64.to_be_bytes()),
                ("kafka_dlt-original-timestamp", &1_356_998_400_000_i64.to_be_bytes()),
                ("kafka_dlt-exception-fqcn", b"ListenerExecutionFailedException"),
                ("kafka_dlt-exception-cause-fqcn", b"java.lang.IllegalStateException"),
                ("kafka_dlt-exception-message", b"no"),
            ]))
            .unwrap()
        };
        let cause = of(&2_i32.to_be_bytes());
        assert_eq!((cause.family, cause.partition, cause.offset), (Family::Spring, Some(2), Some(77)));
        assert_eq!(cause.time, Timestamp::from_millis(1_356_998_400_000));
        assert_eq!(cause.class.as_deref(), Some("java.lang.IllegalStateException"));
        assert_eq!(of(b"2").partition, None);
    }

    #[test]
    fn other_headers_say_nothing() {
        assert_eq!(Cause::read(&headers(&[("ce_type", b"x")])), None);
    }
}
