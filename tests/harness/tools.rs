//! Programs that know nothing of Spina: kcat, and the Java tools that come with Kafka.

use std::path::Path;
use std::process::{Command, Output};

use crate::stack::Stack;

/// A record as kcat prints it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The key.
    pub key: String,
    /// `name=value`, comma separated.
    pub headers: String,
    /// The value.
    pub value: Vec<u8>,
}

impl Seen {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.split(',').find_map(|header| header.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Reads all committed records of a topic with kcat.
pub fn kcat_read(stack: &Stack, topic: &str) -> Vec<Seen> {
    // %R: length of the value, 4 bytes, big-endian.
    let output = run(Command::new("kcat")
        .args(["-C", "-q", "-e", "-o", "beginning", "-X", "isolation.level=read_committed", "-f", "%k\\n%h\\n%R%s"])
        .args(["-b", &stack.kafka, "-t", topic]));
    let mut rest = output.stdout.as_slice();
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let key = line(&mut rest);
        let headers = line(&mut rest);
        let (length, after) = rest.split_first_chunk::<4>().expect("kcat prints a length");
        let (value, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        seen.push(Seen { key, headers, value: value.to_vec() });
        rest = after;
    }
    seen
}

fn line(rest: &mut &[u8]) -> String {
    let end = rest.iter().position(|byte| *byte == b'\n').expect("kcat ends the line");
    let text = String::from_utf8(rest[..end].to_vec()).unwrap();
    *rest = &rest[end + 1..];
    text
}

/// Produces the content of a file with kcat, which needs to be told to choose partitions as Java does.
pub fn kcat_produce(stack: &Stack, topic: &str, key: &str, headers: &[(&str, &str)], value: &Path, more: &[&str]) {
    let mut kcat = Command::new("kcat");
    kcat.args(["-P", "-b", &stack.kafka, "-t", topic, "-k", key, "-X", "partitioner=murmur2_random"]).args(more);
    for (name, value) in headers {
        kcat.args(["-H", &format!("{name}={value}")]);
    }
    run(kcat.arg(value));
}

/// Runs one of Kafka's own tools, from the jars that the broker runs from.
pub fn kafka_java(stack: &Stack, class: &str, args: &[&str]) -> String {
    let class_path = kafka_class_path(stack);
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-cp", &class_path, class, "--bootstrap-server", &stack.kafka]).args(args);
    String::from_utf8_lossy(&run(&mut java).stdout).into_owned()
}

/// The class path of the broker that the run shares.
pub(crate) fn kafka_class_path(stack: &Stack) -> String {
    let command_line = std::fs::read(format!("/proc/{}/cmdline", stack.kafka_pid())).unwrap();
    let mut words = command_line.split(|byte| *byte == 0).skip_while(|word| *word != b"-cp");
    let class_path = words.nth(1).expect("the broker has a class path");
    String::from_utf8(class_path.to_vec()).unwrap()
}

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; `make install` installs it"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output
}
