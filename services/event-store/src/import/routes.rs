//! Which process takes the lines of a partition: found out once for each import.
//!
//! Lines of one stream keep their order, so a partition that moves in the middle ends the import with
//! `state.unavailable`; what the client sends again finds the new owner.

use std::collections::HashMap;

use spina_store::archive::Owner;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::progress::Stop;
use crate::context::Context;
use crate::forward::{self, Found};

/// Who sends the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A client. Lines whose partition is served elsewhere are passed on.
    Client,
    /// Another event-store, which passes on what it does not serve. That happens once.
    EventStore,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Routes {
    sender: Sender,
    known: HashMap<i32, Route>,
    turns: HashMap<String, oneshot::Receiver<()>>,
}

/// Where the lines of a partition go.
#[derive(Debug, Clone)]
pub enum Route {
    /// To this process.
    Here,
    /// To that one.
    To(Owner),
}

/// A place in the row of chunks for one owner: each is sent when all lines of the one before are judged.
#[derive(Debug)]
pub struct Turn {
    before: Option<oneshot::Receiver<()>>,
    after: oneshot::Sender<()>,
}

impl Routes {
    /// Nothing is known yet.
    pub fn new(sender: Sender) -> Self {
        Self { sender, known: HashMap::new(), turns: HashMap::new() }
    }

    /// Where lines of the partition go. An owner that is being found is waited for.
    pub async fn of(&mut self, context: &Context, partition: i32) -> Result<Route, Stop> {
        if let Some(route) = self.known.get(&partition) {
            return Ok(route.clone());
        }
        let route = match forward::find(context, partition, Instant::now() + forward::PATIENCE).await {
            Found::Here => Route::Here,
            Found::At(owner) if self.sender == Sender::Client => Route::To(owner),
            Found::At(_) | Found::Nowhere => return Err(Stop::not_served(partition)),
        };
        self.known.insert(partition, route.clone());
        Ok(route)
    }

    /// The next turn with the process at that endpoint.
    pub fn turn(&mut self, endpoint: &str) -> Turn {
        let (after, done) = oneshot::channel();
        Turn { before: self.turns.insert(endpoint.to_owned(), done), after }
    }
}

impl Turn {
    /// Waits for it. False if what went before did not come to its end: sending more would change the order of lines.
    pub async fn come(&mut self) -> bool {
        match self.before.take() {
            Some(before) => before.await.is_ok(),
            None => true,
        }
    }

    /// All lines are judged.
    pub fn done(self) {
        // Nobody comes after the last chunk.
        let _last = self.after.send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn chunks_for_one_owner_take_turns_and_end_with_the_first_that_fails() {
        let mut routes = Routes::new(Sender::Client);
        let [mut first, mut second, mut third] = [(); 3].map(|()| routes.turn("http://a"));
        assert!(first.come().await);
        assert!(routes.turn("http://b").come().await, "another owner is not waited for");
        first.done();
        assert!(second.come().await);
        drop(second);
        assert!(!third.come().await);
    }
}
