//! What becomes of the passengers of cancelled flights: bookings before the flights, then the sagas `rebook`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::time::Instant;
use tokio_postgres::NoTls;

use super::bookings;
use super::flights::dataset;
use super::notices::Notices;
use crate::client::{Client, Service};
use crate::failure::{Exit, Failure};
use crate::import;
use crate::output;
use crate::stack::Endpoints;

/// The context of the bookings.
const CONTEXT: &str = "booking";
/// The saga that each cancellation begins.
const SAGA: &str = "rebook";
/// Flights of so many days have passengers; 8 February, when 472 flights were cancelled, is the 39th. Those of the whole year
/// would take the demo minutes longer.
const BOOKED_DAYS: u16 = 42;
/// How long bookings may go without progress.
const GIVE_UP: Duration = Duration::from_secs(300);
/// How often the sagas are counted.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Sagas in a page.
const PAGE: usize = 1_000;
/// How long what came of the last saga may take to be archived.
const SETTLE: Duration = Duration::from_secs(30);

/// What was booked.
#[derive(Debug)]
pub struct Booked {
    /// The key of a saga that is about passengers.
    example: Option<String>,
}

/// Imports the bookings, which are there before any flight is cancelled. What is there already stays.
pub async fn book(client: &Client, notices: &Notices, stack_dir: &Path) -> Result<Booked> {
    let dataset = dataset::fetch(&dataset::cache_dir()?).await?;
    let (notify, file) = (notices.base.clone(), stack_dir.join("bookings.ndjson"));
    let written = file.clone();
    let writing = move || bookings::write(&dataset, Some(BOOKED_DAYS), &notify, &written);
    tokio::task::spawn_blocking(writing).await.context("write the bookings")??;
    let context = CONTEXT.parse().context("name the context")?;
    let report = import::import(client, &context, import::open(&file)?, None, GIVE_UP).await?;
    anyhow::ensure!(report.counts.rejected == 0, "{} bookings were refused", report.counts.rejected);
    let example = tokio::task::spawn_blocking(move || example(&file)).await.context("read the bookings")??;
    Ok(Booked { example })
}

/// The first booking of the file: its flight is cancelled on one of the first days.
fn example(file: &Path) -> Result<Option<String>> {
    for line in BufReader::new(File::open(file)?).lines() {
        let line: Value = serde_json::from_str(&line?)?;
        if let Some(key) = line["stream"].as_str().and_then(|stream| stream.strip_prefix("reservation-")) {
            return Ok(Some(key.to_owned()));
        }
    }
    Ok(None)
}

/// Waits until as many sagas have ended as flights were cancelled, or people have to look; how many are in each state.
pub async fn ended(client: &Client, cancelled: u64, give_up: Duration) -> Result<BTreeMap<String, u64>> {
    let bar = output::progress(Some(cancelled), "sagas");
    let mut progress = (0, Instant::now());
    loop {
        let why = match states(client).await {
            Ok(states) => {
                let ended = states.iter().filter(|(state, _)| !["running", "undoing"].contains(&state.as_str()));
                let ended: u64 = ended.map(|(_, count)| count).sum();
                bar.set_position(ended);
                if ended >= cancelled {
                    bar.finish_and_clear();
                    return Ok(states);
                }
                if ended > progress.0 {
                    progress = (ended, Instant::now());
                }
                format!("{ended} of {cancelled} have ended")
            }
            Err(failure) => failure.to_string(),
        };
        if progress.1.elapsed() >= give_up {
            bar.abandon();
            let message = format!("the sagas made no progress for {} s: {why}", give_up.as_secs());
            return Err(Failure::new(Exit::Unavailable, "state.unavailable", message).help("see spina doctor").into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn states(client: &Client) -> Result<BTreeMap<String, u64>, Failure> {
    let (mut states, mut after) = (BTreeMap::new(), String::new());
    loop {
        let query = [("definition", SAGA.to_owned()), ("limit", PAGE.to_string()), ("after", after)];
        let page = client.get(Service::SagaOrchestrator, "/v1/sagas", &query).await?;
        let sagas = page["sagas"].as_array().map(Vec::as_slice).unwrap_or_default();
        for saga in sagas {
            *states.entry(saga["state"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        match sagas.last().filter(|_| sagas.len() == PAGE) {
            Some(last) => after = last["id"].as_str().unwrap_or_default().to_owned(),
            None => return Ok(states),
        }
    }
}

/// How many groups of passengers came to what.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Came {
    stranded: i64,
    rebooked: i64,
    vouchers: i64,
    told: i64,
}

impl Came {
    fn of(counts: &BTreeMap<String, i64>) -> Self {
        let count = |name: &str| counts.get(name).copied().unwrap_or(0);
        Self {
            stranded: count("PassengersStranded"),
            rebooked: count("PassengersRebooked") - count("RebookingUndone"),
            vouchers: count("VoucherIssued"),
            told: count("NoticeTaken"),
        }
    }

    /// Everybody is on another flight or has a voucher, nobody both.
    fn adds_up(&self) -> bool {
        self.stranded == self.rebooked + self.vouchers
    }
}

/// Counts the events of the bookings, by SQL: the archive is an ordinary table. They must add up.
pub async fn what_came_of_it(endpoints: &Endpoints) -> Result<Came> {
    let (sql, connection) =
        tokio_postgres::connect(&endpoints.postgres, NoTls).await.context("connect to PostgreSQL")?;
    let counting = async {
        let deadline = Instant::now() + SETTLE;
        loop {
            let types = "SELECT event_type, count(*) FROM spina.events WHERE context = $1 GROUP BY event_type";
            let rows = sql.query(types, &[&CONTEXT]).await.context("count the events of the bookings")?;
            let name = |event_type: &str| event_type.rsplit('.').next().unwrap_or_default().to_owned();
            let came = Came::of(&rows.iter().map(|row| (name(row.get(0)), row.get(1))).collect());
            if came.adds_up() {
                return Ok(came);
            }
            if Instant::now() >= deadline {
                let message = format!("the passengers do not add up: {came:?}");
                return Err(Failure::new(Exit::Failed, "internal.error", message).help("please report it").into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        lost = connection => anyhow::bail!("lost PostgreSQL: {lost:?}"),
        counted = counting => counted,
    }
}

/// Prints it, and where to look.
pub fn print(booked: &Booked, sagas: &BTreeMap<String, u64>, came: &Came) -> Result<()> {
    let Came { stranded, rebooked, vouchers, told } = came;
    let states = sagas.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ");
    output::line(format!(
        "\nA saga for each cancelled flight: {states}. Those of the first {BOOKED_DAYS} days had passengers: {stranded} groups \
         were stranded,\n{rebooked} are on another flight, {vouchers} have a voucher; {told} were told."
    ))?;
    if let Some(key) = &booked.example {
        output::line(format!("{:<27}spina saga show saga-{SAGA}-{key}", "what became of one"))?;
    }
    output::line(format!("{:<27}spina saga list --definition {SAGA} --limit 5", "the sagas"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passengers_are_on_another_flight_or_have_a_voucher() {
        let counts = |counts: &[(&str, i64)]| counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let came = Came::of(&counts(&[
            ("PassengersBooked", 20),
            ("PassengersStranded", 9),
            ("PassengersRebooked", 7),
            ("RebookingUndone", 1),
            ("VoucherIssued", 3),
            ("NoticeTaken", 8),
        ]));
        assert_eq!(came, Came { stranded: 9, rebooked: 6, vouchers: 3, told: 8 });
        assert!(came.adds_up() && !Came { stranded: 10, ..came }.adds_up());
    }
}
