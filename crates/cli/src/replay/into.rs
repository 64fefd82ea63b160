//! A replay that is not printed: a job, which the projector runs.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use spina_core::Token;

use crate::client::{Client, Service};
use crate::job::{self, Why};
use crate::output::{self, Format};
use crate::reach::seconds;

/// Where events are replayed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Into {
    /// A topic.
    Topic(String),
    /// An HTTP endpoint.
    Url(String),
    /// A read model of the context.
    Projection(String),
}

impl FromStr for Into {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("topic", topic)) if !topic.is_empty() => Ok(Self::Topic(topic.to_owned())),
            Some(("projection", model)) if !model.is_empty() => Ok(Self::Projection(model.to_owned())),
            Some(("http" | "https", _)) => Ok(Self::Url(text.to_owned())),
            _ => Err(format!("`{text}` is neither topic:NAME nor projection:MODEL nor an http:// or https:// address")),
        }
    }
}

/// What a job is asked for beside which events.
#[derive(Debug, clap::Args)]
pub struct Ask {
    /// Replay into a topic, exactly once, to an endpoint, or into a read model, whose rows are then made anew where the
    /// events touch them, instead of printing; the projector does it
    #[arg(long, value_name = "topic:NAME|projection:MODEL|URL")]
    pub into: Option<Into>,
    /// Only what the log has up to this token
    #[arg(long, value_name = "TOKEN", requires = "into")]
    until: Option<Token>,
    /// Only count what would be replayed
    #[arg(long, requires = "into")]
    dry_run: bool,
    /// Most events a second
    #[arg(long, value_name = "EVENTS_PER_SECOND", requires = "into")]
    rate: Option<NonZeroU32>,
    #[command(flatten)]
    why: Why,
    /// Come back at once instead of showing the progress
    #[arg(long, requires = "into")]
    no_wait: bool,
    /// Give up after the projector has not answered for so long; the job itself goes on
    #[arg(long, default_value = "300", value_name = "SECONDS", value_parser = seconds)]
    give_up: Duration,
}

impl Ask {
    /// Asks for the job and shows how it goes; `which` says which events.
    pub async fn run(self, client: &Client, into: Into, mut which: Value, format: Format) -> Result<()> {
        match into {
            Into::Topic(topic) => which["topic"] = json!(topic),
            Into::Url(url) => which["url"] = json!(url),
            Into::Projection(model) => which["projection"] = json!(model),
        }
        which["until"] = json!(self.until);
        which["dry_run"] = json!(self.dry_run);
        which["rate"] = json!(self.rate);
        which["reason"] = json!(self.why.reason);
        which["by"] = json!(self.why.by);
        let asked = client.post(Service::Projector, "/v1/jobs", &which).await?;
        let id = asked["id"].as_str().unwrap_or_default();
        if self.no_wait {
            return job::print(&asked, format);
        }
        output::note(format!("job {id}"));
        job::print(&job::follow(client, id, self.give_up).await?, format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_topic_or_an_address() {
        assert_eq!("topic:flights.copy".parse(), Ok(Into::Topic("flights.copy".into())));
        assert_eq!("http://localhost:1/x".parse(), Ok(Into::Url("http://localhost:1/x".into())));
        assert_eq!("projection:aircraft".parse(), Ok(Into::Projection("aircraft".into())));
        for text in ["flights.copy", "topic:", "projection:", "ftp://x", ""] {
            assert!(text.parse::<Into>().is_err(), "{text}");
        }
    }
}
