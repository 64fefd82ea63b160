//! Commands of actions: the records that are written beside that of the event they are asked with.

use spina_log::NewRecord;
use spina_runtime::Commands;
use spina_runtime::commands::Asking;

use crate::correlate::Decision;
use crate::journal;
use crate::metrics::Outcome;

/// What becomes of the actions of the n-th event that was ever told. A command's id is a function of that number and of the
/// action's among those of the event, so it is the same whoever asks it.
pub fn acted<'d>(
    commands: &'d Commands,
    decision: &'d Decision,
    sequence: u64,
) -> impl Iterator<Item = (Outcome, Option<NewRecord>)> + 'd {
    let incident = decision.event.incident();
    let cause = journal::event_id(incident, sequence);
    decision.actions.iter().zip(1..).map(move |(action, number)| {
        if action.withheld.is_some() {
            return (Outcome::Withheld, None);
        }
        let id = format!("{cause}/{number}");
        let asking = Asking { id: &id, correlation: incident, causation: &cause };
        match commands.record(&action.command, &action.stream, &action.fields, asking) {
            Ok(record) => (Outcome::Asked, Some(record)),
            Err(error) => {
                tracing::error!(incident, command = action.command, id, error, "an action cannot be asked");
                (Outcome::Failed, None)
            }
        }
    })
}
