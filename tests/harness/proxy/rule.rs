//! What shall happen to which requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::frame::{Api, Request};
use super::stray::Stray;
use crate::PATIENCE;

/// Requests that may be held at once by one rule.
const HELD_MAX: usize = 1_000;

/// What is done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing; the test sees it in [`Rule::met`].
    Pass,
    /// It waits, and the connection with it, until [`Stray`] says what becomes of it.
    Hold,
    /// It goes to the test, and the connection goes on without it: the client waits in vain, and the request may arrive late.
    Steal,
    /// It is thrown away; the client waits in vain.
    DropRequest,
    /// It takes effect; the answer is thrown away and the client waits in vain.
    DropResponse,
    /// It takes effect; the connection is cut when the answer comes.
    CutOnResponse,
    /// It is thrown away and the connection is cut.
    Cut,
    /// It is sent twice; the client gets the first answer.
    Duplicate,
    /// It goes on later, and all behind it on this connection.
    Delay(Duration),
}

/// Which requests are meant.
#[derive(Debug, Clone)]
pub struct Matching {
    api: Api,
    id_prefix: Option<String>,
    client: Option<String>,
    commit: Option<bool>,
    skip: usize,
    times: usize,
}

impl Matching {
    /// The next request of a kind, one of them.
    pub fn next(api: Api) -> Self {
        Self { api, id_prefix: None, client: None, commit: None, skip: 0, times: 1 }
    }

    /// Only with transactional ids that begin so.
    pub fn of(mut self, id_prefix: &str) -> Self {
        self.id_prefix = Some(id_prefix.to_owned());
        self
    }

    /// Only of clients that call themselves so.
    pub fn from_client(mut self, client: &str) -> Self {
        self.client = Some(client.to_owned());
        self
    }

    /// Only commits, or only aborts.
    pub fn commits(mut self, commit: bool) -> Self {
        self.commit = Some(commit);
        self
    }

    /// Not the first so many.
    pub fn skip(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// So many instead of one.
    pub fn times(mut self, requests: usize) -> Self {
        self.times = requests;
        self
    }

    /// Whether the request is meant; counts it if so.
    fn takes(&mut self, request: &Request) -> bool {
        let id = request.transactional_id.as_deref().unwrap_or_default();
        let meant = self.times > 0
            && request.api == self.api
            && self.id_prefix.as_deref().is_none_or(|prefix| id.starts_with(prefix))
            && self.client.as_deref().is_none_or(|client| client == request.client_id)
            && self.commit.is_none_or(|commit| request.commit == Some(commit));
        if !meant {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

/// A rule as the proxy has it.
#[derive(Debug)]
pub(super) struct Standing {
    matching: Mutex<Matching>,
    act: Act,
    met: watch::Sender<Vec<Request>>,
    held: mpsc::Sender<Stray>,
}

impl Standing {
    /// What to do with the request, if the rule means it.
    pub(super) fn judge(&self, request: &Request) -> Option<Act> {
        let meant = self.matching.lock().expect("nobody panics with it").takes(request);
        if meant {
            self.met.send_modify(|met| met.push(request.clone()));
        }
        meant.then_some(self.act)
    }

    /// Hands a held request to the test.
    pub(super) fn hold(&self, stray: Stray) {
        self.held.try_send(stray).expect("a test takes what it lets the proxy hold");
    }
}

/// A rule as the test has it. It stands until it is dropped.
#[derive(Debug)]
pub struct Rule {
    _standing: Arc<Standing>,
    met: watch::Receiver<Vec<Request>>,
    held: mpsc::Receiver<Stray>,
}

/// A new rule: for the proxy, which forgets it when the test does, and for the test.
pub(super) fn rule(matching: Matching, act: Act) -> (std::sync::Weak<Standing>, Rule) {
    let (met, seen) = watch::channel(Vec::new());
    let (sender, held) = mpsc::channel(HELD_MAX);
    let standing = Arc::new(Standing { matching: Mutex::new(matching), act, met, held: sender });
    (Arc::downgrade(&standing), Rule { _standing: standing, met: seen, held })
}

impl Rule {
    /// How many requests it has met.
    pub fn hits(&self) -> usize {
        self.met.borrow().len()
    }

    /// The requests that it has met.
    pub fn met(&self) -> Vec<Request> {
        self.met.borrow().clone()
    }

    /// Waits until it has met a request.
    ///
    /// # Panics
    /// When it does not in [`PATIENCE`].
    pub async fn hit(&mut self) {
        let hit = tokio::time::timeout(PATIENCE, self.met.wait_for(|met| !met.is_empty())).await;
        hit.expect("the request comes in time").expect("the rule holds the sender");
    }

    /// A request that is held by now.
    pub fn held_already(&mut self) -> Option<Stray> {
        self.held.try_recv().ok()
    }

    /// The next request that is held.
    ///
    /// # Panics
    /// When none comes in [`PATIENCE`].
    pub async fn held(&mut self) -> Stray {
        tokio::time::timeout(PATIENCE, self.held.recv()).await.expect("the request comes in time").expect("as above")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(id: &str, commit: bool) -> Request {
        Request {
            api: Api::EndTxn,
            version: 5,
            correlation: 1,
            client_id: "c".to_owned(),
            transactional_id: Some(id.to_owned()),
            commit: Some(commit),
        }
    }

    #[test]
    fn a_rule_means_what_it_says_and_so_often() {
        let mut matching = Matching::next(Api::EndTxn).of("lane.").commits(true).skip(1).times(2);
        assert!(!matching.takes(&end("other", true)) && !matching.takes(&end("lane.0", false)));
        let taken = [true; 4].map(|commit| matching.takes(&end("lane.0", commit)));
        assert_eq!(taken, [false, true, true, false], "one is skipped, two are meant");
    }

    #[test]
    fn a_dropped_rule_is_forgotten() {
        let (standing, rule) = rule(Matching::next(Api::EndTxn), Act::Cut);
        assert_eq!(standing.upgrade().unwrap().judge(&end("x", true)), Some(Act::Cut));
        assert_eq!(rule.hits(), 1);
        drop(rule);
        assert!(standing.upgrade().is_none());
    }
}
