//! What people decided about single events of a model.

use std::collections::HashMap;

use deadpool_postgres::Transaction;

use super::{Decision, Place, place, storable};
use crate::read_model::ModelName;
use crate::{Store, StoreError};

/// Most decisions of a model: they are kept in memory while it is filled.
const DECISIONS_MAX: i64 = 100_000;

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The model does without it.
    LeaveOut,
    /// It is taken with this value.
    Edit(Vec<u8>),
}

/// The decisions of a model by place.
pub type Verdicts = HashMap<Place, Verdict>;

const LIST: &str = "SELECT topic, partition, log_offset, verdict, value FROM spina.dead_letter_decisions \
    WHERE context = $1 AND model = $2 LIMIT $3";
const DECIDE: &str = "INSERT INTO spina.dead_letter_decisions \
    (context, model, topic, partition, log_offset, verdict, value, reason, decided_by) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (context, model, topic, partition, log_offset) \
    DO UPDATE SET verdict = excluded.verdict, value = excluded.value, reason = excluded.reason, decided_by = excluded.decided_by, decided_at = now()";

impl Store {
    /// What was decided about events of the model.
    ///
    /// # Errors
    /// [`StoreError::Limit`] when there are more than fit into memory.
    pub async fn verdicts(&self, name: &ModelName) -> Result<Verdicts, StoreError> {
        let client = self.client().await?;
        let most = DECISIONS_MAX + 1;
        let rows = client.query(LIST, &[&name.context.as_str(), &name.model, &most]).await?;
        if i64::try_from(rows.len()).is_ok_and(|found| found > DECISIONS_MAX) {
            let message = format!("more than {DECISIONS_MAX} events of {name} were decided about: mend the definition");
            return Err(StoreError::Limit(message));
        }
        let verdict = |row: &tokio_postgres::Row| -> Result<(Place, Verdict), StoreError> {
            let verdict = match (row.try_get(3)?, row.try_get(4)?) {
                ("leave_out", _) => Verdict::LeaveOut,
                ("edit", Some(value)) => Verdict::Edit(value),
                _ => return Err(StoreError::Corrupt { what: "a decision about a dead letter" }),
            };
            Ok((place(row, 0)?, verdict))
        };
        rows.iter().map(verdict).collect()
    }
}

pub(super) async fn write(
    transaction: &Transaction<'_>,
    name: &ModelName,
    decisions: &[Decision],
) -> Result<(), StoreError> {
    for decision in decisions {
        let (verdict, value) = match &decision.verdict {
            Verdict::LeaveOut => ("leave_out", None),
            Verdict::Edit(value) => ("edit", Some(value)),
        };
        let (context, Place { topic, partition, offset }) = (name.context.as_str(), &decision.place);
        let topic = topic.as_ref();
        let (reason, by) = (storable(&decision.reason), storable(&decision.decided_by));
        let decide = transaction.prepare_cached(DECIDE).await?;
        let parameters: [super::Parameter<'_>; 9] =
            [&context, &name.model, &topic, partition, offset, &verdict, &value, &reason, &by];
        transaction.execute(&decide, &parameters).await?;
    }
    Ok(())
}
