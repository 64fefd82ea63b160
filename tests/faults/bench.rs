//! The broker behind the proxy, and one writer on a topic of its own.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use spina_codec::Headers;
use spina_log::admin::TopicSpec;
use spina_log::{Admin, Lane, LaneFactory, LaneFactoryV1, Lanes, LogConfig, NewRecord, Window, WriteError};
use spina_tests::history;
use spina_tests::kafka::{Cluster, ClusterOptions};
use spina_tests::proxy::{Act, Api, Matching, Proxy, Rule};
use spina_tests::stack::Stack;

use crate::ledger::{Harm, Ledger, Told};
use crate::report::Times;

/// Partitions of the topic.
const PARTITIONS: i32 = 2;
/// Bytes of a record of which a batch takes only one, so that a window takes several requests.
const LARGE_BYTES: usize = 500_000;

/// Which writer is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    V2,
    V1,
    V1Undefended,
}

/// Everything of one experiment.
pub struct Bench {
    pub direct: LogConfig,
    pub writer: Writer,
    pub lanes: Arc<dyn Lanes>,
    pub topic: Arc<str>,
    pub id: String,
    pub lane: Arc<dyn Lane>,
    pub ledger: Ledger,
    /// How long opening the id again took.
    pub reopened: Times,
}

/// The cluster that all experiments share; it ends with the process.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let (started, cluster) = std::sync::mpsc::sync_channel(1);
        // A runtime that outlives the test that happens to be the first: the proxy lives in it.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let options = ClusterOptions { proxied: true, ..ClusterOptions::default() };
                started.send(Cluster::start(&Stack::get(), &options).await).unwrap();
                std::future::pending::<()>().await;
            });
        });
        cluster.recv().expect("the broker starts")
    })
}

pub fn proxy() -> &'static Proxy {
    cluster().proxy()
}

/// A name that no other experiment has.
pub fn unique(prefix: &str) -> String {
    format!("test.{prefix}.{}", uuid::Uuid::new_v4().simple())
}

impl Bench {
    /// On the shared cluster, behind its proxy.
    pub async fn of(writer: Writer) -> Self {
        Self::at(writer, &cluster().bootstrap(), &cluster().proxied()).await
    }

    /// On another cluster: where the test reads, and where the writer writes.
    pub async fn at(writer: Writer, direct: &str, proxied: &str) -> Self {
        let direct = LogConfig::new(direct, "spina-tests");
        let proxied = LogConfig::new(proxied, "spina-tests-proxied");
        let lanes: Arc<dyn Lanes> = match writer {
            Writer::V2 => Arc::new(LaneFactory::connect(&proxied).await.unwrap()),
            Writer::V1 => Arc::new(LaneFactoryV1::new(&proxied)),
            Writer::V1Undefended => Arc::new(LaneFactoryV1::without_defences(&proxied)),
        };
        let topic = unique("faults");
        let spec = TopicSpec { name: topic.clone(), partitions: PARTITIONS, replication: 1, configs: [].into() };
        assert!(Admin::connect(&direct).await.unwrap().create(&spec).await.unwrap());
        let id = unique("lane");
        let lane = lanes.open(&id).await.unwrap();
        let (ledger, reopened) = (Ledger::default(), Times::default());
        Self { direct, writer, lanes, topic: topic.into(), id, lane, ledger, reopened }
    }

    /// A rule about requests of this writer.
    pub fn rule(&self, api: Api, act: Act) -> Rule {
        proxy().rule(Matching::next(api).of(&self.id), act)
    }

    /// A rule about the ends of this writer's transactions.
    pub fn rule_on_end(&self, commit: bool, act: Act) -> Rule {
        proxy().rule(Matching::next(Api::EndTxn).of(&self.id).commits(commit), act)
    }

    /// Opens the id again: whatever the old lane had under way is settled by it.
    pub async fn reopen(&mut self) {
        let begun = Instant::now();
        self.lane = self.lanes.open(&self.id).await.unwrap();
        self.reopened.add(begun.elapsed());
    }

    /// Opens the id again if the lane was retired, so that the next window meets what the experiment does and no less.
    pub async fn ready(&mut self) {
        match self.lane.stage(Window::default()).await {
            Ok(_) => self.lane.abort().await.unwrap(),
            Err(_) => self.reopen().await,
        }
    }

    /// A small window over both partitions.
    pub fn small(&self, name: &str) -> Window {
        self.window(name, SMALL, 0)
    }

    /// A window that takes several requests.
    pub fn large(&self, name: &str) -> Window {
        self.window(name, 3, LARGE_BYTES)
    }

    fn window(&self, name: &str, records: usize, padding: usize) -> Window {
        window(&self.topic, name, records, padding)
    }

    /// Stages a window, on the id opened again when the lane was retired.
    pub async fn stage(&mut self, window: Window) -> Result<(), WriteError> {
        match self.lane.stage(window.clone()).await {
            Ok(_) => Ok(()),
            Err(WriteError::Broken { .. }) => {
                self.reopen().await;
                self.lane.stage(window).await.map(|_| ())
            }
            Err(error) => Err(error),
        }
    }

    /// Stages a window that nothing disturbs now. What an earlier stray has done to a client without defences shows only
    /// then: it gets a second chance.
    pub async fn stage_in_peace(&mut self, window: Window) {
        let mut staged = self.stage(window.clone()).await;
        if staged.is_err() && self.writer == Writer::V1Undefended {
            self.reopen().await;
            staged = self.stage(window).await;
        }
        staged.unwrap();
    }

    /// Notes what was told of a window, and opens the id again when the lane is of no more use.
    pub async fn note(&mut self, name: &str, records: usize, outcome: Result<(), WriteError>) {
        self.ledger.note(name, records, Told::of_commit(&outcome));
        if let Err(WriteError::Fenced { .. } | WriteError::Broken { .. } | WriteError::Unknown { .. }) = outcome {
            self.reopen().await;
        }
    }

    /// Writes and commits a window in peace.
    pub async fn peace(&mut self, name: &str) {
        self.stage_in_peace(self.small(name)).await;
        let outcome = self.lane.commit().await;
        assert_eq!(outcome, Ok(()), "nothing disturbs {name}");
        self.note(name, SMALL, outcome).await;
    }

    /// Compares everything that was told with the log, once no transaction is open.
    pub async fn harm(&self) -> Harm {
        self.ledger.compare_records(&history::committed(&self.direct.bootstrap, &self.topic).await)
    }
}

/// Records of a small window.
pub const SMALL: usize = 4;

/// A small window of a topic, over both partitions.
pub fn small(topic: &str, name: &str) -> Window {
    window(&topic.into(), name, SMALL, 0)
}

fn window(topic: &Arc<str>, name: &str, records: usize, padding: usize) -> Window {
    let record = |n: usize| NewRecord {
        topic: Arc::clone(topic),
        // A large window lies in one partition: those batches are sent one after the other.
        partition: if padding > 0 { 0 } else { i32::try_from(n).unwrap() % PARTITIONS },
        key: Bytes::from_static(b"key"),
        value: Some(Bytes::from(format!("{name}/{n} {}", noise(padding)))),
        headers: Headers::default(),
        timestamp_ms: None,
    };
    Window { records: (0..records).map(record).collect(), consumed: None }
}

/// Text that cannot be compressed much.
fn noise(bytes: usize) -> &'static str {
    static NOISE: OnceLock<String> = OnceLock::new();
    let noise = NOISE.get_or_init(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(33 + u8::try_from((state >> 33) % 94).expect("it is below 94"))
        };
        (0..LARGE_BYTES).map(|_| letter()).collect()
    });
    &noise[..bytes]
}

/// Runs a commit or abort beside the test.
pub fn beside<T: Send + 'static>(call: impl Future<Output = T> + Send + 'static) -> Beside<T> {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(call);
    Beside(tasks)
}

/// A call that runs beside the test.
pub struct Beside<T>(tokio::task::JoinSet<T>);

impl<T: 'static> Beside<T> {
    pub async fn ends(mut self) -> T {
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, self.0.join_next()).await.expect("the call ends").unwrap().unwrap()
    }
}
