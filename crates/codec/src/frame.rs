//! The Confluent frame around every value: which schema the Avro bytes were written with.
//!
//! ```text
//! | 0x00 | schema id, u32 big-endian | Avro binary ...
//! ```
//!
//! The format is documented as "wire format" in the Confluent Schema Registry manual; Apicurio's serializers write the
//! same when they are told to use the Confluent id handler with 4-byte ids.

/// The first byte of every framed value.
const MAGIC: u8 = 0;
/// Bytes before the Avro binary.
pub const FRAME_BYTES: usize = 5;

/// A value that does not begin with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Shorter than a frame.
    #[error("the value has {length} bytes, a frame alone has {FRAME_BYTES}")]
    Short {
        /// Bytes of the value.
        length: usize,
    },
    /// The first byte is not 0: the value was not written by a registry-aware serializer.
    #[error("the value begins with byte {found:#04x}, a framed value begins with 0x00")]
    Magic {
        /// The first byte.
        found: u8,
    },
}

/// The frame of values written with that schema.
pub fn prefix(schema_id: u32) -> [u8; FRAME_BYTES] {
    let [a, b, c, d] = schema_id.to_be_bytes();
    [MAGIC, a, b, c, d]
}

/// Frames Avro binary.
pub fn frame(schema_id: u32, avro: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(FRAME_BYTES + avro.len());
    framed.extend_from_slice(&prefix(schema_id));
    framed.extend_from_slice(avro);
    framed
}

/// Splits a value into schema id and Avro binary.
pub fn split(value: &[u8]) -> Result<(u32, &[u8]), FrameError> {
    let short = FrameError::Short { length: value.len() };
    let ([magic, a, b, c, d], avro) = value.split_first_chunk::<FRAME_BYTES>().ok_or(short)?;
    if *magic != MAGIC {
        return Err(FrameError::Magic { found: *magic });
    }
    Ok((u32::from_be_bytes([*a, *b, *c, *d]), avro))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framed_value_splits_into_id_and_avro() {
        let framed = frame(0x0102_0304, b"avro");
        assert_eq!(framed, [0, 1, 2, 3, 4, b'a', b'v', b'r', b'o']);
        assert_eq!(split(&framed), Ok((0x0102_0304, b"avro".as_slice())));
        assert_eq!(split(&frame(7, b"")), Ok((7, b"".as_slice())));
    }

    #[test]
    fn a_value_without_frame_is_refused() {
        for length in 0..FRAME_BYTES {
            assert_eq!(split(&vec![0; length]), Err(FrameError::Short { length }));
        }
        assert_eq!(split(b"{\"a\":1}"), Err(FrameError::Magic { found: b'{' }));
    }
}
