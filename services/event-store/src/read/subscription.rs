//! Subscriptions: everything since a place in the log, and then what comes, filtered.

use std::collections::HashSet;
use std::sync::Arc;

use spina_core::{Recorded, StreamId, Token};
use spina_log::{Fetched, LogError, LogReader, ReaderOptions, Start};

use super::decode::{self, DecodeFailure};
use crate::context::Context;

/// Records in a batch: small, so that a slow subscriber holds little.
const BATCH_RECORDS_MAX: usize = 500;

/// Which events are wanted. All conditions hold at once.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Full type names; empty for all.
    pub types: HashSet<String>,
    /// The streams' category.
    pub category: Option<String>,
    /// One stream.
    pub stream: Option<StreamId>,
}

impl Filter {
    fn wants(&self, record: &Fetched) -> bool {
        let key = record.key.as_deref().unwrap_or_default();
        let in_stream = self.stream.as_ref().is_none_or(|stream| stream.as_str().as_bytes() == key);
        let in_category = self.category.as_ref().is_none_or(|category| {
            key.strip_prefix(category.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'-'))
        });
        let event_type = || record.headers.get_str(spina_codec::headers::CE_TYPE);
        in_stream && in_category && (self.types.is_empty() || event_type().is_some_and(|t| self.types.contains(t)))
    }
}

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

/// Why a subscription ended.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
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
    Event(Box<Recorded>),
    /// Nothing that is wanted, but the place has moved.
    Moved,
}

/// See the [module](self).
pub struct Subscription {
    context: Arc<Context>,
    filter: Filter,
    reader: LogReader,
    token: Token,
    waiting: std::vec::IntoIter<Fetched>,
}

impl Subscription {
    /// Subscribes. Every partition has a place from here on, so that a resumed subscription misses nothing.
    pub async fn open(context: Arc<Context>, filter: Filter, from: From) -> Result<Self, SubscriptionError> {
        let topic = context.events_topic.to_string();
        let only = filter.stream.as_ref().map(|stream| context.partition_of(stream));
        let partitions = (0..context.partitions).filter(|partition| only.is_none_or(|only| only == *partition));
        let mut token = Token::start(&topic);
        let mut starts = Vec::new();
        for partition in partitions {
            let next = match &from {
                From::Earliest => 0,
                From::Latest => context.shared.admin.partition_ends(&topic, partition).await?.stable,
                From::Token(token) => token.offset(partition).map_or(0, |offset| offset + 1),
            };
            if next > 0 {
                token.advance(partition, next - 1);
            }
            starts.push((partition, if next > 0 { Start::At(next) } else { Start::Earliest }));
        }
        let options = ReaderOptions { batch_records_max: BATCH_RECORDS_MAX, queue_batches_max: 2, stop_at_end: false };
        let reader = LogReader::open(&context.shared.log, &topic, starts, options)?;
        Ok(Self { context, filter, reader, token, waiting: Vec::new().into_iter() })
    }

    /// Resumes after what was delivered so far.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Waits for what comes next.
    pub async fn next(&mut self) -> Result<Delivery, SubscriptionError> {
        loop {
            let mut moved = false;
            for record in self.waiting.by_ref() {
                self.token.advance(record.partition, record.offset);
                moved = true;
                if self.filter.wants(&record) {
                    return self.decode(record).await;
                }
            }
            if moved {
                return Ok(Delivery::Moved);
            }
            let batch = self.reader.next().await.unwrap_or(Err(LogError::Stopped("log reader")))?;
            self.waiting = batch.records.into_iter();
        }
    }

    async fn decode(&self, record: Fetched) -> Result<Delivery, SubscriptionError> {
        let token = Token::at(record.topic.to_string(), record.partition, record.offset);
        let decoded = decode::record(&record, &self.context.shared.schemas);
        let event = decoded.await.map_err(|cause| SubscriptionError::Decode { token, cause })?;
        Ok(Delivery::Event(Box::new(event)))
    }
}
