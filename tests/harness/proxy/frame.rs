//! As much of Kafka's protocol as it takes to know which request is which. Pure.
//!
//! ```text
//!   request   length i32 | api i16 | version i16 | correlation i32 | client id, nullable string | tags, if flexible | body
//!   response  length i32 | correlation i32 | tags, if flexible | body
//! ```
//!
//! "Flexible" versions (KIP-482) write lengths as unsigned varints plus one, and have tagged fields everywhere.

/// Bytes of a frame's length.
pub(super) const LENGTH_BYTES: usize = 4;
/// A frame beyond this is not Kafka's.
pub(super) const FRAME_BYTES_MAX: usize = 128 * 1024 * 1024;

/// The requests that tests tell apart, by their key in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Api {
    /// Records.
    Produce,
    /// What a broker supports; the features among it say which transactions the cluster speaks.
    ApiVersions,
    /// A producer's id and epoch; opens a transactional id.
    InitProducerId,
    /// A partition joins the transaction (protocol v1).
    AddPartitionsToTxn,
    /// A group's offsets join the transaction (protocol v1).
    AddOffsetsToTxn,
    /// Commit or abort.
    EndTxn,
    /// Offsets of a group, within the transaction.
    TxnOffsetCommit,
    /// Any other, by its key.
    Other(i16),
}

impl Api {
    fn of(key: i16) -> Self {
        match key {
            0 => Self::Produce,
            18 => Self::ApiVersions,
            22 => Self::InitProducerId,
            24 => Self::AddPartitionsToTxn,
            25 => Self::AddOffsetsToTxn,
            26 => Self::EndTxn,
            28 => Self::TxnOffsetCommit,
            other => Self::Other(other),
        }
    }

    /// First flexible version, and whether the body begins with the transactional id.
    fn shape(self) -> Option<(i16, bool)> {
        match self {
            Self::Produce => Some((9, true)),
            Self::ApiVersions => Some((3, false)),
            Self::InitProducerId => Some((2, true)),
            Self::AddPartitionsToTxn | Self::AddOffsetsToTxn | Self::EndTxn | Self::TxnOffsetCommit => Some((3, true)),
            Self::Other(_) => None,
        }
    }
}

/// What a request says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which request.
    pub api: Api,
    /// Its version.
    pub version: i16,
    /// Its number on the connection; the response bears it.
    pub correlation: i32,
    /// How the client calls itself.
    pub client_id: String,
    /// The transactional id, where the request has one.
    pub transactional_id: Option<String>,
    /// Of EndTxn: commit, or abort.
    pub commit: Option<bool>,
}

impl Request {
    /// Reads a whole frame; `None` when it is not one of Kafka's.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let mut input = Input(frame.get(LENGTH_BYTES..)?);
        let (key, version, correlation) = (input.i16()?, input.i16()?, input.i32()?);
        let client_id = input.string()?.unwrap_or_default();
        let api = Api::of(key);
        let mut request = Self { api, version, correlation, client_id, transactional_id: None, commit: None };
        let Some((flexible_from, transactional)) = api.shape() else { return Some(request) };
        let flexible = version >= flexible_from;
        if flexible {
            input.tags()?;
        }
        // Version 4 of this request carries several transactional ids and is spoken between brokers only.
        if transactional && !(api == Api::AddPartitionsToTxn && version >= 4) {
            request.transactional_id = if flexible { input.compact_string()? } else { input.string()? };
        }
        if api == Api::EndTxn {
            let (_producer_id, _epoch) = (input.i64()?, input.i16()?);
            request.commit = Some(input.i8()? != 0);
        }
        Some(request)
    }

    /// The error code in the response to this request: of EndTxn, or of the first partition of a Produce. 0 is success.
    pub fn error_code(&self, response: &[u8]) -> Option<i16> {
        let mut input = Input(response.get(LENGTH_BYTES..)?);
        input.i32()?;
        let flexible = self.api.shape().is_some_and(|(from, _)| self.version >= from);
        if flexible {
            input.tags()?;
        }
        match self.api {
            Api::EndTxn => {
                input.i32()?;
            }
            Api::Produce => {
                input.count(flexible)?;
                match (flexible, self.version >= TOPIC_IDS_FROM) {
                    (_, true) => drop((input.i64()?, input.i64()?)),
                    (true, false) => drop(input.compact_string()?),
                    (false, false) => drop(input.string()?),
                }
                input.count(flexible)?;
                input.i32()?;
            }
            _ => return None,
        }
        input.i16()
    }
}

/// The version from which Produce names topics by their ids.
const TOPIC_IDS_FROM: i16 = 13;

/// The correlation id of a response.
pub(super) fn correlation(frame: &[u8]) -> Option<i32> {
    Input(frame.get(LENGTH_BYTES..)?).i32()
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn i8(&mut self) -> Option<i8> {
        self.take().map(i8::from_be_bytes)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn text(&mut self, bytes: usize) -> Option<String> {
        let (text, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    /// The inner `None` is null.
    fn string(&mut self) -> Option<Option<String>> {
        match usize::try_from(self.i16()?) {
            Ok(bytes) => self.text(bytes).map(Some),
            Err(_) => Some(None),
        }
    }

    /// The inner `None` is null.
    fn compact_string(&mut self) -> Option<Option<String>> {
        match self.varint()?.checked_sub(1) {
            Some(bytes) => self.text(bytes).map(Some),
            None => Some(None),
        }
    }

    fn count(&mut self, compact: bool) -> Option<usize> {
        if compact { self.varint()?.checked_sub(1) } else { usize::try_from(self.i32()?).ok() }
    }

    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            let _tag = self.varint()?;
            let bytes = self.varint()?;
            self.0 = self.0.get(bytes..)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame around a body.
    fn frame(body: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        frame
    }

    #[test]
    fn an_old_end_of_a_transaction_is_understood() {
        let body = b"\x00\x1a\x00\x01\x00\x00\x00\x07\x00\x02me\x00\x03lan\x00\x00\x00\x00\x00\x00\x00\x05\x00\x01\x01";
        let request = Request::parse(&frame(body)).unwrap();
        assert_eq!((request.api, request.version, request.correlation), (Api::EndTxn, 1, 7));
        assert_eq!((request.client_id.as_str(), request.transactional_id.as_deref()), ("me", Some("lan")));
        assert_eq!(request.commit, Some(true));
        let response = frame(b"\x00\x00\x00\x07\x00\x00\x00\x00\x00\x2f");
        assert_eq!(request.error_code(&response), Some(47));
    }

    #[test]
    fn a_flexible_end_of_a_transaction_is_understood() {
        let body =
            b"\x00\x1a\x00\x05\x00\x00\x00\x07\xff\xff\x00\x04lan\x00\x00\x00\x00\x00\x00\x00\x05\x00\x01\x00\x00";
        let request = Request::parse(&frame(body)).unwrap();
        assert_eq!((request.client_id.as_str(), request.transactional_id.as_deref()), ("", Some("lan")));
        assert_eq!(request.commit, Some(false));
        let response = frame(b"\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x5a\x00");
        assert_eq!(request.error_code(&response), Some(90));
    }

    #[test]
    fn records_tell_their_transactional_id_and_the_answer_its_first_error() {
        let body = b"\x00\x00\x00\x09\x00\x00\x00\x09\x00\x01c\x00\x04lan\xff\xff";
        let request = Request::parse(&frame(body)).unwrap();
        assert_eq!((request.api, request.transactional_id.as_deref()), (Api::Produce, Some("lan")));
        let response = frame(b"\x00\x00\x00\x09\x00\x02\x02t\x02\x00\x00\x00\x00\x00\x2f");
        assert_eq!(request.error_code(&response), Some(47));
        let plain = b"\x00\x00\x00\x09\x00\x00\x00\x09\x00\x01c\x00\x00\xff\xff";
        assert_eq!(Request::parse(&frame(plain)).unwrap().transactional_id, None);
    }

    #[test]
    fn other_requests_are_known_by_their_key_and_garbage_is_refused() {
        let fetch = b"\x00\x01\x00\x11\x00\x00\x00\x01\x00\x01c\x00whatever";
        assert_eq!(Request::parse(&frame(fetch)).unwrap().api, Api::Other(1));
        for cut in 0..12 {
            assert_eq!(Request::parse(&frame(&fetch[..cut.min(10)])[..LENGTH_BYTES + cut.min(10)]), None);
        }
    }
}
