//! What the machine was doing: load, disk, and who used the processor.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

/// Writes of the disk probe.
const PROBE_WRITES: usize = 20;
/// Bytes of each.
const PROBE_BYTES: usize = 4_096;
/// Clock ticks of `/proc` in a second: `USER_HZ`, 100 on every Linux platform that this runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// The machine at one moment.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Probe {
    /// Processes that ran or wanted to, averaged over a minute.
    pub load: f64,
    /// Median time to write 4 KiB and have them on the disk, in milliseconds.
    pub fsync_ms: f64,
}

impl Probe {
    /// Looks, and writes a little file in `folder`.
    pub fn take(folder: &Path) -> anyhow::Result<Self> {
        let load = fs::read_to_string("/proc/loadavg").context("read the load")?;
        let load = load.split(' ').next().and_then(|first| first.parse().ok()).context("understand the load")?;
        let median = fsync(folder).context("probe the disk")?;
        Ok(Self { load, fsync_ms: median.as_secs_f64() * 1e3 })
    }
}

fn fsync(folder: &Path) -> std::io::Result<Duration> {
    let path = folder.join("fsync-probe");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(PROBE_WRITES);
    for _ in 0..PROBE_WRITES {
        let began = Instant::now();
        file.write_all(&[0; PROBE_BYTES])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    fs::remove_file(path)?;
    times.sort();
    Ok(times[PROBE_WRITES / 2])
}

/// Processor time that a process has used so far; nothing of one that is gone.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold spaces. After it, the times are fields 14 and 15 of the line (proc(5)).
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks / TICKS_A_SECOND
}

/// Memory that a process holds, in bytes; nothing of one that is gone.
pub fn memory_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
    kibibytes * 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_can_be_looked_at() {
        let probe = Probe::take(&std::env::temp_dir()).unwrap();
        assert!(probe.load >= 0.0 && probe.fsync_ms > 0.0);
        let began = Instant::now();
        while cpu_seconds(std::process::id()) == 0.0 {
            assert!(began.elapsed() < Duration::from_secs(60), "a busy process uses time");
        }
        assert!(memory_bytes(std::process::id()) > 100_000);
        assert_eq!((cpu_seconds(u32::MAX), memory_bytes(u32::MAX)), (0.0, 0));
    }
}
