//! Subscriptions: everything since a place in the log, and then what comes, filtered.

use std::sync::Arc;
use std::time::Duration;

use spina_core::Token;
use spina_log::LogError;
use tokio::sync::watch;
use tokio::time::timeout;

use super::catch_up::{self, Turn};
use super::decode::DecodeFailure;
use super::entry::{Group, Shown};
use super::filter::Filter;
use super::hub::{At, Guest, Hub};
use super::places::Places;
use crate::context::Context;

/// How long to wait for the live feed to begin.
const FEED_PATIENCE: Duration = Duration::from_secs(10);

/// Where a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// The first event there is.
    Earliest,
    /// What comes from now on.
    Latest,
    /// After this place.
    Token(Token),
}

/// Why there is no subscription, or no more.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The live feed does not begin.
    #[error("the live feed did not begin within {} s", FEED_PATIENCE.as_secs())]
    NotFed,
    /// The token names a place that the log does not have.
    #[error("the token is beyond the end of partition {partition}, which is {end}: it is of another log")]
    Beyond {
        /// The partition.
        partition: i32,
        /// Its end.
        end: i64,
    },
    /// An event could not be decoded.
    #[error("the event at {token} cannot be decoded: {cause}")]
    Decode {
        /// Where it stands.
        token: Token,
        /// What is wrong with it.
        cause: DecodeFailure,
    },
}

/// What a subscriber gets next.
#[derive(Debug)]
pub enum Delivery {
    /// An event; the token to resume after it is the subscription's.
    Event(Arc<Shown>),
    /// Nothing that is wanted, but the place has moved.
    Moved,
}

/// Where the next group comes from.
enum Source {
    /// That is to be found out.
    Undecided,
    /// The group with this number.
    Live { number: u64, end: watch::Receiver<u64> },
    /// A reader of its own.
    CatchUp(Turn),
}

/// A group that is being delivered, and its next entry.
struct InHand {
    group: Arc<Group>,
    next: usize,
    moved: bool,
}

/// See the [module](self).
pub struct Subscription {
    context: Arc<Context>,
    filter: Filter,
    places: Places,
    source: Source,
    in_hand: Option<InHand>,
    _guest: Guest,
}

impl Subscription {
    /// Subscribes. Every partition has a place from here on, so that a resumed subscription misses nothing.
    pub async fn open(context: Arc<Context>, filter: Filter, from: From) -> Result<Self, SubscriptionError> {
        let guest = Hub::enter(Arc::clone(&context));
        timeout(FEED_PATIENCE, context.hub.is_fed()).await.map_err(|_| SubscriptionError::NotFed)?;
        let only = filter.stream.as_ref().map(|stream| context.partition_of(stream));
        let partitions = match only {
            Some(partition) => vec![partition],
            None => (0..context.partitions).collect(),
        };
        let places = Places::new(Arc::clone(&context.events_topic), begin(&context, partitions, &from).await?);
        Ok(Self { context, filter, places, source: Source::Undecided, in_hand: None, _guest: guest })
    }

    /// Resumes after what was delivered so far.
    pub fn token(&self) -> Token {
        self.places.token()
    }

    /// Whether everything before these ends was delivered or is not wanted.
    pub fn has_reached(&self, ends: &[(i32, i64)]) -> bool {
        ends.iter().all(|(partition, end)| !self.places.wants(*partition, end - 1))
    }

    /// Waits for what comes next. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Result<Delivery, SubscriptionError> {
        loop {
            if let Some(delivery) = self.deliver().await? {
                return Ok(delivery);
            }
            self.take_group().await?;
        }
    }

    /// The next event in the group in hand; `Moved` at its end, if it has moved the place since the last event.
    async fn deliver(&mut self) -> Result<Option<Delivery>, SubscriptionError> {
        let Some(hand) = &mut self.in_hand else { return Ok(None) };
        while let Some(entry) = hand.group.entries.get(hand.next) {
            let record = &entry.record;
            let (partition, offset) = (record.partition, record.offset);
            let shown = if self.places.wants(partition, offset) && self.filter.wants(record) {
                Some(entry.shown(&self.context.shared.schemas).await.map_err(|cause| {
                    let token = Token::at(record.topic.to_string(), partition, offset);
                    SubscriptionError::Decode { token, cause }
                })?)
            } else {
                None
            };
            // Only now: whoever stopped waiting for the schema gets the event the next time.
            hand.next += 1;
            hand.moved = shown.is_none();
            self.places.reach(partition, offset + 1);
            if let Some(shown) = shown {
                return Ok(Some(Delivery::Event(shown)));
            }
        }
        let moved = hand.moved || !hand.group.passed.is_empty();
        for (partition, next) in &hand.group.passed {
            self.places.reach(*partition, *next);
        }
        self.in_hand = None;
        Ok(moved.then_some(Delivery::Moved))
    }

    /// Takes a group in hand, or finds out where the next one comes from.
    async fn take_group(&mut self) -> Result<(), SubscriptionError> {
        match &mut self.source {
            Source::Undecided => {
                self.source = self.live().unwrap_or_else(|| {
                    Source::CatchUp(catch_up::stand_in_line(&self.context, &self.filter, &self.places))
                });
            }
            Source::CatchUp(turn) => {
                let group = match self.context.hub.join(&self.places) {
                    Some(_) => None,
                    None => turn.recv().await.transpose()?,
                };
                match group {
                    Some(group) => self.hold(Arc::new(group)),
                    // It has caught up, or the turn is over.
                    None => self.source = Source::Undecided,
                }
            }
            Source::Live { number, end } => {
                end.mark_unchanged();
                match self.context.hub.at(*number) {
                    At::Group(group) => {
                        *number += 1;
                        self.hold(group);
                    }
                    At::End(heads) => {
                        for (partition, head) in (0..).zip(heads) {
                            self.places.reach(partition, head);
                        }
                        let _moved = end.changed().await;
                    }
                    At::Gone => {
                        self.context.shared.metrics.fell_behind();
                        self.source = Source::Undecided;
                    }
                }
            }
        }
        Ok(())
    }

    fn live(&self) -> Option<Source> {
        let number = self.context.hub.join(&self.places)?;
        Some(Source::Live { number, end: self.context.hub.end() })
    }

    fn hold(&mut self, group: Arc<Group>) {
        self.in_hand = Some(InHand { group, next: 0, moved: false });
    }
}

/// Partition and next offset of each partition.
async fn begin(context: &Context, partitions: Vec<i32>, from: &From) -> Result<Vec<(i32, i64)>, SubscriptionError> {
    let (admin, topic) = (&context.shared.admin, &context.events_topic);
    match from {
        From::Earliest => Ok(partitions.into_iter().map(|partition| (partition, 0)).collect()),
        From::Latest => Ok(admin.stable_ends(topic, &partitions).await?),
        From::Token(token) => {
            let ends = admin.high_ends(topic, &partitions).await?;
            let places = ends.into_iter().map(|(partition, end)| {
                let next = token.offset(partition).map_or(0, |offset| offset + 1);
                if next > end { Err(SubscriptionError::Beyond { partition, end }) } else { Ok((partition, next)) }
            });
            places.collect()
        }
    }
}
