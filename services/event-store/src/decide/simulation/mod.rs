//! The append core in simulated worlds: the real partition, take-over, recovery, windows and lanes, over a log in memory.
//!
//! ```text
//! clients ─┐                     ┌ process 0: killed, frozen ┐
//!          ├─▶ queue of whoever ─┤                           ├─▶ weather ─▶ log in memory ─▶ history checker
//! commands ┘   thinks it owns    └ process 1                 ┘     └ lost, late, refused, hanging
//! ```
//!
//! A world is a function of its seed: one thread, time that passes only when everybody waits, own numbers for chance. It
//! ends calm, and then everything must have been answered and every invariant must hold. `SPINA_SIM_SEED=n` runs one.

mod archive;
mod client;
mod commands;
mod outcomes;
#[cfg(feature = "planted-bugs")]
mod planted;
mod process;
pub mod rng;
mod tests;
mod verdict;
mod weather;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use spina_codec::catalog::{Catalog, EventType, TypeKind};
use spina_codec::frame::frame;
use spina_codec::shape::Shape;
use spina_core::ledger::RequestLimits;
use spina_core::{ContextName, Timestamp};
use spina_log::{GroupMember, names};
use spina_testkit::MemoryLog;
use spina_testkit::history::Operation;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use archive::MemoryArchive;
use commands::CommandsTopic;
use process::{Process, Route};
use rng::Rng;
use verdict::Verdict;
use weather::{Severity, Weather};

use super::append::NewEvent;
use super::command::Deciders;
use super::deciding::Deciding;
use super::equipment::Equipment;
use super::partition::WindowLimits;
use super::recognise::ReadOn;
use super::reply::ReplyType;
use super::takeover::stored;
use super::window::Imprint;
use crate::commands::GroupOffsets;
use crate::config::EventStoreConfig;
use crate::context::Limits;
use crate::metrics::EventStoreMetrics;

const SCHEMA: &str =
    r#"{"type": "record", "name": "Paid", "namespace": "test", "fields": [{"name": "cents", "type": "long"}]}"#;
const REPLY: &str = include_str!("../../../../../schemas/spina/Reply.avsc");

/// A topic of the world's context.
fn named(topic: impl Fn(&ContextName) -> String) -> String {
    topic(&"test".parse().expect("it is a name"))
}

/// Who the group has assigned the partition to.
#[derive(Debug, Clone, Copy)]
pub struct Assignment {
    process: usize,
    generation: i32,
}

/// See the [module](self).
pub struct World {
    rng: RefCell<Rng>,
    log: MemoryLog,
    severity: Severity,
    archive: MemoryArchive,
    processes: Vec<Process>,
    assignment: watch::Sender<Assignment>,
    commands: CommandsTopic,
    streams: Vec<String>,
    /// Next to nothing is remembered, and everybody says which version they expect.
    forgetful: bool,
    /// The last version that any client heard of.
    known: RefCell<BTreeMap<String, u64>>,
    operations: RefCell<Vec<Operation>>,
    complaints: RefCell<Vec<String>>,
    calm: Cell<bool>,
    ticks: Cell<u64>,
    /// Take-overs so far.
    owners: Cell<u32>,
    begun: Instant,
    paid: Arc<EventType>,
    reply_shape: Arc<Shape>,
}

impl World {
    fn new(seed: u64) -> Self {
        let log = MemoryLog::default();
        let severity = Severity::default();
        let forgetful = Rng::new(seed, 3).percent(25);
        log.set_network(Weather::new(seed, severity.clone()));
        let paid = EventType {
            kind: TypeKind::Event,
            name: "Paid".to_owned(),
            ce_type: "test.account.Paid".to_owned(),
            aggregate: "account".to_owned(),
            schema_id: 1,
            shape: Arc::new(Shape::compile(SCHEMA).expect("the schema is sound")),
        };
        Self {
            rng: RefCell::new(Rng::new(seed, 1)),
            log,
            severity,
            archive: MemoryArchive::default(),
            processes: vec![Process::new(), Process::new()],
            assignment: watch::Sender::new(Assignment { process: 0, generation: 1 }),
            commands: CommandsTopic::default(),
            streams: (1..=3).map(|n| format!("account-{n}")).collect(),
            forgetful,
            known: RefCell::default(),
            operations: RefCell::default(),
            complaints: RefCell::default(),
            calm: Cell::new(false),
            ticks: Cell::new(0),
            owners: Cell::new(0),
            begun: Instant::now(),
            paid: Arc::new(paid),
            reply_shape: Arc::new(Shape::compile(REPLY).expect("the schema is sound")),
        }
    }

    fn chance<T>(&self, ask: impl FnOnce(&mut Rng) -> T) -> T {
        ask(&mut self.rng.borrow_mut())
    }

    /// The next instant; no two are the same.
    fn tick(&self) -> u64 {
        self.ticks.set(self.ticks.get() + 1);
        self.ticks.get()
    }

    fn complain(&self, what: &str) {
        self.complaints.borrow_mut().push(what.to_owned());
    }

    fn event(&self, id: &str) -> NewEvent {
        let fields = json!({ "cents": self.chance(|rng| rng.below(1_000_000)) });
        let avro = self.paid.shape.encode(fields.as_object().expect("it is one")).expect("it fits");
        NewEvent {
            event_type: Arc::clone(&self.paid),
            id: id.to_owned(),
            time: Timestamp::default(),
            correlation_id: None,
            causation_id: None,
            value: frame(1, &avro).into(),
        }
    }

    /// One of those who think that they own the partition.
    fn route(&self) -> Option<Route> {
        let routes: Vec<Route> = self.processes.iter().filter_map(|process| process.route.borrow().clone()).collect();
        if routes.is_empty() {
            return None;
        }
        Some(routes[self.chance(|rng| rng.below(routes.len() as u64)) as usize].clone())
    }

    fn limits(&self) -> Limits {
        let keys_max = if self.forgetful { 2 } else { 10_000 };
        Limits {
            lanes: 3,
            window: WindowLimits { events_max: 4, bytes_max: 1_000 },
            requests: RequestLimits { keys_max, age_max_us: 3_600_000_000 },
            tail_bytes_max: 1 << 20,
            ..EventStoreConfig::default().limits()
        }
    }

    fn equipment(&self, generation: i32) -> Equipment {
        let member = move || {
            let group = commands::GROUP.to_owned();
            Some(GroupMember { group, generation, member_id: String::new(), instance_id: None })
        };
        let begun = self.begun;
        let now = move || Timestamp::from_micros(i64::try_from(begun.elapsed().as_micros()).unwrap_or(0));
        let context = "test".parse().expect("it is a name");
        Equipment {
            imprint: Imprint {
                events_topic: named(names::events_topic).into(),
                replies_topic: named(names::replies_topic).into(),
                partition: 0,
                source: "/spina/test".into(),
                epoch: 0,
                reply_type: Arc::new(ReplyType { schema_id: 2, shape: Arc::clone(&self.reply_shape) }),
            },
            limits: self.limits(),
            lanes: Arc::new(self.log.clone()),
            log: Arc::new(self.log.clone()),
            archive: Arc::new(self.archive.clone()),
            offsets: Arc::new(GroupOffsets::new(&named(names::commands_topic), member)),
            endpoint: String::new(),
            clock: Arc::new(move || now().unwrap_or_default()),
            metrics: EventStoreMetrics::default().partition(&context, 0),
            stopping: CancellationToken::new(),
            context,
        }
    }

    fn thaw(&self) {
        self.processes.iter().for_each(|process| process.frozen.send_modify(|frozen| *frozen = false));
    }

    /// Nothing here is to be decided: appends only.
    fn deciding(&self) -> Deciding {
        let context = "test".parse().expect("it is a name");
        let catalog = Catalog::of(&context, []).expect("nothing is in it");
        let deciders = Deciders { catalog: Arc::new(catalog), aggregates: Arc::default(), event_bytes_max: 0 };
        let load = |_, _| futures::future::ready(Err("there is none".to_owned())).boxed();
        Deciding::new(deciders, Arc::new(load), self.reader())
    }

    /// Reads what tail and archive have together, which is what is committed; while the archive is away it reads nothing.
    fn reader(&self) -> ReadOn {
        let (log, archive) = (self.log.clone(), self.archive.clone());
        Arc::new(move |stream, from, limit| {
            let (log, archive) = (log.clone(), archive.clone());
            let read = async move {
                sleep(Duration::from_millis(3)).await;
                if archive.is_away() {
                    return Err("the archive is away".to_owned());
                }
                let events = log.committed(&named(names::events_topic), 0).into_iter().filter_map(stored);
                let events = events.filter(|event| event.headers.stream == stream && event.headers.version >= from);
                Ok(events.take(limit as usize).collect())
            };
            read.boxed()
        })
    }

    fn assign(&self, process: usize) {
        let generation = self.assignment.borrow().generation + 1;
        self.log.set_generation(commands::GROUP, generation);
        self.assignment.send_replace(Assignment { process, generation });
    }
}

/// Everything that goes wrong, then calm.
async fn nemesis(world: &World) {
    let worst = world.chance(|rng| [0, 3, 10, 25][rng.below(4) as usize]);
    for _ in 0..6 {
        world.severity.set(world.chance(|rng| rng.below(worst + 1)));
        sleep(Duration::from_millis(world.chance(|rng| rng.below(60)))).await;
        let owner = world.assignment.borrow().process;
        match world.chance(|rng| rng.below(10)) {
            0..=2 => world.processes[owner].kills.send_modify(|kills| *kills += 1),
            3 => {
                world.processes[owner].kills.send_modify(|kills| *kills += 1);
                world.assign(1 - owner);
            }
            4 | 5 => {
                world.processes[owner].frozen.send_replace(true);
                world.assign(1 - owner);
            }
            6 => world.assign(1 - owner),
            7 => world.thaw(),
            8 => world.archive.set_away(world.chance(|rng| rng.percent(50))),
            _ => world.archive.lose(),
        }
    }
    world.severity.set(0);
    world.archive.set_away(false);
    world.thaw();
    sleep(Duration::from_millis(500)).await;
    world.calm.set(true);
}

/// Lets the world of a seed run to its end, and judges it.
fn run(seed: u64) -> Verdict {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime can be built");
    runtime.block_on(async {
        let world = Rc::new(World::new(seed));
        let processes = futures::future::join_all((0..2).map(|me| process::live(Rc::clone(&world), me)));
        let clients = futures::future::join_all((0..4).map(|me| client::client(Rc::clone(&world), me)));
        let quiet = async {
            tokio::join!(clients, world.commands.publish(&world), nemesis(&world));
            while !world.commands.is_drained(&world) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            biased;
            _ = processes => {}
            done = tokio::time::timeout(Duration::from_secs(30), quiet) => if done.is_err() {
                let owner = *world.assignment.borrow();
                let serving = world.processes.iter().map(|process| process.route.borrow().is_some());
                let (serving, drained) = (serving.collect::<Vec<_>>(), world.commands.is_drained(&world));
                let topic = named(names::events_topic);
                let ends = (world.log.stable_end(&topic, 0), world.log.end(&topic, 0));
                world.complain(&format!(
                    "I14: the world does not come to rest: {owner:?}, serving {serving:?}, drained {drained}, ends {ends:?}"
                ));
            },
        }
        verdict::of(&world, seed)
    })
}
