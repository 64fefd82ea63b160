//! From the two CSV files to one NDJSON file in event-time order.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use jiff::civil::date;

use super::airports::Airports;
use super::dataset::Dataset;
use super::event::{self, Step};
use super::flight::Flight;
use super::row;
use super::totals::{self, Totals};

/// Counts up with every change of what is written, so that a file of an older build is not taken for this one's.
const REVISION: u32 = 1;

/// Events ready to be imported.
#[derive(Debug)]
pub struct Events {
    /// One event per line, ordered by event time.
    pub path: PathBuf,
    /// What is in it.
    pub totals: Totals,
}

/// One event before it is written: sorts by time, then flight, then place in the flight.
type Entry = (Timestamp, u32, Step);

/// Converts the flights of the first `days` of the year (all without a limit) into `dir`, or finds that done already.
pub fn convert(dataset: &Dataset, dir: &Path, days: Option<u16>) -> Result<Events> {
    let what = days.map_or_else(|| "year".to_owned(), |days| format!("days-{days}"));
    let path = dir.join(format!("events-r{REVISION}-{what}.ndjson"));
    let counted = path.with_extension("totals.json");
    if let (true, Ok(text)) = (path.exists(), std::fs::read(&counted)) {
        let totals = serde_json::from_slice(&text).with_context(|| format!("read {}", counted.display()))?;
        return Ok(Events { path, totals });
    }
    let flights = read_flights(dataset, days)?;
    let (entries, totals) = entries(&flights)?;
    if days.is_none() {
        ensure!(totals == totals::YEAR, "the year has other totals than it should: {totals:?}");
    }
    write_whole(&counted, |out| Ok(serde_json::to_writer(out, &totals)?))?;
    write_whole(&path, |out| write_events(&flights, &entries, out))?;
    Ok(Events { path, totals })
}

fn open(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).with_context(|| format!("open {}", path.display()))?))
}

/// The flights in the file's order, those past the limit left out.
pub fn read_flights(dataset: &Dataset, days: Option<u16>) -> Result<Vec<Flight>> {
    let airports = Airports::read(open(&dataset.airports)?)?;
    let end = date(2013, 1, 1) + jiff::Span::new().days(days.unwrap_or(u16::MAX));
    let mut flights = Vec::new();
    for (index, row) in row::read(open(&dataset.flights)?).enumerate() {
        let flight = Flight::from_row(row?, &airports).with_context(|| format!("convert row {}", index + 1))?;
        if flight.day < end {
            flights.push(flight);
        }
    }
    Ok(flights)
}

fn entries(flights: &[Flight]) -> Result<(Vec<Entry>, Totals)> {
    let mut entries: Vec<Entry> = Vec::with_capacity(flights.len() * 3);
    let mut totals = Totals::default();
    for (index, flight) in flights.iter().enumerate() {
        let timeline = event::timeline(flight)?;
        ensure!(timeline.is_sorted_by(|a, b| a.0 < b.0), "{} has events out of order", flight.stream());
        for (time, step) in timeline {
            step.count(&mut totals);
            entries.push((time, u32::try_from(index).context("count the flights")?, step));
        }
    }
    entries.sort_unstable();
    Ok((entries, totals))
}

fn write_events(flights: &[Flight], entries: &[Entry], out: &mut impl Write) -> Result<()> {
    for (time, index, step) in entries {
        let flight = &flights[*index as usize];
        let stream = flight.stream();
        serde_json::to_writer(&mut *out, &event::line(flight, &stream, *time, *step))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes a file so that it is there whole or not at all, even if the process dies or two run at once.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let scratch = path.with_extension(format!("part-{}", std::process::id()));
    let save = || -> Result<()> {
        let file = File::create(&scratch)?;
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        write(&mut out)?;
        out.flush()?;
        drop(out);
        file.sync_all()?;
        Ok(std::fs::rename(&scratch, path)?)
    };
    save().with_context(|| format!("write {}", path.display())).inspect_err(|_| {
        // Best effort: what is left behind is a file that nobody reads.
        let _ = std::fs::remove_file(&scratch);
    })
}

#[cfg(test)]
mod tests;
