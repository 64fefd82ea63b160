//! From facts to findings: what is well, what is not, what to do. Pure.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::observe::{Health, Observed, Topic, context_name, needed_topics};
use spina_log::admin::PartitionEnds;
use spina_log::names;

/// An open transaction that has written since then is just a busy window.
const OPEN_SECONDS_GOOD: u64 = 3;
/// One that has not written for so long has no living writer of ours.
const OPEN_SECONDS_MAX: u64 = 15;
/// More unarchived events of a partition than this are a lag: some seconds of full load.
const UNARCHIVED_MAX: u64 = 200_000;
/// Level of `transaction.version` that Spina needs.
const TRANSACTION_VERSION: i16 = 2;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, but look at it.
    Doubtful,
    /// Does not work.
    Bad,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// The thing.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub next: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn good(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, subject: subject.into(), found: found.into(), next: None }
    }

    /// Look at it.
    pub fn doubtful(subject: impl Into<String>, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { verdict: Verdict::Doubtful, next: Some(next.into()), ..Self::good(subject, found) }
    }

    /// Broken.
    pub fn bad(subject: impl Into<String>, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, next: Some(next.into()), ..Self::good(subject, found) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.verdict {
            Verdict::Good => "ok  ",
            Verdict::Doubtful => "look",
            Verdict::Bad => "BAD ",
        };
        write!(f, "{mark}  {}: {}", self.subject, self.found)?;
        match &self.next {
            Some(next) => write!(f, "\n      next: {next}"),
            None => Ok(()),
        }
    }
}

/// Judges everything that was seen, what others depend on first.
pub fn findings(seen: &Observed) -> Vec<Finding> {
    let mut findings = servers(seen);
    findings.extend(seen.services.iter().map(service));
    if seen.kafka.is_ok() {
        findings.extend(seen.contexts.iter().flatten().flat_map(|context| of_context(seen, context)));
        findings.extend(seen.topics.iter().flat_map(open_transactions));
    }
    findings.extend(seen.projections.iter().flatten().map(projection));
    findings
}

fn servers(seen: &Observed) -> Vec<Finding> {
    let log = |name: &str| format!("read logs/{name}.log in the stack's folder; start it again with spina up");
    let mut findings = vec![match &seen.kafka {
        Err(why) => Finding::bad("kafka", why, log("kafka")),
        Ok(kafka) if kafka.transaction_version < TRANSACTION_VERSION => Finding::bad(
            "kafka",
            format!("transaction.version is {}, Spina needs {TRANSACTION_VERSION}", kafka.transaction_version),
            "upgrade the feature with kafka-features.sh upgrade --feature transaction.version=2",
        ),
        Ok(kafka) => Finding::good("kafka", format!("{} broker, transactions speak version 2", kafka.brokers)),
    }];
    findings.push(match &seen.registry {
        Err(why) => Finding::bad("registry", why, log("registry")),
        Ok(0) => Finding::bad("registry", "it has no schemas", "spina topology apply registers them"),
        Ok(subjects) => Finding::good("registry", format!("{subjects} subjects")),
    });
    findings.extend(seen.postgres.as_ref().map(|answer| match answer {
        Err(why) => Finding::bad("postgres", why, log("postgres")),
        Ok(()) => Finding::good("postgres", "answers"),
    }));
    findings
}

fn service(health: &Health) -> Finding {
    let reasons = health.reasons.join("; ");
    let log = format!("read logs/{}.log in the stack's folder", health.name);
    match health.status.as_str() {
        "ready" => Finding::good(health.name, format!("ready at {}", health.url)),
        "unreachable" => Finding::bad(health.name, reasons, format!("start it with spina up; {log}")),
        "not_ready" => Finding::bad(health.name, format!("not ready: {reasons}"), log),
        status => Finding::doubtful(health.name, format!("{status}: {reasons}"), log),
    }
}

fn of_context(seen: &Observed, context: &Value) -> Vec<Finding> {
    let Some(name) = context_name(context) else { return Vec::new() };
    let missing =
        needed_topics(&name).into_iter().filter(|needed| !seen.topics.iter().any(|topic| topic.name == *needed));
    let mut findings: Vec<Finding> =
        missing.map(|topic| Finding::bad(topic, "there is no such topic", "spina topology apply creates it")).collect();
    let events = names::events_topic(&name);
    let partitions = seen.topics.iter().filter(|topic| topic.name == events).flat_map(|topic| &topic.ends);
    findings.extend(partitions.map(|ends| partition(seen, context, &events, ends)));
    findings
}

fn partition(seen: &Observed, context: &Value, events: &str, ends: &PartitionEnds) -> Finding {
    let of_partition = |list: &str| context[list].as_array()?.iter().find(|entry| entry["partition"] == ends.partition);
    let subject = format!("{events}:{}", ends.partition);
    let place = format!("stable offset {}, end {}", ends.stable, ends.high);
    if let Some(owned) = of_partition("owned") {
        let unarchived = owned["unarchived_events"].as_u64().unwrap_or(0);
        let found = format!("owned, epoch {}; {place}; {unarchived} events not archived yet", owned["epoch"]);
        return if unarchived > UNARCHIVED_MAX {
            Finding::doubtful(subject, found, "the archive lags: is PostgreSQL slow or down?")
        } else {
            Finding::good(subject, found)
        };
    }
    if let Some(owner) = of_partition("owners") {
        let (epoch, at) = (&owner["epoch"], owner["endpoint"].as_str().unwrap_or("?"));
        let found = format!("the event-store asked is not its owner: {at} is, epoch {epoch}; {place}");
        return Finding::good(subject, found);
    }
    let name = format!("{}/{} ", context["name"].as_str().unwrap_or_default(), ends.partition);
    let reasons = seen.services.iter().flat_map(|service| &service.reasons).flat_map(|reasons| reasons.split("; "));
    let found_in = reasons.filter_map(|reason| Some(reason.split_once(&name)?.1)).next();
    let (why, next) = match found_in {
        Some(reason) => (reason.to_owned(), "mend that: the event-store tries again by itself"),
        None => (
            "no event-store has announced that it serves it".to_owned(),
            "it is being taken over if this lasts seconds; else start an event-store: spina up",
        ),
    };
    Finding::bad(subject, format!("parked, nobody serves it: {why}; {place}"), next)
}

fn open_transactions(topic: &Topic) -> Vec<Finding> {
    let open = topic.open.iter().map(|(partition, seconds)| {
        let subject = format!("{}:{partition}", topic.name);
        let found = format!("a transaction is open, its last write was {seconds} s ago; readers wait behind it");
        match *seconds {
            ..OPEN_SECONDS_GOOD => Finding::good(subject, found),
            OPEN_SECONDS_GOOD..=OPEN_SECONDS_MAX => Finding::doubtful(
                subject,
                found,
                "its writer is slow, stuck or gone; the coordinator ends it after the writer's time-out, 10 s if it is ours",
            ),
            _ => Finding::bad(
                subject,
                found,
                "its writer is gone or stuck: restart the event-store, which settles its own when it starts; one of a \
                 foreign writer hangs until its transaction time-out, or kafka-transactions.sh abort",
            ),
        }
    });
    open.collect()
}

fn projection(projection: &Value) -> Finding {
    let text = |field: &str| projection[field].as_str().unwrap_or("?");
    let subject = format!("{}/{}", text("context"), text("model"));
    let found = format!("{}, {} records behind", text("state"), projection["lag_records"]);
    match (projection["last_error"].as_str(), text("state")) {
        (Some(error), _) => Finding::bad(
            &subject,
            format!("{found}; last error: {error}"),
            "mend its cause; the projector tries again by itself",
        ),
        (None, "running") if projection["parked_keys"].as_u64().is_some_and(|keys| keys > 0) => Finding::doubtful(
            &subject,
            format!("{found}; {} keys parked, {} events wait", projection["parked_keys"], projection["parked_events"]),
            format!(
                "spina dead-letter list {subject} says why; mend the cause, then spina dead-letter redrive {subject}"
            ),
        ),
        (None, "paused") => Finding::doubtful(&subject, found, format!("spina projection resume {subject}")),
        (None, _) => Finding::good(subject, found),
    }
}

#[cfg(test)]
mod tests;
