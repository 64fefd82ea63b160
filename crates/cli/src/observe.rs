//! What runs and how it is: the facts behind `spina status` and `spina doctor`.
//!
//! Every question has a time-out and its own answer or error; one that fails does not hide the others.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use spina_codec::RegistryClient;
use spina_core::ContextName;
use spina_log::admin::{Cluster, PartitionEnds};
use spina_log::{Admin, LogConfig, names};

use crate::client::{Client, Service};
use crate::projection;
use crate::reach::Reach;
use crate::stack::Endpoints;

/// Most topics that are looked at.
const TOPICS_MAX: usize = 200;

/// An answer, or why there is none.
pub type Answer<T> = Result<T, String>;

/// The facts.
#[derive(Debug)]
pub struct Observed {
    /// The four services.
    pub services: Vec<Health>,
    /// The cluster.
    pub kafka: Answer<Cluster>,
    /// Number of subjects in the registry.
    pub registry: Answer<usize>,
    /// Whether PostgreSQL answers; `None` without its address.
    pub postgres: Option<Answer<()>>,
    /// Every topic and its partitions.
    pub topics: Vec<Topic>,
    /// The event-store's contexts, as its API gives them.
    pub contexts: Answer<Vec<Value>>,
    /// The projector's projections, as its API gives them.
    pub projections: Answer<Vec<Value>>,
}

/// How a service is.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    /// Its name.
    pub name: &'static str,
    /// Its base URL, empty if unknown.
    pub url: String,
    /// `ready`, `degraded`, `not_ready` or `unreachable`.
    pub status: String,
    /// Why it is not ready.
    pub reasons: Vec<String>,
}

/// A topic's ends, partition by partition.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions in order.
    pub ends: Vec<PartitionEnds>,
    /// Seconds since the oldest open transaction of a partition last wrote, by partition.
    pub open: Vec<(i32, u64)>,
}

impl Topic {
    /// Offsets between the first and the last one kept. Transaction markers take offsets too.
    pub fn offsets(&self) -> i64 {
        self.ends.iter().map(|ends| ends.high - ends.earliest).sum()
    }
}

/// Asks everybody.
pub async fn observe(reach: &Reach) -> anyhow::Result<Observed> {
    let client = reach.client_of_known()?;
    let (services, kafka, registry, postgres, contexts, projections) = tokio::join!(
        futures::future::join_all(Service::ALL.map(|service| health(&client, service))),
        within(reach.timeout(), kafka(reach)),
        within(reach.timeout(), registry(reach)),
        postgres(reach),
        contexts(&client),
        projection::list(&client),
    );
    let (kafka, topics) = kafka.map_or_else(|error| (Err(error), Vec::new()), |(kafka, topics)| (Ok(kafka), topics));
    let projections = projections.map_err(|failure| failure.to_string());
    Ok(Observed { services, kafka, registry, postgres, topics, contexts, projections })
}

async fn within<T>(timeout: Duration, asking: impl Future<Output = anyhow::Result<T>>) -> Answer<T> {
    match tokio::time::timeout(timeout, asking).await {
        Ok(answer) => answer.map_err(|error| format!("{error:#}")),
        Err(_) => Err(format!("no answer within {} s", timeout.as_secs_f64())),
    }
}

async fn health(client: &Client, service: Service) -> Health {
    let (name, url) = (service.name(), client.base(service).to_owned());
    let report = match client.report(service, "/health/ready").await {
        Ok(report) => report,
        Err(failure) => {
            return Health { name, url, status: "unreachable".to_owned(), reasons: vec![failure.message] };
        }
    };
    let conditions = report["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let reasons = conditions.iter().filter(|condition| condition["status"] != "ready").map(|condition| {
        let text = |field: &str| condition[field].as_str().unwrap_or("?").to_owned();
        format!("{}: {}", text("component"), text("reason"))
    });
    Health { name, url, status: report["status"].as_str().unwrap_or("?").to_owned(), reasons: reasons.collect() }
}

async fn kafka(reach: &Reach) -> anyhow::Result<(Cluster, Vec<Topic>)> {
    let admin = Admin::connect(&LogConfig::new(reach.kafka()?, "spina-status")).await?;
    let cluster = admin.cluster().await?;
    let mut topics = Vec::new();
    for name in admin.topics().await?.into_iter().take(TOPICS_MAX) {
        let ends = admin.ends(&name).await?;
        let mut open = Vec::new();
        for ends in ends.iter().filter(|ends| ends.stable < ends.high) {
            let transactions = admin.open_transactions(&name, ends.partition).await?;
            open.extend(transactions.first().map(|first| (ends.partition, seconds_since(first.last_write_ms))));
        }
        topics.push(Topic { name, ends, open });
    }
    Ok((cluster, topics))
}

fn seconds_since(time_ms: i64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(time_ms.max(0).unsigned_abs())).as_secs()
}

async fn registry(reach: &Reach) -> anyhow::Result<usize> {
    Ok(RegistryClient::new(&reach.registry()?)?.subjects().await?.len())
}

async fn postgres(reach: &Reach) -> Option<Answer<()>> {
    let url = Endpoints::discover(Some(&reach.dir)).ok()?.postgres;
    Some(
        within(reach.timeout(), async {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
            tokio::select! {
                lost = connection => anyhow::bail!("the connection was lost: {lost:?}"),
                answer = client.simple_query("select 1") => answer.map(|_| ()).map_err(Into::into),
            }
        })
        .await,
    )
}

async fn contexts(client: &Client) -> Answer<Vec<Value>> {
    let answer = client.get(Service::EventStore, "/v1/contexts", &[]).await.map_err(|failure| failure.to_string())?;
    Ok(answer["contexts"].as_array().cloned().unwrap_or_default())
}

/// The name of a context as the API gives it.
pub fn context_name(context: &Value) -> Option<ContextName> {
    context["name"].as_str()?.parse().ok()
}

/// The topics that a context cannot do without.
pub fn needed_topics(context: &ContextName) -> [String; 3] {
    [names::commands_topic(context), names::events_topic(context), names::replies_topic(context)]
}
