//! Asking the owner of a stream, be it this process or another one.

use std::time::Duration;

use spina_core::StreamId;
use spina_runtime::ApiError;
use tokio::time::Instant;
use tracing::warn;

use super::answer::{self, Answer, Question};
use super::course::Heard;
use crate::clock;
use crate::context::Context;
use crate::forward::{self, Found};

/// How long an answer is tried for. All questions may be asked again: a claim that was written is recognised.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The answer of the stream's owner, or nothing.
pub async fn owner(context: &Context, stream: &StreamId, question: &Question) -> Heard {
    let deadline = Instant::now() + PATIENCE;
    let partition = context.partition_of(stream);
    loop {
        let look_until = deadline.min(Instant::now() + forward::PATIENCE);
        let answered: Result<Answer, ApiError> = match forward::find(context, partition, look_until).await {
            Found::Here => answer::answer(context, stream, question.clone()).await,
            Found::At(owner) => context.shared.forwarder.ask(context, &owner, stream, question).await,
            Found::Nowhere => Err(forward::not_served(partition)),
        };
        match answered {
            Ok(answer) => return answer.into(),
            Err(error) if Instant::now() >= deadline => {
                warn!(%stream, %error, "the owner of a claim or its holder does not answer");
                return Heard::Nothing;
            }
            Err(_) => clock::pause(RETRY_PAUSE).await,
        }
    }
}
