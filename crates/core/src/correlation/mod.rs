//! Correlation: from many signals to few incidents.
//!
//! ```text
//! Signal --SourceClock--> in time | late     signals of one cause --> IncidentEvent --fold--> Incident
//! ```
//!
//! - [`action`]: what is asked when something happens to an incident.
//! - [`labels`]: what signals are told apart by.
//! - [`signal`]: something that was observed, once or with a beginning and an end.
//! - [`watermark`]: how far event time has come.
//! - [`incident`]: the aggregate, with its life cycle.
//! - [`learning`]: what comes together over a history, as proposals.
//! - [`notification`]: what receivers are told of incidents, and when.

pub mod action;
pub mod incident;
pub mod labels;
pub mod learning;
pub mod notification;
pub mod signal;
pub mod watermark;

pub use action::{Action, Occasion};
pub use incident::{Incident, IncidentEvent, IncidentState};
pub use labels::Labels;
pub use notification::{Notice, Notification};
pub use signal::{Kind, Signal};
pub use watermark::SourceClock;
