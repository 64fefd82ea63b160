//! The topics that races run through, and driving them: many at once, or one after the other at a fixed rate.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use spina_log::{LogReader, NewRecord, Publisher};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::declared::Begins;
use crate::bench::Bench;
use crate::drive::{due_after, latencies, pace};

/// How long sagas may take beyond what is measured.
const PATIENCE: Duration = Duration::from_secs(300);
/// Events that are due and not yet published, at most.
const DUE_MAX: usize = 10_000;

/// Names of topics.
#[derive(Debug, Clone, Copy)]
pub struct Track {
    /// What begins races.
    pub events: &'static str,
    /// What the runner says.
    pub replies: &'static str,
    /// What happened to the races.
    pub log: &'static str,
    /// What the runner is asked.
    pub commands: &'static str,
}

/// Races of one kind, which nobody has run before.
#[derive(Debug, Clone)]
pub struct Races {
    /// How they begin.
    pub begins: Begins,
    /// What their keys begin with.
    pub name: String,
    /// How many.
    pub count: u64,
}

impl Races {
    /// The key of a race.
    pub fn key(&self, n: u64) -> String {
        format!("{}x{n}", self.name)
    }

    /// Which race the key of a stream belongs to; `None` if to none of these.
    fn number(&self, stream: &[u8]) -> Option<u64> {
        let stream = std::str::from_utf8(stream).ok()?;
        let (_, number) = stream.split_once(&self.name)?;
        number.strip_prefix('x')?.parse().ok()
    }

    /// Records of the log that they make: two when a race begins, and two for each command's answer.
    fn logged(&self) -> u64 {
        self.count * 2 * (self.begins.legs + 1)
    }
}

/// Runs all of them at once: how long it took until the last record of the log was there.
pub async fn at_once(
    bench: &Bench,
    track: Track,
    races: &Races,
    begin: impl Fn(u64) -> anyhow::Result<NewRecord>,
) -> anyhow::Result<Duration> {
    let log = bench.log.follow(bench.log.mark(track.log).await?)?;
    let publisher = Publisher::new(&bench.log.config)?;
    let began = Instant::now();
    let publishing = async {
        for n in 0..races.count {
            drop(publisher.enqueue(&begin(n)?).await?);
        }
        publisher.flush(PATIENCE).await.context("publish events")
    };
    tokio::try_join!(publishing, logged(log, races.logged()))?;
    Ok(began.elapsed())
}

/// Runs them at a fixed rate: from when each event was due until its first command was visible to a committed reader.
pub async fn at_rate(
    bench: &Bench,
    track: Track,
    races: &Races,
    rate: u32,
    begin: impl Fn(u64) -> anyhow::Result<NewRecord>,
) -> anyhow::Result<Histogram<u64>> {
    let log = bench.log.follow(bench.log.mark(track.log).await?)?;
    let commands = bench.log.follow(bench.log.mark(track.commands).await?)?;
    let publisher = Publisher::prompt(&bench.log.config)?;
    let (due, mut turns) = mpsc::channel(DUE_MAX);
    let (began, count) = (Instant::now(), races.count);
    let pacer = thread::Builder::new().name("pacer".to_owned()).spawn(move || pace(began, rate, count, &due));
    let pacer = pacer.context("start the pacer")?;
    let publishing = async {
        while let Some(n) = turns.recv().await {
            drop(publisher.enqueue(&begin(n)?).await?);
        }
        publisher.flush(PATIENCE).await.context("publish events")
    };
    let seen = seen(commands, races, began);
    let ((), seen, ()) = tokio::try_join!(publishing, seen, logged(log, races.logged()))?;
    ensure!(pacer.join().is_ok(), "the pacer panicked");
    let mut latency = latencies();
    for (n, at) in (0..).zip(seen) {
        let at = at.with_context(|| format!("race {n} has no command"))?;
        latency.saturating_record(u64::try_from(at.saturating_sub(due_after(n, rate)).as_micros())?);
    }
    Ok(latency)
}

/// When the first command of each race was seen.
async fn seen(mut commands: LogReader, races: &Races, began: Instant) -> anyhow::Result<Vec<Option<Duration>>> {
    let mut seen = vec![None; usize::try_from(races.count)?];
    let mut left = races.count;
    while left > 0 {
        let batch = timeout(PATIENCE, commands.next()).await.with_context(|| format!("{left} commands are missing"))?;
        let batch = batch.context("the reader ended")??;
        let now = began.elapsed();
        for record in batch.records {
            let number = record.key.as_deref().and_then(|key| races.number(key));
            let place = number.and_then(|n| seen.get_mut(usize::try_from(n).ok()?));
            if let Some(place @ None) = place {
                *place = Some(now);
                left -= 1;
            }
        }
    }
    Ok(seen)
}

/// Waits until so many records are in the log.
async fn logged(mut log: LogReader, records: u64) -> anyhow::Result<()> {
    let mut left = records;
    while left > 0 {
        let batch = timeout(PATIENCE, log.next()).await.with_context(|| format!("{left} records are missing"))?;
        left = left.saturating_sub(batch.context("the reader ended")??.records.len() as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::declared::LAP;
    use super::*;

    #[test]
    fn a_race_is_known_by_the_key_of_its_streams() {
        let races = Races { begins: LAP, name: "1a-lap-2".to_owned(), count: 30 };
        assert_eq!(races.number(format!("baton-{}", races.key(17)).as_bytes()), Some(17));
        assert_eq!(races.number(b"baton-1a-lap-3x17"), None);
        assert_eq!(races.logged(), 30 * 12);
    }
}
