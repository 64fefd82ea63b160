//! `spina demo`: the main job on this machine, from nothing to answers.
//!
//! ```text
//!   servers up -> topology applied -> services up --+
//!   data fetched -> converted to events ------------+--> bookings imported -> flights imported --+
//!                                                                                                |
//!   summary <- sagas have ended <- read models caught up <---------------------------------------+
//! ```
//!
//! Every step finds out what is done already, so the demo can be run again, and killed and run again.

pub mod bookings;
mod catch_up;
pub mod flights;
mod notices;
mod rebooking;
mod summary;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::client::Client;
use crate::import::{self, Report};
use crate::output;
use crate::reach::Reach;
use crate::stack::{self, Endpoints, PortChoice, Stack};
use crate::topology;
use catch_up::LagWatch;
use flights::convert::Events;
use flights::{CONTEXT, convert, dataset};
use notices::Notices;

/// How long import and read models may go without progress.
const GIVE_UP: Duration = Duration::from_secs(300);

/// Run the main job: a year of real flights, published, projected, summed up
///
/// Starts what does not run, fetches the data once, imports about a million events, waits for the read models and for what
/// becomes of the passengers of cancelled flights, and leaves everything running. The data know no passengers: those of the
/// first six weeks are made up, the same in every run. Run again, it finds everything done and adds nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the stack
    #[arg(long, default_value = stack::DEFAULT_DIR)]
    dir: PathBuf,
    /// Choose free ports instead of failing on a taken one
    #[arg(long)]
    free_ports: bool,
    /// Only the flights of the first days of the year
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=365))]
    limit_days: Option<u16>,
    /// Folder with a sub-folder for each context
    #[arg(long, env = "SPINA_TOPOLOGY_DIR", default_value = "topology")]
    topology_dir: PathBuf,
    /// Folder with the Avro schemas, a sub-folder for each context
    #[arg(long, env = "SPINA_SCHEMAS_DIR", default_value = "schemas")]
    schemas_dir: PathBuf,
    /// Only write the bookings that the flights' cancellations concern, as lines for `spina import`
    #[arg(long, value_name = "FILE", requires = "notify")]
    write_bookings: Option<PathBuf>,
    /// Address to which their notices go: they are sent to /notices and /refused below it
    #[arg(long, value_name = "URL", requires = "write_bookings")]
    notify: Option<String>,
}

impl Args {
    /// Runs the demo.
    pub async fn run(self) -> Result<()> {
        if let (Some(file), Some(notify)) = (&self.write_bookings, &self.notify) {
            return self.write_bookings(file.clone(), notify.clone()).await;
        }
        let (endpoints, events) = tokio::try_join!(self.stack(), self.events())?;
        let client = Reach::of_stack(&self.dir).client()?;
        let watch = LagWatch::new(CONTEXT);
        // Until the sagas have ended it is there to be told.
        let notices = Notices::serve(&self.dir).await?;
        let booked = rebooking::book(&client, &notices, &self.dir).await.context("import the bookings")?;
        let report = import(&client, &watch, &events).await?;
        watch.catch_up(&client, GIVE_UP).await.context("wait for the read models")?;
        summary::check(&client, &events, self.limit_days.is_none()).await?;
        let sagas = rebooking::ended(&client, events.totals.cancelled, GIVE_UP).await?;
        notices.end().await;
        let came = rebooking::what_came_of_it(&endpoints).await?;
        summary::print(&client, &endpoints, &report, &watch).await?;
        rebooking::print(&booked, &sagas, &came)
    }

    async fn write_bookings(&self, file: PathBuf, notify: String) -> Result<()> {
        let dataset = dataset::fetch(&dataset::cache_dir()?).await.context("fetch the flights")?;
        let days = self.limit_days;
        tokio::task::spawn_blocking(move || bookings::write(&dataset, days, &notify, &file)).await?
    }

    async fn stack(&self) -> Result<Endpoints> {
        let stack = Stack::load(&self.dir)?;
        let ports = if self.free_ports { PortChoice::Free } else { PortChoice::Default };
        let servers = stack::servers_up(&stack, ports).await?;
        let applied = topology::apply(&servers.kafka, &servers.registry, &self.topology_dir, &self.schemas_dir).await?;
        let counts = applied.counts;
        output::note(format!("topology           {} added, {} changed", counts.add, counts.change));
        stack::services_up(&stack, ports).await
    }

    async fn events(&self) -> Result<Events> {
        let cache = dataset::cache_dir()?;
        let dataset = dataset::fetch(&cache).await.context("fetch the flights")?;
        let days = self.limit_days;
        let converted = tokio::task::spawn_blocking(move || convert::convert(&dataset, &cache, days));
        let events = converted.await.context("convert the flights")??;
        output::note(format!("flights            {} events in {}", events.totals.events(), events.path.display()));
        Ok(events)
    }
}

/// Imports the events; meanwhile the lag of the read models is watched.
async fn import(client: &Client, watch: &LagWatch, events: &Events) -> Result<Report> {
    let input = import::open(&events.path)?;
    let context = CONTEXT.parse().context("name the context")?;
    let importing = import::import(client, &context, input, Some(events.totals.events()), GIVE_UP);
    let report = tokio::select! {
        report = importing => report?,
        () = watch.sample(client) => unreachable!("sampling goes on for ever"),
    };
    anyhow::ensure!(report.counts.rejected == 0, "{} events were refused", report.counts.rejected);
    Ok(report)
}
