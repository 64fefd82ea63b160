//! Where the servers and services are: flags, then environment, then what `spina up` wrote down.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;
use spina_core::{ContextName, StreamId};

use crate::client::{Client, Service};
use crate::failure::{Exit, Failure};
use crate::stack::{DEFAULT_DIR, Endpoints, Part};

/// Options of every verb that talks to a running Spina.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where Spina runs")]
pub struct Reach {
    /// Folder of the stack that `spina up` started
    #[arg(long, global = true, default_value = DEFAULT_DIR)]
    pub dir: PathBuf,
    /// The event-store [default: the stack's]
    #[arg(long, global = true, env = "SPINA_EVENT_STORE_URL", value_name = "URL")]
    event_store_url: Option<String>,
    /// The projector [default: the stack's]
    #[arg(long, global = true, env = "SPINA_PROJECTOR_URL", value_name = "URL")]
    projector_url: Option<String>,
    /// The saga-orchestrator [default: the stack's]
    #[arg(long, global = true, env = "SPINA_SAGA_ORCHESTRATOR_URL", value_name = "URL")]
    saga_orchestrator_url: Option<String>,
    /// The alert-correlator [default: the stack's]
    #[arg(long, global = true, env = "SPINA_ALERT_CORRELATOR_URL", value_name = "URL")]
    alert_correlator_url: Option<String>,
    /// Kafka's bootstrap servers [default: the stack's]
    #[arg(long, global = true, env = "SPINA_KAFKA", value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// The schema registry [default: the stack's]
    #[arg(long, global = true, env = "SPINA_REGISTRY_URL", value_name = "URL")]
    registry_url: Option<String>,
    /// The Kafka Connect worker [default: the stack's]
    #[arg(long, global = true, env = "SPINA_CONNECT_URL", value_name = "URL")]
    connect_url: Option<String>,
    /// Longest time for one call
    #[arg(long, global = true, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    timeout: Duration,
}

/// Seconds, with a fraction if need be; more than none and at most a day.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    if !(seconds > 0.0 && seconds <= 86_400.0) {
        return Err("more than 0 and at most 86400 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

impl Reach {
    /// The options as they are without flags and environment, for a stack in `dir`.
    pub fn of_stack(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            event_store_url: None,
            projector_url: None,
            saga_orchestrator_url: None,
            alert_correlator_url: None,
            kafka: None,
            registry_url: None,
            connect_url: None,
            timeout: Duration::from_secs(10),
        }
    }

    /// Longest time for one call.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Kafka's bootstrap servers.
    pub fn kafka(&self) -> Result<String> {
        self.choose(&self.kafka, |stack| Ok(stack.kafka.clone()))
    }

    /// The registry's base URL.
    pub fn registry(&self) -> Result<String> {
        self.choose(&self.registry_url, |stack| Ok(stack.registry.clone()))
    }

    /// The Connect worker's base URL.
    pub fn connect(&self) -> Result<String> {
        self.choose(&self.connect_url, |stack| {
            stack.connect.clone().context("the stack has no Kafka Connect worker; `spina up --connect` starts one")
        })
    }

    /// The database's URL, unless one is given.
    pub fn postgres(&self, given: &Option<String>) -> Result<String> {
        self.choose(given, |stack| Ok(stack.postgres.clone()))
    }

    /// A client of the services. Fails if it knows the address of none.
    pub fn client(&self) -> Result<Client> {
        let (bases, unknown) = self.bases();
        match unknown {
            Some(error) if bases.is_empty() => Err(error),
            Some(_) | None => Client::new(bases, self.timeout),
        }
    }

    /// A client of the services whose addresses are known, even if that is none: to find out what is wrong.
    pub fn client_of_known(&self) -> Result<Client> {
        Client::new(self.bases().0, self.timeout)
    }

    fn bases(&self) -> (Vec<(Service, String)>, Option<anyhow::Error>) {
        let mut bases = Vec::new();
        let mut unknown = None;
        for service in Service::ALL {
            let (given, part) = match service {
                Service::EventStore => (&self.event_store_url, Part::EventStore),
                Service::Projector => (&self.projector_url, Part::Projector),
                Service::SagaOrchestrator => (&self.saga_orchestrator_url, Part::SagaOrchestrator),
                Service::AlertCorrelator => (&self.alert_correlator_url, Part::AlertCorrelator),
            };
            match self.choose(given, |stack| Ok(stack.service(part)?.to_owned())) {
                Ok(url) => bases.push((service, url)),
                Err(error) => unknown = Some(error),
            }
        }
        (bases, unknown)
    }

    fn choose(&self, given: &Option<String>, stack: impl FnOnce(&Endpoints) -> Result<String>) -> Result<String> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        let found = Endpoints::discover(Some(&self.dir)).and_then(|endpoints| stack(&endpoints));
        found.map_err(|error| {
            let help =
                "start Spina with `spina up`, name its folder with --dir, or set SPINA_EVENT_STORE_URL and the like";
            Failure::new(Exit::Unavailable, "state.unavailable", format!("{error:#}")).help(help).into()
        })
    }
}

/// Which context a verb is about.
#[derive(Debug, Clone, Args)]
pub struct InContext {
    /// Context [default: the only one, or the only one with such streams or such a read model]
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<ContextName>,
}

impl InContext {
    /// No context by name: the only one there is.
    pub fn any() -> Self {
        Self { context: None }
    }

    /// A context by name.
    pub fn named(context: ContextName) -> Self {
        Self { context: Some(context) }
    }

    /// The context named, if one is.
    pub fn given(&self) -> Option<&ContextName> {
        self.context.as_ref()
    }

    /// The context named, or else the only one there is.
    pub async fn resolve(&self, client: &Client) -> Result<ContextName> {
        self.choose(client, |_| true).await
    }

    /// The context named, or else the only one with such a read model.
    pub async fn of_model(&self, client: &Client, model: &str) -> Result<ContextName> {
        if self.context.is_none() {
            let projections = crate::projection::list(client).await?;
            let having = projections.iter().filter(|projection| projection["model"] == model);
            let contexts: BTreeSet<&str> = having.filter_map(|projection| projection["context"].as_str()).collect();
            if let (Some(only), 1) = (contexts.first(), contexts.len()) {
                return Ok(only.parse()?);
            }
        }
        self.resolve(client).await
    }

    /// The context named, or else the only one with streams of that category.
    pub async fn of_stream(&self, client: &Client, stream: &StreamId) -> Result<ContextName> {
        let category = stream.category();
        self.choose(client, |events| {
            // An event type is context.aggregate.Event, and the aggregate is the streams' category.
            events.iter().filter_map(Value::as_str).any(|name| name.split('.').nth(1) == Some(category))
        })
        .await
    }

    async fn choose(&self, client: &Client, fits: impl Fn(&[Value]) -> bool) -> Result<ContextName> {
        if let Some(named) = &self.context {
            return Ok(named.clone());
        }
        let answer = client.get(Service::EventStore, "/v1/contexts", &[]).await?;
        Ok(only(answer["contexts"].as_array().map(Vec::as_slice).unwrap_or_default(), fits)?.parse()?)
    }
}

/// The one context that there is, or that fits.
fn only(contexts: &[Value], fits: impl Fn(&[Value]) -> bool) -> Result<&str, Failure> {
    let fitting = |context: &&Value| fits(context["events"].as_array().map(Vec::as_slice).unwrap_or_default());
    let all: Vec<&str> = contexts.iter().filter_map(|context| context["name"].as_str()).collect();
    let chosen: Vec<&str> = contexts.iter().filter(fitting).filter_map(|context| context["name"].as_str()).collect();
    match (all.as_slice(), chosen.as_slice()) {
        ([only], _) | (_, [only]) => Ok(only),
        ([], _) => {
            Err(Failure::not_found("the event-store serves no context").help("spina topology apply creates them"))
        }
        (several, _) => {
            let message = format!("which context? There are {}", several.join(", "));
            Err(Failure::new(Exit::Failed, "validation.context", message).help("name one with --context"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_stack_the_error_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = Reach::of_stack(dir.path()).kafka().unwrap_err();
        let failure = error.downcast_ref::<Failure>().unwrap();
        assert_eq!(failure.exit, Exit::Unavailable);
        assert!(failure.help.as_ref().unwrap().contains("spina up"));
    }

    #[test]
    fn the_context_follows_from_the_stream() {
        let context = |name: &str, event: &str| serde_json::json!({ "name": name, "events": [event] });
        let flights = context("flights", "flights.flight.FlightLanded");
        let booking = context("booking", "booking.order.OrderPlaced");
        let has = |wanted: &'static str| move |events: &[Value]| events.iter().any(|event| event == wanted);
        assert_eq!(only(std::slice::from_ref(&flights), has("x")).unwrap(), "flights");
        let both = [flights, booking];
        assert_eq!(only(&both, has("booking.order.OrderPlaced")).unwrap(), "booking");
        assert_eq!(only(&both, |_| true).unwrap_err().message, "which context? There are flights, booking");
        assert_eq!(only(&[], |_| true).unwrap_err().exit, Exit::NotFound);
    }

    #[test]
    fn a_flag_wins_over_the_stack() {
        let reach = Reach { kafka: Some("k:1".into()), ..Reach::of_stack(Path::new("/nowhere")) };
        assert_eq!(reach.kafka().unwrap(), "k:1");
    }

    #[test]
    fn time_outs_have_limits() {
        assert_eq!(seconds("0.5").unwrap(), Duration::from_millis(500));
        for bad in ["0", "-1", "inf", "NaN", "90000", "soon"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
