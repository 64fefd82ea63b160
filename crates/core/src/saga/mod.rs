//! Sagas: long transactions over several contexts that always end in a named state.
//!
//! ```text
//!   Input (reply, event, tick, verb) ─ react ─▶ [SagaEvent] ─ apply ─▶ SagaState      (what happened; the log)
//!                                                    └─ effect ─▶ Ask                  (what is to be asked of others)
//! ```
//!
//! [`react`](react::react) is pure: the same plan, state, input and time give the same events. State is the fold of the
//! events and of nothing else. An ask bears an id that is a function of (saga, step, direction, round), so that asking again
//! cannot act twice.
//!
//! Suggested reading order: [`plan`], [`event`], [`state`], [`react`], [`replay`].

mod advance;
pub mod event;
pub mod plan;
pub mod preview;
pub mod react;
pub mod replay;
pub mod retry;
pub mod state;

pub use event::{AskId, Class, Happened, Request, SagaEvent};
pub use plan::{Action, Ask, Branch, Compute, Fields, Plan, Step, Undo};
pub use preview::{Fate, Planned, Preview, preview};
pub use react::{Input, Refusal, Verb, effect, react, start};
pub use replay::{Difference, replay};
pub use retry::{Policy, Retry};
pub use state::{Illegal, Phase, SagaState, Status, StepState};
