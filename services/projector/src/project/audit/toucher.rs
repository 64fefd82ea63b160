//! Which rows an event touches.

use std::sync::Arc;

use spina_core::Cell;
use spina_log::Fetched;
use spina_store::dead_letters::Verdicts;

use super::pass::{PassError, changes_of};
use crate::project::decode::Decoder;
use crate::project::fill::{Parts, place_of};

/// Tells keys of rows.
pub struct Toucher {
    parts: Arc<Parts>,
    decoder: Decoder,
    verdicts: Verdicts,
}

impl Toucher {
    /// For one model, with what people decided about its events.
    pub(super) fn new(parts: Arc<Parts>, decoder: Decoder, verdicts: Verdicts) -> Self {
        Self { parts, decoder, verdicts }
    }

    /// The keys of the rows that an event changes; none if the model does not take it.
    pub async fn keys(&mut self, event: &Fetched) -> Result<Vec<Vec<Cell>>, PassError> {
        let Some(input) = self.parts.inputs.position(&event.topic) else { return Ok(Vec::new()) };
        let verdict = self.verdicts.get(&place_of(event));
        let changes = changes_of(&self.parts, &mut self.decoder, input, event, verdict).await?;
        Ok(changes.into_iter().map(|change| change.key).collect())
    }
}
