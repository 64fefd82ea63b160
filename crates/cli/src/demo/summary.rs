//! The end of the demo: does it add up, and what was done.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use spina_core::ContextName;
use tokio::time::Instant;
use tokio_postgres::NoTls;

use super::catch_up::LagWatch;
use super::flights::CONTEXT;
use super::flights::convert::Events;
use super::flights::totals::Totals;
use crate::client::{Client, Service};
use crate::failure::{Exit, Failure};
use crate::import::Report;
use crate::model::Pages;
use crate::output;
use crate::projection;
use crate::stack::{Endpoints, Part};
use crate::table::{Table, cell};

/// One row per carrier, with what became of its flights.
const PUNCTUALITY: &str = "carrier_punctuality";
/// How long the last batch may take to become visible.
const SETTLE: Duration = Duration::from_secs(30);

/// The read model has every event: its columns add up to the totals. Exactly, if the whole year was imported.
pub async fn check(client: &Client, events: &Events, whole_year: bool) -> Result<()> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let found = sums(&punctuality(client).await?);
        if fits(found, events.totals, whole_year) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let message = format!("{PUNCTUALITY} adds up to {found:?}, not to {:?}", events.totals);
            let failure = Failure::new(Exit::Failed, "internal.error", message);
            let help = format!("spina projection rebuild {CONTEXT}/{PUNCTUALITY}, and report it");
            return Err(failure.help(help).into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A limited import may find more in the log, from an earlier one.
fn fits(found: Totals, expected: Totals, whole_year: bool) -> bool {
    if whole_year {
        return found == expected;
    }
    let pairs = [
        (found.scheduled, expected.scheduled),
        (found.departed, expected.departed),
        (found.cancelled, expected.cancelled),
        (found.landed, expected.landed),
        (found.diverted, expected.diverted),
    ];
    pairs.iter().all(|(found, expected)| found >= expected)
}

fn sums(rows: &[Value]) -> Totals {
    let sum = |column: &str| rows.iter().filter_map(|row| row[column].as_u64()).sum();
    Totals {
        scheduled: sum("scheduled"),
        departed: sum("departed"),
        cancelled: sum("cancelled"),
        landed: sum("landed"),
        diverted: sum("diverted"),
    }
}

async fn punctuality(client: &Client) -> Result<Vec<Value>> {
    let context: ContextName = CONTEXT.parse().context("name the context")?;
    let query = vec![("order", "carrier".to_owned()), ("limit", "1000".to_owned())];
    let path = Pages::path(&context, PUNCTUALITY);
    Pages { client, path, query, cursor: None }.next().await
}

/// Prints what was done and where to look next.
pub async fn print(client: &Client, endpoints: &Endpoints, report: &Report, watch: &LagWatch) -> Result<()> {
    output::line(format!("\nCarriers by name\n{}", carriers(&punctuality(client).await?)))?;
    output::line(format!("\n{}", rows(client, endpoints).await?))?;
    let counts = report.counts;
    if counts.appended == 0 {
        output::line(format!("\nAll {} events were there already; nothing was added.", counts.duplicates))?;
    } else {
        let there = counts.duplicates;
        output::line(format!("\n{} events appended, {there} were there already", counts.appended))?;
        output::line(format!("{:.0} events/s over {:.1} s", report.rate(), report.took.as_secs_f64()))?;
    }
    output::line(format!("read models at worst {} records behind\n", watch.worst()))?;
    where_next(client, endpoints)
}

fn carriers(rows: &[Value]) -> Table {
    let columns = ["carrier", "scheduled", "departed", "cancelled", "diverted", "landed", "mean_arrival_delay_min"];
    let columns = columns.into_iter().chain(["max_arrival_delay_min"]);
    let mut table = Table::new(columns.clone());
    for row in rows {
        table.row(columns.clone().map(|column| cell(&row[column])));
    }
    table
}

/// How many rows each read model has, by SQL: they are ordinary tables.
async fn rows(client: &Client, endpoints: &Endpoints) -> Result<Table> {
    let mut table = Table::new(["read model", "rows"]);
    let (sql, connection) =
        tokio_postgres::connect(&endpoints.postgres, NoTls).await.context("connect to PostgreSQL")?;
    let counting = async {
        for projection in projection::list(client).await?.iter().filter(|projection| projection["context"] == CONTEXT) {
            let model = cell(&projection["model"]);
            let count = format!("SELECT count(*) FROM {}.{}", quoted(CONTEXT), quoted(&model));
            let rows: i64 = sql.query_one(&count, &[]).await.with_context(|| format!("count {model}"))?.get(0);
            table.row([model, rows.to_string()]);
        }
        Ok(table)
    };
    tokio::select! {
        lost = connection => anyhow::bail!("lost PostgreSQL: {lost:?}"),
        counted = counting => counted,
    }
}

/// A name as SQL takes it whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn where_next(client: &Client, endpoints: &Endpoints) -> Result<()> {
    for (what, command) in [
        ("a flight's events", "spina read flight-UA1545-20130101-EWR"),
        ("its state before it left", "spina state flight-UA1545-20130101-EWR --version 1"),
        ("the latest to arrive", "spina model list flight_status --order arrival_delay_min:desc --limit 5"),
        (
            "cancellations of a day",
            "spina replay --type FlightCancelled --from 2013-02-08T00:00:00Z --to 2013-02-09T00:00:00Z",
        ),
        ("a read model from scratch", "spina projection rebuild flights/carrier_punctuality"),
        ("how everything is", "spina status; spina doctor"),
        ("stop it all", "spina down"),
    ] {
        output::line(format!("{what:<27}{command}"))?;
    }
    for (what, service) in [("event-store API", Service::EventStore), ("read-model API", Service::Projector)] {
        output::line(format!("{what:<27}{}/openapi.json", client.base(service)))?;
    }
    output::line(format!("{:<27}{}", "Kafka", endpoints.kafka))?;
    output::line(format!("{:<27}{}", "PostgreSQL", endpoints.postgres))?;
    output::line(format!("{:<27}{}/metrics", "metrics", endpoints.service(Part::EventStore)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::flights::totals::YEAR;
    use super::*;

    #[test]
    fn the_carriers_add_up_to_the_year() {
        let rows = [
            json!({"carrier": "9E", "scheduled": 336_775, "departed": 328_521, "cancelled": 8_254, "landed": 327_346, "diverted": 1_175}),
            json!({"carrier": "AA", "scheduled": 1, "departed": 0, "cancelled": 1, "landed": 0, "diverted": 0}),
        ];
        assert!(fits(sums(&rows), YEAR, true));
        assert!(!fits(sums(&rows[..1]), YEAR, true));
        assert!(fits(YEAR, Totals { scheduled: 10, ..Totals::default() }, false));
        assert!(!fits(Totals::default(), Totals { scheduled: 10, ..Totals::default() }, false));
    }
}
