//! The README's tour, that of Kafka Connect, and that of the clients in other languages, run word for word.
//!
//! In their blocks marked `console`, lines that begin with `$ ` are commands; a backslash at the end, or an open single
//! quote, continues in the next line. Each must end with status 0, or with N where it ends with `# exits N`. What else
//! the blocks show is output, not compared. Ports are those of this run instead of the pinned ones, and so is the folder
//! of the stack.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use spina_tests::flights::Flights;
use spina_tests::spina::clean;
use spina_tests::stack::{Stack, binary, root};

/// Longest that a command of a tour may take, in seconds.
const PATIENCE_S: &str = "120";

#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    status: i32,
}

/// The commands of the `console` blocks of a text.
fn steps(text: &str) -> Vec<Step> {
    let (mut steps, mut inside, mut lines) = (Vec::new(), false, text.lines());
    while let Some(line) = lines.next() {
        let fence = line.trim_start();
        if fence.starts_with("```") {
            inside = !inside && fence.trim_end() == "```console";
        } else if let (true, Some(command)) = (inside, fence.strip_prefix("$ ")) {
            let mut command = command.to_owned();
            while command.ends_with('\\') || command.matches('\'').count() % 2 == 1 {
                command.push('\n');
                command.push_str(lines.next().expect("a line follows a backslash or an open quote"));
            }
            let status = command.rsplit_once("# exits ").map_or(0, |(_, status)| status.trim().parse().unwrap());
            steps.push(Step { command, status });
        }
    }
    steps
}

#[test]
fn steps_are_found_in_console_blocks_only() {
    let text = "$ no\n```sh\n$ no\n```\n```console\n$ spina read x  # exits 5\nerror\n$ a \\\n    'b\nc'\n```\n$ no\n";
    let step = |command: &str, status| Step { command: command.to_owned(), status };
    assert_eq!(steps(text), [step("spina read x  # exits 5", 5), step("a \\\n    'b\nc'", 0)]);
}

#[test]
fn every_command_of_the_tour_does_what_it_should() {
    follow("README.md", &fs::read_to_string(root().join("README.md")).unwrap());
}

#[test]
fn every_command_about_connect_does_what_it_should() {
    follow("docs/connect.md", &fs::read_to_string(root().join("docs/connect.md")).unwrap());
}

#[test]
fn a_java_client_publishes_and_reads_as_its_readme_says() {
    follow_client("## Java");
}

#[test]
fn a_python_client_publishes_and_reads_as_its_readme_says() {
    follow_client("## Python");
}

#[test]
fn a_node_client_publishes_and_reads_as_its_readme_says() {
    follow_client("## Node");
}

/// Runs the commands under one heading of the clients' README.
fn follow_client(heading: &str) {
    let text = fs::read_to_string(root().join("examples/clients/README.md")).unwrap();
    let (_, rest) = text.split_once(heading).expect("the client has a heading");
    follow(heading, rest.split("\n## ").next().unwrap_or_default());
}

fn follow(title: &str, text: &str) {
    let steps = steps(text);
    assert!(!steps.is_empty(), "{title} has a tour: a block marked console with lines that begin with `$ `");

    let stack = &Flights::get().stack;
    let path = format!("{}:{}", program(stack).display(), std::env::var("PATH").unwrap());
    let ports = ports();
    for Step { command, status } in steps {
        let here = ports.iter().fold(command.clone(), |text, (pinned, free)| text.replace(pinned, free));
        let mut bash = clean(Command::new("timeout"));
        bash.args([PATIENCE_S, "bash", "-euo", "pipefail", "-c", &here]).current_dir(root()).env("PATH", &path);
        let output = bash.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(output.status.code(), Some(status), "$ {command}\n{}", String::from_utf8_lossy(&said));
    }
}

/// A folder with a `spina` that works on this run's stack. It leaves `down` to the end of the run: other tests follow.
fn program(stack: &Stack) -> PathBuf {
    let folder = stack.folder("bin");
    let (real, dir) = (binary("spina"), &stack.dir);
    let (real, dir) = (real.display(), dir.display());
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in\n  up|demo) exec '{real}' \"$@\" --free-ports --dir '{dir}' ;;\n  \
         down) exec '{real}' \"$@\" --help ;;\n  -*) exec '{real}' \"$@\" ;;\n  *) exec '{real}' \"$@\" --dir '{dir}' ;;\nesac\n"
    );
    fs::write(folder.join("spina"), script).unwrap();
    fs::set_permissions(folder.join("spina"), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Pinned ports as addresses have them, and the ones of this run.
fn ports() -> Vec<(String, String)> {
    let pinned = fs::read_to_string(root().join("dev/versions.env")).unwrap();
    let stack: Value = serde_json::from_slice(&fs::read(Stack::get().dir.join("stack.json")).unwrap()).unwrap();
    let free = stack["ports"].as_object().expect("the stack has ports");
    let pair = |(name, port): (&String, &Value)| {
        let key = format!("{}_PORT=", name.to_uppercase().replace('-', "_"));
        let pinned = pinned.lines().find_map(|line| line.strip_prefix(&key)).expect("every port is pinned");
        (format!(":{pinned}"), format!(":{port}"))
    };
    free.iter().map(pair).collect()
}
