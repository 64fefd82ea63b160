//! One service as a child process.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;
use crate::context::Context;
use crate::http::Http;
use crate::spina::clean;
use crate::stack::{Stack, binary, free_port};

/// Lines of a log that a failed test shows.
const TAIL_LINES: usize = 30;

/// A service that runs, or ran and can be started again on the same port. Ends when dropped.
#[derive(Debug)]
pub struct Service {
    /// Its base URL.
    pub url: String,
    name: &'static str,
    stack: Stack,
    settings: Vec<(String, String)>,
    child: Option<Child>,
    log: PathBuf,
}

impl Service {
    /// Starts a service of a context. It is not ready yet.
    pub fn start(stack: &Stack, name: &'static str, context: &Context) -> Self {
        Self::start_with(stack, name, context, &[])
    }

    /// The same with more settings, such as `("SPINA_INSTANCE", "second")`.
    pub fn start_with(stack: &Stack, name: &'static str, context: &Context, more: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let log = stack.folder("logs").join(format!("{:03}-{name}.log", COUNT.fetch_add(1, Ordering::Relaxed)));
        let listen = format!("127.0.0.1:{}", free_port());
        let settings = [
            ("SPINA_KAFKA", stack.kafka.clone()),
            ("SPINA_REGISTRY_URL", stack.registry.clone()),
            ("SPINA_POSTGRES_URL", stack.postgres.clone()),
            ("SPINA_HTTP_LISTEN", listen.clone()),
            ("SPINA_TOPOLOGY_DIR", context.topology_dir.display().to_string()),
            ("SPINA_SCHEMAS_DIR", context.schemas_dir.display().to_string()),
        ];
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = settings.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(more).collect();
        let url = format!("http://{listen}");
        let mut service = Self { url, name, stack: stack.clone(), settings, child: None, log };
        service.start_again();
        service
    }

    /// Starts it after it was killed or stopped, as it was before.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = clean(Command::new(binary(self.name)));
        command.envs(self.settings.iter().cloned()).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        // For dev/with-servers, should this process not live long enough to end it.
        fs::write(self.pid_file(child.id()), "").unwrap();
        self.child = Some(child);
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) {
        let http = Http::new(&self.url);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.as_mut().expect("it runs").try_wait().unwrap() {
                panic!("{} ended at once: {status}\n{}", self.name, self.tail());
            }
            let answer = http.get("/health/ready").await;
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return;
            }
            assert!(Instant::now() < deadline, "{} is not ready: {answer:?}\n{}", self.name, self.tail());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
        let _ = fs::remove_file(self.pid_file(child.id()));
    }

    /// SIGSTOP or SIGCONT: the process freezes, or goes on.
    pub fn freeze(&self, freeze: bool) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), if freeze { Signal::STOP } else { Signal::CONT }).unwrap();
    }

    /// SIGTERM, and how long it took to what end.
    pub async fn stop(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        let mut child = self.child.take().expect("it runs");
        let pid_file = self.pid_file(child.id());
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let status = tokio::task::spawn_blocking(move || {
            loop {
                match child.try_wait().unwrap() {
                    Some(status) => return status,
                    None if begun.elapsed() > PATIENCE => {
                        child.kill().unwrap();
                        return child.wait().unwrap();
                    }
                    None => std::thread::sleep(Duration::from_millis(10)),
                }
            }
        });
        let status = status.await.unwrap();
        let _ = fs::remove_file(pid_file);
        (status, begun.elapsed())
    }

    /// How it ended, if it did so by itself. It can be started again then.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap()?;
        let child = self.child.take()?;
        let _ = fs::remove_file(self.pid_file(child.id()));
        Some(status)
    }

    /// Sets a variable of its environment, or takes it away, from the next start on.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of what it has logged.
    pub fn tail(&self) -> String {
        let text = self.log();
        // Whoever waits for it asks all the time, and each answer leaves a line.
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("/health/ready")).collect();
        let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("the end of {}:\n{}", self.log.display(), last.join("\n"))
    }

    fn pid_file(&self, pid: u32) -> PathBuf {
        self.stack.folder("children").join(format!("{pid}.pid"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
        if self.child.is_some() {
            self.kill();
        }
    }
}
