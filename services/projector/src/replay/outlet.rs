//! Where a job's events go.

use spina_log::Fetched;
use spina_store::jobs::JobProgress;

use super::Trouble;
use super::post::Post;
use super::remake::Remaking;
use super::topic::Copying;

/// Takes events, in the order of the log.
pub enum Outlet {
    /// Only counts.
    Nowhere,
    /// Copies into a topic.
    Topic(Copying),
    /// Posts to an endpoint.
    Http(Post),
    /// Remakes rows of a read model.
    Projection(Box<Remaking>),
}

impl Outlet {
    /// Takes these events, all or none of them save where the outlet is an endpoint; then the job is as far as
    /// `next_offsets` says.
    pub async fn take(
        &mut self,
        events: Vec<Fetched>,
        next_offsets: &[i64],
        progress: &mut JobProgress,
    ) -> Result<(), Trouble> {
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        match self {
            Self::Nowhere => {}
            Self::Topic(copying) => copying.write(events, progress).await?,
            Self::Projection(remaking) => remaking.touch(&events).await?,
            Self::Http(post) => return post.send(events, next_offsets, progress).await,
        }
        progress.next_offsets = next_offsets.to_vec();
        progress.matched += count;
        Ok(())
    }

    /// All events were taken; what there is to say about it.
    pub async fn finish(&mut self) -> Result<String, Trouble> {
        match self {
            Self::Nowhere | Self::Topic(_) | Self::Http(_) => Ok(String::new()),
            Self::Projection(remaking) => remaking.finish().await,
        }
    }
}
