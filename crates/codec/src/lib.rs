//! Bytes on the wire and what they mean: Avro values, record headers, the schema registry.

pub mod headers;

pub use headers::Headers;
