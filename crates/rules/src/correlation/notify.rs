//! Who is told of incidents, and when.

use spina_core::Timestamp;
use spina_core::correlation::notification::Timing;

use super::{Matcher, Span};

/// How a notification is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As Alertmanager writes webhooks (version 4).
    Alertmanager,
    /// The incidents as this service's API has them.
    Generic,
}

/// A place that notifications go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// The URL that is posted to; `None` tells nobody.
    pub webhook: Option<String>,
    /// How.
    pub format: Format,
    /// Whether it is told when an incident is over.
    pub send_resolved: bool,
}

/// Which incidents go to a receiver, and when.
#[derive(Debug, Clone)]
pub struct Route {
    /// Conditions on the incident's labels.
    pub matchers: Vec<Matcher>,
    /// The receiver's name.
    pub receiver: String,
    /// Incidents with the same values of these labels are told together.
    pub group_by: Vec<String>,
    /// How long a new group waits for company.
    pub wait: Span,
    /// The least time between two notifications of a group that changed.
    pub interval: Span,
    /// After this long a group that did not change is told again.
    pub repeat: Span,
    /// When nobody is told.
    pub mute: Vec<MuteTime>,
}

/// A time of the week, in UTC, in which nobody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MuteTime {
    /// Days on which it begins, Monday first.
    pub days: [bool; 7],
    /// The minute of the day at which it begins.
    pub from: i64,
    /// The minute at which it ends: of the next day, unless it lies behind `from`.
    pub to: i64,
}

/// Names of days, Monday first.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: i64 = 24 * 60;

impl MuteTime {
    /// Whether the instant lies in it.
    pub fn covers(&self, time: Timestamp) -> bool {
        let minutes = time.micros().div_euclid(60_000_000);
        let (day, minute) = (minutes.div_euclid(DAY_MINUTES), minutes.rem_euclid(DAY_MINUTES));
        // 1970-01-01 was a Thursday.
        let begins_on = |day: i64| usize::try_from((day + 3).rem_euclid(7)).is_ok_and(|day| self.days[day]);
        if self.from < self.to {
            return begins_on(day) && (self.from..self.to).contains(&minute);
        }
        (begins_on(day) && minute >= self.from) || (begins_on(day - 1) && minute < self.to)
    }
}

impl Route {
    /// Whether nobody is told at that time.
    pub fn is_muted(&self, time: Timestamp) -> bool {
        self.mute.iter().any(|mute| mute.covers(time))
    }

    /// Its timers, for a receiver.
    pub fn timing(&self, receiver: &Receiver) -> Timing {
        let send_resolved = receiver.send_resolved;
        Timing { wait: self.wait, interval: self.interval, repeat: self.repeat, send_resolved }
    }
}
