//! The `spina` command, as a person would run it.

use std::ffi::OsStr;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;

use crate::stack::{Stack, binary, root};

/// One run of the command.
#[derive(Debug)]
pub struct Spina(Command);

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it said beside.
    pub stderr: String,
}

impl Spina {
    /// The command with the servers' addresses, and without any other setting of Spina's.
    pub fn of(stack: &Stack) -> Self {
        let mut command = clean(Command::new(binary("spina")));
        command.current_dir(root()).stdin(Stdio::null());
        command.env("SPINA_KAFKA", &stack.kafka).env("SPINA_REGISTRY_URL", &stack.registry);
        Self(command)
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.0.args(args);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Ran {
        let output = self.0.output().unwrap();
        Ran::of(output)
    }

    /// Runs it to its end, which must be a good one; what it printed.
    pub fn succeeds(mut self) -> String {
        let ran = Ran::of(self.0.output().unwrap());
        assert!(ran.status.success(), "{:?}\n{}\n{}\n{}", self.0, ran.status, ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Like [`Spina::succeeds`], with `--output json`.
    pub fn json(self) -> Value {
        let text = self.args(["--output", "json"]).succeeds();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Starts it, to be waited for.
    pub fn spawn(mut self) -> Running {
        self.0.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(self.0.spawn().unwrap()))
    }
}

impl Ran {
    /// What a program that has ended printed.
    pub fn of(output: std::process::Output) -> Self {
        Self {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A command that runs meanwhile; killed when dropped.
#[derive(Debug)]
pub struct Running(Option<Child>);

impl Running {
    /// Whether it has not ended yet.
    pub fn runs(&mut self) -> bool {
        self.0.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Waits for its end.
    pub async fn ends(mut self) -> Ran {
        let child = self.0.take().unwrap();
        Ran::of(tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let output = child.wait_with_output();
            if std::thread::panicking() {
                eprintln!("meanwhile the command had printed: {output:?}");
            }
        }
    }
}

/// Without the settings of Spina that this process happens to have: services refuse those that they do not know.
pub fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("SPINA_") && text != "SPINA_CACHE" {
            command.env_remove(&name);
        }
    }
    command
}
