//! A Kafka Connect worker of the stack: started once, killed and started again.

use rustix::process::{Pid, Signal, kill_process};

use crate::spina::Spina;
use crate::stack::Stack;

/// The worker. It goes with the stack.
#[derive(Debug)]
pub struct Worker {
    stack: Stack,
    /// Base URL of its REST API.
    pub url: String,
}

impl Worker {
    /// Starts the worker, unless it runs.
    pub fn up(stack: &Stack) -> Self {
        start(stack);
        Self { url: Stack::get().connect(), stack: stack.clone() }
    }

    /// `kill -9`.
    pub fn kill(&self) {
        let pid = i32::try_from(self.stack.pid("connect")).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }

    /// Starts it after it was killed, and waits until it answers.
    pub fn start_again(&self) {
        start(&self.stack);
    }

    /// The `spina` command in front of it.
    pub fn spina(&self) -> Spina {
        Spina::of(&self.stack).env("SPINA_CONNECT_URL", &self.url)
    }
}

fn start(stack: &Stack) {
    Spina::of(stack).args(["up", "--servers-only", "--connect", "--free-ports", "--dir"]).arg(&stack.dir).succeeds();
}
