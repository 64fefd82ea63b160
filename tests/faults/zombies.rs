//! A writer that is frozen with an open transaction, and wakes after another has taken its id and written.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use spina_log::{Admin, LaneFactory, LaneFactoryV1, Lanes, LogConfig, WriteError, settled};
use spina_tests::{PATIENCE, eventually};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::bench::{Bench, SMALL, Writer};
use crate::ledger::{Harm, Told};
use crate::report::{self, Times};

/// Set in the process that is to be frozen: the writer, bootstrap servers and topic, separated by spaces.
const SLEEPER: &str = "SPINA_TEST_SLEEPER";

/// What begins each line of the sleeper's; the test framework prints as well.
const SAYS: &str = "the sleeper says: ";

/// The other process, which does what it is told line by line: `open <id>`, `stage <window>`, `commit`.
struct Sleeper {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Sleeper {
    fn start(writer: Writer, bench: &Bench, test: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(SLEEPER, format!("{writer:?} {} {}", bench.direct.bootstrap, bench.topic))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, orders, answers }
    }

    async fn tell(&mut self, order: &str) {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.unwrap();
    }

    async fn says(&mut self) -> String {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.answers.next_line()).await.expect("the sleeper answers");
            let line = line.unwrap().expect("the sleeper lives");
            if let Some((_, said)) = line.split_once(SAYS) {
                return said.to_owned();
            }
        }
    }

    async fn does(&mut self, order: &str) -> String {
        self.tell(order).await;
        self.says().await
    }

    /// Stops it; all of it stands still afterwards.
    async fn freeze(&self) {
        self.signal(Signal::STOP);
        // The signal has to be taken by one thread before it stops the others: on a busy machine they go on for a while.
        let threads = format!("/proc/{}/task", self.child.id().expect("it runs"));
        eventually("every thread is stopped", async || {
            let stands_still = |thread: PathBuf| {
                let stat = fs::read_to_string(thread.join("stat")).unwrap_or_default();
                stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
            };
            let all = fs::read_dir(&threads).unwrap().all(|thread| stands_still(thread.unwrap().path()));
            all.then_some(())
        })
        .await;
    }

    fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().expect("it runs")).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

/// The sleeper's side.
async fn be_the_sleeper(order: &str) {
    let mut words = order.split(' ');
    let (writer, bootstrap, topic) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let config = LogConfig::new(bootstrap, "spina-tests-sleeper");
    let lanes: Box<dyn Lanes> = match writer {
        "V2" => Box::new(LaneFactory::connect(&config).await.unwrap()),
        _ => Box::new(LaneFactoryV1::new(&config)),
    };
    let mut lane = None;
    // Blocks this thread only; the clients' tasks have others.
    for order in std::io::stdin().lines().map(Result::unwrap) {
        let said = match order.split_once(' ').unwrap_or((&order, "")) {
            ("open", id) => {
                lane = Some(lanes.open(id).await.unwrap());
                "opened".to_owned()
            }
            ("stage", name) => {
                let staged = lane.as_ref().unwrap().stage(crate::bench::small(topic, name)).await;
                outcome(staged.map(|_| ()))
            }
            ("commit", _) => outcome(lane.as_ref().unwrap().commit().await),
            _ => panic!("not an order: {order}"),
        };
        println!("{SAYS}{said}");
    }
}

fn outcome(outcome: Result<(), WriteError>) -> String {
    match outcome {
        Ok(()) => "ok",
        Err(WriteError::Fenced { .. }) => "fenced",
        Err(WriteError::Aborted { .. }) => "aborted",
        Err(WriteError::Unknown { .. }) => "unknown",
        Err(WriteError::Broken { .. }) => "broken",
    }
    .to_owned()
}

async fn a_writer_that_wakes_finds_itself_fenced(writer: Writer, test: &str, experiment: &str) {
    if let Ok(order) = std::env::var(SLEEPER) {
        return be_the_sleeper(&order).await;
    }
    let mut bench = Bench::of(writer).await;
    let admin = Admin::connect(&bench.direct).await.unwrap();
    let mut sleeper = Sleeper::start(writer, &bench, test);
    let mut taken = Times::default();
    let times = report::few_times(3);
    for n in 0..times {
        let id = crate::bench::unique("zombie");
        assert_eq!(sleeper.does(&format!("open {id}")).await, "opened");
        assert_eq!(sleeper.does(&format!("stage old{n}")).await, "ok");
        sleeper.freeze().await;
        // What it is to do first when it wakes: commit, or go on writing after that.
        sleeper.tell("commit").await;
        let begun = Instant::now();
        let lane = bench.lanes.open(&id).await.unwrap();
        for partition in 0..2 {
            settled::wait(&admin, &bench.topic, partition, PATIENCE).await.unwrap();
        }
        taken.add(begun.elapsed());
        let name = format!("new{n}");
        lane.stage(bench.small(&name)).await.unwrap();
        // Half of them wake while the new owner's transaction is open, half after it has ended.
        if n % 2 == 0 {
            let outcome = lane.commit().await;
            bench.note(&name, SMALL, outcome).await;
        }
        sleeper.thaw();
        assert_eq!(sleeper.says().await, "fenced", "its commit");
        assert_eq!(sleeper.does(&format!("stage again{n}")).await, "fenced", "its next window");
        if n % 2 == 1 {
            let outcome = lane.commit().await;
            bench.note(&name, SMALL, outcome).await;
        }
        bench.ledger.note(&format!("old{n}"), SMALL, Told::NotThere);
        bench.ledger.note(&format!("again{n}"), SMALL, Told::NotThere);
    }
    let harm = bench.harm().await;
    let committed = bench.ledger.told(Told::Committed);
    report::keep(experiment, &json!({ "wake_ups": times, "harm": harm.figures(), "take_over": taken.figures() }));
    assert_eq!((harm, committed), (Harm::default(), times), "every new owner committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_wakes_finds_itself_fenced_v2() {
    let test = "zombies::a_writer_that_wakes_finds_itself_fenced_v2";
    a_writer_that_wakes_finds_itself_fenced(Writer::V2, test, "zombie_v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_wakes_finds_itself_fenced_v1() {
    let test = "zombies::a_writer_that_wakes_finds_itself_fenced_v1";
    a_writer_that_wakes_finds_itself_fenced(Writer::V1, test, "zombie_v1").await;
}
