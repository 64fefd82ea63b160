//! Events of a context as signals.

use serde_json::Value;
use spina_core::correlation::{Kind, Labels, Signal};
use spina_core::{Recorded, Timestamp};

use crate::expr::{EvalError, Formula, Variable};

/// How events of one name become signals.
#[derive(Debug)]
pub struct Mapping {
    /// The event's name.
    pub event: String,
    /// What the signal is called: its label `signal`.
    pub name: String,
    /// Which events; all if absent.
    pub when: Option<Formula>,
    /// The signal's time; the event's own if absent.
    pub time: Option<Formula>,
    /// Its labels.
    pub labels: Vec<(String, Formula)>,
}

impl Mapping {
    /// The signal that the event is, if it is one.
    ///
    /// # Errors
    /// When an expression fails on it, or its time is no instant.
    pub fn signal(&self, source: &str, event: &Recorded) -> Result<Option<Signal>, EvalError> {
        let scope = [("data", Variable::Document(&event.data)), ("event", Variable::Event(event))];
        if let Some(when) = &self.when
            && !when.holds(&scope)?
        {
            return Ok(None);
        }
        let mut labels = vec![("signal".to_owned(), self.name.clone())];
        for (name, formula) in &self.labels {
            labels.push((name.clone(), text(formula.eval(&scope)?)));
        }
        let time = match &self.time {
            Some(formula) => instant(formula, formula.eval(&scope)?)?,
            None => event.headers.time,
        };
        let part = u32::try_from(event.position.partition).unwrap_or(0);
        Ok(Some(Signal {
            source: source.to_owned(),
            part,
            id: format!("{}/{}", event.headers.id, self.name),
            time,
            kind: Kind::Occurrence,
            labels: labels.into_iter().collect::<Labels>(),
            annotations: Labels::default(),
            ends_at: None,
            link: Some(event.headers.stream.to_string()),
        }))
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn instant(formula: &Formula, value: Value) -> Result<Timestamp, EvalError> {
    let found = text(value);
    found.parse().map_err(|_| EvalError {
        expression: crate::source::quote(formula.text()),
        cause: format!("the time of a signal must be an instant, this gave {}", crate::source::quote(&found)),
    })
}
