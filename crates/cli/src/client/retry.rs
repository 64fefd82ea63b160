//! Trying again, for calls that are safe to repeat.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::Failure;

/// First and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Pauses that double, up to a limit.
#[derive(Debug)]
pub struct Pauses {
    next: Duration,
}

impl Pauses {
    /// Starts with the shortest pause.
    pub fn new() -> Self {
        Self { next: PAUSE.0 }
    }

    /// The next pause, or the one that the server asked for.
    pub fn next(&mut self, failure: Option<&Failure>) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(PAUSE.1);
        let asked = failure.and_then(|failure| failure.facts.get("retry_after_seconds")).and_then(|s| s.as_u64());
        asked.map_or(pause, |seconds| Duration::from_secs(seconds).clamp(pause, PAUSE.1))
    }
}

impl Default for Pauses {
    fn default() -> Self {
        Self::new()
    }
}

/// Repeats a call while its failures are passing ones, until `within` is over; then the last failure stands.
pub async fn until_settled<T, F>(within: Duration, mut call: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let deadline = Instant::now() + within;
    let mut pauses = Pauses::new();
    loop {
        match call().await {
            Err(failure) if failure.is_passing() => {
                let pause = pauses.next(Some(&failure));
                if Instant::now() + pause >= deadline {
                    return Err(failure);
                }
                tracing::debug!(%failure, ?pause, "trying again");
                tokio::time::sleep(pause).await;
            }
            settled => return settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[tokio::test(start_paused = true)]
    async fn passing_failures_are_tried_again_and_others_are_not() {
        let mut answers = vec![Ok(7), Err(Exit::Unavailable), Err(Exit::Unavailable)];
        let mut call = || {
            let answer = answers.pop().unwrap().map_err(|exit| Failure::new(exit, "x", "y"));
            async { answer }
        };
        assert_eq!(until_settled(Duration::from_secs(9), &mut call).await.unwrap(), 7);

        let mut tries = 0;
        let refused = until_settled(Duration::from_secs(9), || {
            tries += 1;
            async { Err::<(), _>(Failure::new(Exit::Refused, "state.conflict", "y")) }
        });
        assert_eq!(refused.await.unwrap_err().code, "state.conflict");
        assert_eq!(tries, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_in_time() {
        let start = Instant::now();
        let down = || async { Err::<(), _>(Failure::new(Exit::Unavailable, "state.unavailable", "y")) };
        assert!(until_settled(Duration::from_secs(9), down).await.is_err());
        assert!(start.elapsed() < Duration::from_secs(9));
    }
}
