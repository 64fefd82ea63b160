//! Kafka Connect's REST API, as far as it is needed here.
//!
//! Paths and documents are those of Kafka 4.3 (`ConnectorsResource`, `ConnectorPluginsResource`).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{root_cause, segment};
use crate::failure::{Exit, Failure};

/// Characters of a stack trace that are worth a line.
const CAUSE_CHARS_MAX: usize = 300;

/// A connector as the worker tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connector {
    /// Its settings.
    pub config: BTreeMap<String, String>,
    /// `source` or `sink`.
    pub kind: String,
    /// Its own state, in capitals as Connect writes it: `RUNNING`, `PAUSED`, `STOPPED`, `FAILED`, `UNASSIGNED`.
    pub state: String,
    /// Why it failed, if it did.
    pub cause: Option<String>,
    /// Its tasks.
    pub tasks: Vec<Task>,
}

/// A task of a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: u64,
    /// As above.
    pub state: String,
    /// Why it failed, if it did.
    pub cause: Option<String>,
    /// Which worker runs it: `host:port`.
    pub worker: String,
}

impl Connector {
    /// Everything in it that failed, with its cause: the connector itself or its tasks.
    pub fn failures(&self) -> Vec<String> {
        let cause = |cause: &Option<String>| cause.clone().unwrap_or_else(|| "no cause given".to_owned());
        let own = (self.state == "FAILED").then(|| cause(&self.cause));
        let tasks = self.tasks.iter().filter(|task| task.state == "FAILED");
        own.into_iter().chain(tasks.map(|task| format!("task {}: {}", task.id, cause(&task.cause)))).collect()
    }
}

/// What a connector is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Go on.
    Resume,
    /// Keep the tasks, and let them wait.
    Pause,
    /// End the tasks.
    Stop,
    /// Start the connector and its tasks anew where they failed.
    RestartFailed,
    /// Start the connector and all its tasks anew.
    Restart,
}

/// A setting that the connector's own code does not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The setting.
    pub setting: String,
    /// What it says.
    pub message: String,
}

/// Talks to a worker.
#[derive(Debug, Clone)]
pub struct Connect {
    http: reqwest::Client,
    base: String,
}

impl Connect {
    /// The worker at `base`, such as `http://127.0.0.1:18083`; `timeout` is for one call.
    pub fn new(base: &str, timeout: Duration) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(timeout).no_proxy().build().context("set up the HTTP client")?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned() })
    }

    /// All connectors, by name.
    pub async fn connectors(&self) -> Result<BTreeMap<String, Connector>, Failure> {
        let answer = self.call(Method::GET, "/connectors?expand=info&expand=status", None).await?;
        let listed: BTreeMap<String, Expanded> = self.read(answer)?;
        Ok(listed.into_iter().map(|(name, expanded)| (name, expanded.into())).collect())
    }

    /// What the connector's code says of its settings.
    pub async fn objections(&self, config: &BTreeMap<String, String>) -> Result<Vec<Objection>, Failure> {
        let class = config.get("connector.class").map_or("", String::as_str);
        let path = format!("/connector-plugins/{}/config/validate", segment(class));
        let answer = self.call(Method::PUT, &path, Some(serde_json::json!(config))).await?;
        let validated: Validated = self.read(answer)?;
        let settings = validated.configs.into_iter().map(|setting| setting.value);
        Ok(settings
            .flat_map(|Setting { name, errors }| {
                errors.into_iter().map(move |message| Objection { setting: name.clone(), message })
            })
            .collect())
    }

    /// Creates a connector in a state: `running`, `paused` or `stopped`.
    pub async fn create(&self, name: &str, config: &BTreeMap<String, String>, state: &str) -> Result<(), Failure> {
        let body = serde_json::json!({ "name": name, "config": config, "initial_state": state.to_uppercase() });
        self.call(Method::POST, "/connectors", Some(body)).await.map(|_| ())
    }

    /// Gives a connector other settings, or creates it.
    pub async fn configure(&self, name: &str, config: &BTreeMap<String, String>) -> Result<(), Failure> {
        let path = format!("/connectors/{}/config", segment(name));
        self.call(Method::PUT, &path, Some(serde_json::json!(config))).await.map(|_| ())
    }

    /// Has a connector do something. It is done a little later.
    pub async fn order(&self, name: &str, order: Order) -> Result<(), Failure> {
        let (method, verb) = match order {
            Order::Resume => (Method::PUT, "resume"),
            Order::Pause => (Method::PUT, "pause"),
            Order::Stop => (Method::PUT, "stop"),
            Order::RestartFailed => (Method::POST, "restart?includeTasks=true&onlyFailed=true"),
            Order::Restart => (Method::POST, "restart?includeTasks=true"),
        };
        self.call(method, &format!("/connectors/{}/{verb}", segment(name)), None).await.map(|_| ())
    }

    /// Removes a connector. Its offsets stay, for one of the same name.
    pub async fn delete(&self, name: &str) -> Result<(), Failure> {
        self.call(Method::DELETE, &format!("/connectors/{}", segment(name)), None).await.map(|_| ())
    }

    /// How far it has come: for a sink offsets of its topics, for a source whatever its code keeps.
    pub async fn offsets(&self, name: &str) -> Result<Vec<Value>, Failure> {
        let mut answer = self.call(Method::GET, &format!("/connectors/{}/offsets", segment(name)), None).await?;
        match answer["offsets"].take() {
            Value::Array(offsets) => Ok(offsets),
            _ => Ok(Vec::new()),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        if !status.is_success() {
            return Err(refusal(status, &text));
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| self.garbled(&error))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, document: Value) -> Result<T, Failure> {
        serde_json::from_value(document).map_err(|error| self.garbled(&error))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let message = format!("Kafka Connect at {}: {}", self.base, root_cause(error));
        Failure::new(Exit::Unavailable, "state.unavailable", message).help("`spina up --connect` starts a worker")
    }

    fn garbled(&self, error: &serde_json::Error) -> Failure {
        let message = format!("Kafka Connect at {} gave an answer that is not understood: {error}", self.base);
        Failure::new(Exit::Failed, "internal.error", message).help("is something else listening there?")
    }
}

fn refusal(status: StatusCode, body: &str) -> Failure {
    let said = serde_json::from_str::<Value>(body).ok();
    let message = said.as_ref().and_then(|said| said["message"].as_str()).unwrap_or(body);
    let message = format!("Kafka Connect refused: {}", brief(message));
    match status {
        StatusCode::NOT_FOUND => Failure::not_found(message),
        // The workers are sharing out the connectors anew.
        StatusCode::CONFLICT => Failure::new(Exit::Unavailable, "state.unavailable", message).help("try again"),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            Failure::new(Exit::Refused, "validation.connector", message)
        }
        _ => Failure::new(Exit::Failed, "internal.error", message).help("the worker's log has more"),
    }
}

/// A stack trace as one line: what was thrown, and the innermost cause.
fn brief(trace: &str) -> String {
    let first = trace.lines().next().unwrap_or_default().trim();
    let innermost = trace.lines().rev().find_map(|line| line.trim().strip_prefix("Caused by: "));
    let text = match innermost {
        Some(cause) if !first.contains(cause.trim()) => format!("{first}; caused by {}", cause.trim()),
        Some(_) | None => first.to_owned(),
    };
    text.chars().take(CAUSE_CHARS_MAX).collect()
}

#[derive(Deserialize)]
struct Expanded {
    info: Info,
    status: Status,
}

#[derive(Deserialize)]
struct Info {
    config: BTreeMap<String, String>,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct Status {
    connector: Standing,
    tasks: Vec<TaskStatus>,
}

#[derive(Deserialize)]
struct Standing {
    state: String,
    trace: Option<String>,
}

#[derive(Deserialize)]
struct TaskStatus {
    id: u64,
    state: String,
    trace: Option<String>,
    #[serde(default)]
    worker_id: String,
}

#[derive(Deserialize)]
struct Validated {
    configs: Vec<SettingOf>,
}

#[derive(Deserialize)]
struct SettingOf {
    value: Setting,
}

#[derive(Deserialize)]
struct Setting {
    name: String,
    #[serde(default)]
    errors: Vec<String>,
}

impl From<Expanded> for Connector {
    fn from(Expanded { info, status }: Expanded) -> Self {
        let task = |task: TaskStatus| Task {
            id: task.id,
            state: task.state,
            cause: task.trace.as_deref().map(brief),
            worker: task.worker_id,
        };
        Self {
            config: info.config,
            kind: info.kind,
            state: status.connector.state,
            cause: status.connector.trace.as_deref().map(brief),
            tasks: status.tasks.into_iter().map(task).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_task_tells_its_innermost_cause() {
        let document = serde_json::json!({
            "info": { "name": "flights.sink", "config": { "connector.class": "X" }, "tasks": [], "type": "sink" },
            "status": {
                "connector": { "state": "RUNNING", "worker_id": "127.0.0.1:1" },
                "tasks": [
                    { "id": 0, "state": "RUNNING", "worker_id": "127.0.0.1:1" },
                    { "id": 1, "state": "FAILED", "worker_id": "127.0.0.1:1", "trace":
                      "o.a.k.ConnectException: Exiting\n\tat a.b(C.java:1)\nCaused by: java.sql.SQLException: no table\n\tat d.e(F.java:2)\n" },
                ],
            },
        });
        let connector = Connector::from(serde_json::from_value::<Expanded>(document).unwrap());
        assert_eq!(connector.kind, "sink");
        let expected = "task 1: o.a.k.ConnectException: Exiting; caused by java.sql.SQLException: no table";
        assert_eq!(connector.failures(), [expected]);
    }

    #[test]
    fn refusals_keep_what_connect_says() {
        let failure = refusal(StatusCode::NOT_FOUND, r#"{"error_code":404,"message":"Connector x not found"}"#);
        assert_eq!(
            (failure.exit, failure.message.as_str()),
            (Exit::NotFound, "Kafka Connect refused: Connector x not found")
        );
        assert_eq!(refusal(StatusCode::CONFLICT, "{}").exit, Exit::Unavailable);
    }
}
