//! Waiting until a process that was just started really answers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::time::{Instant, sleep, timeout};

use super::{identity::Identity, part::Part};

const POLL: Duration = Duration::from_millis(100);
const PROBE_LIMIT: Duration = Duration::from_secs(3);
const TAIL_LINES: usize = 25;

/// Probes until the part answers. Gives up at `limit`, or at once when the
/// process has ended, with the last refusal and the end of its log.
pub async fn wait<F>(part: Part, process: &Identity, log: &Path, limit: Duration, probe: &impl Fn() -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let deadline = Instant::now() + limit;
    loop {
        let refusal = match once(probe).await {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        if !process.is_alive() {
            bail!("{part} ended while starting{}", tail(log));
        }
        if Instant::now() >= deadline {
            let seconds = limit.as_secs();
            bail!("{part} is not ready after {seconds} s: {refusal:#}{}", tail(log));
        }
        sleep(POLL).await;
    }
}

/// One probe, with a limit of its own.
async fn once<F>(probe: &impl Fn() -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    timeout(PROBE_LIMIT, probe()).await.unwrap_or_else(|_| Err(anyhow!("no answer within {} s", PROBE_LIMIT.as_secs())))
}

/// The end of a log, to be shown with an error.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len().saturating_sub(TAIL_LINES);
    let mut report = format!("; the end of {}:", log.display());
    for line in lines.iter().skip(last) {
        let _ = write!(report, "\n    {line}");
    }
    report
}

/// A client for servers on this machine: no proxy stands between.
pub fn http_client() -> Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().build().context("build an HTTP client")
}

/// Whether `url` answers 200; the refusal carries the body, where services put their reasons.
pub async fn answers(client: &reqwest::Client, url: &str) -> Result<()> {
    let response = client.get(url).send().await.with_context(|| format!("ask {url}"))?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let reasons: String = response.text().await.unwrap_or_default().chars().take(1_000).collect();
    bail!("{url} answers {status}: {reasons}")
}
