//! Correlating: from the journal of inputs to incident events. Pure: no clock, no randomness, no I/O.
//!
//! ```text
//! Input --Engine--> waiting signals, in order of event time --watermark--> rules --> groups --> IncidentEvent --> Action
//! ```
//!
//! The engine is a function of the journal: the same inputs give the same events, after a restart, in a back-test, and in
//! every order of arrival that the allowed lateness covers. Whatever is decided is decided when the watermark passes, in the
//! order of event time.

mod account;
mod acting;
mod alerts;
mod domain;
mod engine;
mod group;
mod incidents;
mod index;
mod input;
mod notices;
mod silence;
mod step;

#[cfg(test)]
mod flood;
#[cfg(test)]
mod storms;
#[cfg(test)]
mod tests;

pub use acting::Decision;
pub use alerts::Active;
pub use engine::Engine;
pub use incidents::{Kept, labels_of};
pub use input::{Asked, Input};
pub use notices::Delivery;
pub use silence::{Muting, Silence, SilenceMatcher};
