//! One broker as a child process.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::ClusterOptions;
use super::guardian::Guardian;
use super::settings::{self, Ports};
use crate::eventually_within;
use crate::stack::{Stack, root};
use crate::tools::{kafka_class_path, run};

/// How often one that ends as it starts is started.
const STARTS_MAX: usize = 3;
/// Lines of a log that a failed test shows.
const TAIL_LINES: usize = 30;
/// Errors before that which are shown, the last ones.
const ERRORS: usize = 5;

/// After a crash the broker replays unflushed segments before it answers, and machines of tests are slow.
const START_LIMIT: Duration = Duration::from_secs(180);

/// A broker that runs, or ran and can be started again.
#[derive(Debug)]
pub(super) struct Broker {
    ports: Ports,
    dir: PathBuf,
    class_path: String,
    heap_mib: u32,
    process: Option<(Child, Guardian)>,
}

/// Brokers with formatted disks, which do not run yet. The first disk is formatted, the others are copies of it with
/// another node's name: formatting starts a JVM.
pub(super) fn prepare(stack: &Stack, dir: &Path, ports: &[Ports], options: &ClusterOptions) -> Vec<Broker> {
    let class_path = kafka_class_path(stack);
    let mut brokers = Vec::new();
    for (node, own) in (1..).zip(ports) {
        let dir = dir.join(node.to_string());
        fs::create_dir_all(&dir).unwrap();
        fs::copy(root().join("dev/kafka/log4j2.xml"), dir.join("log4j2.xml")).unwrap();
        fs::write(dir.join("server.properties"), settings::properties(node, ports, &dir, options)).unwrap();
        let broker =
            Broker { ports: *own, dir, class_path: class_path.clone(), heap_mib: options.heap_mib, process: None };
        match brokers.first() {
            None => broker.format(),
            Some(formatted) => broker.copy_disk(node, formatted),
        }
        brokers.push(broker);
    }
    brokers
}

impl Broker {
    pub(super) fn ports(&self) -> &Ports {
        &self.ports
    }

    pub(super) fn start(&mut self) {
        assert!(self.process.is_none(), "the broker runs already");
        let log = File::options().create(true).append(true).open(self.dir.join("kafka.log")).unwrap();
        let mut java = self.java();
        java.arg("kafka.Kafka").arg(self.dir.join("server.properties"));
        java.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        // Not in our process group: who ends that would let the broker shut down in order, and wait for one that is frozen.
        std::os::unix::process::CommandExt::process_group(&mut java, 0);
        let child = java.spawn().unwrap();
        let guardian = Guardian::of(&child);
        self.process = Some((child, guardian));
    }

    /// `kill -9`; nothing when it does not run.
    pub(super) fn kill(&mut self) {
        if let Some((mut child, guardian)) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
            drop(guardian);
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let (child, _) = self.process.as_ref().expect("the broker runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Waits until it takes clients, on the listener of brokers and direct clients. One that gives up while its cluster is
    /// without a leader is started again, as a supervisor would.
    #[allow(clippy::print_stdout, reason = "a test that fails later shows why")]
    pub(super) async fn ready(&mut self) {
        let what = format!("the broker at {} takes clients", self.ports.direct);
        for _ in 0..STARTS_MAX {
            let ended = eventually_within(START_LIMIT, &what, async || {
                let (child, _) = self.process.as_mut().expect("the broker was started");
                if let Some(status) = child.try_wait().unwrap() {
                    return Some(Some(status));
                }
                takes_clients(self.ports.direct).then_some(None)
            });
            let Some(status) = ended.await else { return };
            eprintln!("a broker ended as it started: {status}\n{}", self.tail());
            self.process = None;
            self.start();
        }
        panic!("the broker ends at once");
    }

    pub(super) fn tail(&self) -> String {
        let log = self.dir.join("kafka.log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        // Why it ended may stand before all that it says while it ends.
        let errors = lines[..from].windows(3).filter(|next| next[0].contains(" ERROR ")).map(|next| next.join("\n"));
        let errors: Vec<String> = errors.collect();
        let errors = &errors[errors.len().saturating_sub(ERRORS)..];
        format!("the end of {}:\n{}\n...\n{}", log.display(), errors.join("\n"), lines[from..].join("\n"))
    }

    fn java(&self) -> Command {
        let mut java = Command::new("java");
        java.current_dir(&self.dir).args(["-cp", &self.class_path]);
        // Started often, with little to do: cheap to start beats fast in the long run.
        java.args(["-Xms64m", &format!("-Xmx{}m", self.heap_mib), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        java.arg(format!("-Dlog4j2.configurationFile={}", self.dir.join("log4j2.xml").display()));
        java.arg("-Djava.awt.headless=true");
        java
    }

    fn format(&self) {
        let mut tool = self.java();
        let cluster = uuid::Uuid::new_v4().to_string();
        tool.args(["kafka.tools.StorageTool", "format", "--cluster-id", &cluster, "--config"]);
        run(tool.arg(self.dir.join("server.properties")));
    }

    fn copy_disk(&self, node: usize, formatted: &Self) {
        let (from, to) = (formatted.dir.join("data"), self.dir.join("data"));
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(&from).unwrap() {
            let file = entry.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        let meta = fs::read_to_string(from.join("meta.properties")).unwrap();
        let mut own = String::new();
        for line in meta.lines() {
            match line.split_once('=') {
                Some(("node.id", _)) => own.push_str(&format!("node.id={node}")),
                Some(("directory.id", id)) => own.push_str(&format!("directory.id={}", another_directory(id, node))),
                _ => own.push_str(line),
            }
            own.push('\n');
        }
        fs::write(to.join("meta.properties"), own).unwrap();
    }
}

/// The directory id of a copied disk: another one for each node, and never the copied one, since two brokers with the same are
/// refused by their controller. It is 128 random bits in base 64: the last of 22 characters has two of them and stays.
fn another_directory(id: &str, node: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (most, changed, last) = (&id[..id.len() - 2], id.as_bytes()[id.len() - 2], &id[id.len() - 1..]);
    let digit = DIGITS.iter().position(|digit| *digit == changed).expect("the id is in base 64");
    format!("{most}{}{last}", char::from(DIGITS[(digit + node - 1) % DIGITS.len()]))
}

/// Asks for the cluster's metadata (version 4, no topics): a broker that still starts does not answer, or knows of no
/// broker that takes clients.
fn takes_clients(port: u16) -> bool {
    const REQUEST: [u8; 19] = [
        0, 0, 0, 15, // length of what follows
        0, 3, 0, 4, // Metadata, version 4
        0, 0, 0, 1, // correlation id
        0xff, 0xff, // no client id
        0, 0, 0, 0, // no topics
        0, // create none
    ];
    let ask = || {
        let mut broker = TcpStream::connect(("127.0.0.1", port))?;
        broker.set_read_timeout(Some(Duration::from_secs(2)))?;
        broker.write_all(&REQUEST)?;
        // Length, correlation id, throttle time, count of brokers.
        let mut response = [0; 16];
        broker.read_exact(&mut response).map(|()| response[12..] != [0; 4])
    };
    let answer: std::io::Result<bool> = ask();
    answer.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copied_disks_have_directories_of_their_own() {
        for id in ["GpU0viwz_7_RGNI-IWjh2w", "GpU0viwz_7_RGNI-IWjh3w", "GpU0viwz_7_RGNI-IWjh_A"] {
            let ids = [another_directory(id, 1), another_directory(id, 2), another_directory(id, 3)];
            assert!(ids[0] == id && ids[1] != ids[0] && ids[2] != ids[0] && ids[1] != ids[2], "{ids:?}");
        }
    }
}
