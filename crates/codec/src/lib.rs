//! Bytes on the wire and what they mean: Avro values, record headers, the schema registry.
//!
//! ```text
//! record value -> frame::split -> schema id -> catalog::SchemaCache -> shape::Shape -> JSON fields
//! record headers, key -> headers::read_event_headers -> EventHeaders          } recorded::decode -> Recorded
//! ```
//!
//! Suggested reading order: [`frame`], [`partitioner`], [`headers`], [`shape`], [`registry`], [`catalog`],
//! [`reading`], [`recorded`], [`schema_files`], [`model_record`], [`dead_letter`],
//! [`saga_record`].

pub mod catalog;
pub mod dead_letter;
pub mod frame;
pub mod headers;
pub mod model_record;
pub mod partitioner;
pub mod reading;
pub mod recorded;
pub mod registry;
pub mod saga_record;
pub mod schema_files;
pub mod shape;

pub use catalog::{Catalog, EventType, SchemaCache};
pub use headers::Headers;
pub use reading::Readings;
pub use registry::{RegistryClient, subject};
pub use shape::{FieldMask, Shape};
