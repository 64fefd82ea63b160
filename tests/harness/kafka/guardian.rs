//! Ends a child when this process dies, however it dies.
//!
//! The guardian is a shell that reads from a pipe of ours. The system closes the pipe when we are gone, even by SIGKILL;
//! then the shell kills the child. Process ids are reused, so it compares the child's start time first.

use std::process::{Child, Command, Stdio};

/// `$1` is the process id, `$2` its start time in clock ticks since boot.
const SCRIPT: &str = r#"read -r _
[ "$(cut -d' ' -f22 "/proc/$1/stat" 2>/dev/null)" = "$2" ] && kill -KILL "$1""#;

/// Watches over one child. Dropping it leaves the child alone.
#[derive(Debug)]
pub(super) struct Guardian(Child);

impl Guardian {
    /// Watches over a child whose program has no space in its name: those would shift the columns of its `stat` file.
    pub(super) fn of(child: &Child) -> Self {
        use std::os::unix::process::CommandExt;
        let pid = child.id().to_string();
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "guardian", &pid, &start_time(&pid)]);
        // Not in our process group: a signal to the whole group must not end it before its child.
        shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(shell.spawn().unwrap())
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_time(pid: &str) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.split(' ').nth(21).expect("a stat file has 52 columns").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    #[test]
    fn a_child_ends_when_the_pipe_closes() {
        let mut child = sleeper();
        let mut guardian = Guardian::of(&child);
        drop(guardian.0.stdin.take());
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_child_outlives_a_guardian_that_was_dismissed() {
        let mut child = sleeper();
        drop(Guardian::of(&child));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
