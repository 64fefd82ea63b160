//! The engine: the fold of the journal.

mod asked;

use std::collections::{BTreeMap, BTreeSet};

use spina_core::Timestamp;
use spina_core::correlation::incident::Ending;
use spina_core::correlation::{Kind, Labels, Notification, Signal, SourceClock};
use spina_rules::correlation::{Route, RuleSet};

use super::account::{Account, Limits, RuleAccount};
use super::acting::Decision;
use super::alerts::{Active, Told, tell};
use super::domain::{Domain, Due, Numbered, Shared, ended};
use super::group::Group;
use super::incidents::{Incidents, labels_of};
use super::index::Index;
use super::input::Input;
use super::notices::{self, Ended, Notices};
use super::silence::{Compiled, Muted, Muting, Silence};

/// How long a silence that ended is remembered, in microseconds: five days, as Alertmanager does.
const SILENCE_KEPT: i64 = 5 * 86_400 * 1_000_000;
/// Lateness of a source without a file, in microseconds.
const LATENESS: i64 = 5_000_000;
/// As above: how long a part that never spoke is waited for.
const IDLE: i64 = 30_000_000;
/// As above: when a condition without an end is over.
const RESOLVE_AFTER: i64 = 300_000_000;

/// Spans of a source, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Pace {
    lateness: i64,
    idle: i64,
    resolve_after: i64,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Engine {
    rules: Numbered,
    domains: Vec<Domain>,
    of_source: BTreeMap<String, usize>,
    clocks: BTreeMap<(String, u32), SourceClock>,
    silences: BTreeMap<String, Compiled>,
    incidents: Incidents,
    account: Account,
    costs: BTreeMap<String, RuleAccount>,
    /// What the clock said last, by the journal.
    now: Timestamp,
    buffer: Vec<Decision>,
    notices: Notices,
    decided: Vec<Notification>,
    limits: Limits,
}

impl Engine {
    /// One that holds less than others, for tests.
    #[cfg(test)]
    pub fn with(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes the next record of the journal, which was written at `arrived`, and returns what it leads to.
    pub fn take(&mut self, input: Input, arrived: Timestamp) -> Vec<Decision> {
        self.now = self.now.max(arrived);
        let is_tick = matches!(input, Input::ClockTicked { .. });
        self.fold(input);
        for decision in &self.buffer {
            self.notices.note(&decision.event, &self.incidents, &self.rules.set, self.now);
        }
        if is_tick && self.notices.due().is_some_and(|due| due <= self.now) {
            let mut notices = std::mem::take(&mut self.notices);
            let muting = self.muting();
            let is_muted = |incident: &_| muting.of(&labels_of(incident)) != Muted::default();
            let decided = notices.flush(&self.incidents, &self.rules.set, self.now, is_muted);
            self.decided = decided;
            self.notices = notices;
        }
        std::mem::take(&mut self.buffer)
    }

    /// The notifications that the record just taken led to.
    pub fn notifications(&mut self) -> Vec<Notification> {
        std::mem::take(&mut self.decided)
    }

    /// Who is told of what.
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    fn fold(&mut self, input: Input) {
        match input {
            Input::SignalTaken(signal) => {
                let source = signal.source.clone();
                self.signal(signal);
                let domain = self.domain_of(&source);
                self.advance(domain);
            }
            Input::SourceAdvanced { source, part, time } => {
                self.clocks.entry((source.clone(), part)).or_default().saw(time, self.now);
                let domain = self.domain_of(&source);
                self.advance(domain);
            }
            Input::ClockTicked { now } => {
                self.now = self.now.max(now);
                (0..self.domains.len()).for_each(|domain| self.advance(domain));
                let oldest = self.now.micros() - SILENCE_KEPT;
                self.silences.retain(|_, compiled| compiled.silence.ends_at.micros() > oldest);
            }
            Input::RulesChanged { files, sources } => self.change_rules(&files, &sources),
            Input::SilenceSet(silence) => _ = self.silences.insert(silence.id.clone(), Compiled::of(silence)),
            Input::SilenceExpired { id, at } => {
                if let Some(compiled) = self.silences.get_mut(&id) {
                    compiled.silence.ends_at = compiled.silence.ends_at.min(at);
                    compiled.silence.updated_at = at;
                }
            }
            Input::IncidentAsked { incident, action, by, comment, at } => self.asked(incident, action, by, comment, at),
            Input::NotificationEnded { notification: id, delivered, attempts, error, at } => {
                self.notices.ended(Ended { id, delivered, attempts, error, at }, &self.rules.set);
            }
        }
    }

    /// What became of the signals.
    pub fn account(&self) -> Account {
        self.account
    }

    /// Signals whose time has not come.
    pub fn waiting(&self) -> usize {
        self.domains.iter().map(|domain| domain.waiting.len()).sum()
    }

    /// Groups of all rules.
    pub fn groups(&self) -> usize {
        self.domains.iter().map(|domain| domain.groups.len()).sum()
    }

    /// What each rule cost.
    pub fn costs(&self) -> &BTreeMap<String, RuleAccount> {
        &self.costs
    }

    /// The rules in force.
    pub fn rules(&self) -> &RuleSet {
        &self.rules.set
    }

    /// The incidents.
    pub fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// The silences, by id.
    pub fn silences(&self) -> impl Iterator<Item = &Silence> {
        self.silences.values().map(|compiled| &compiled.silence)
    }

    /// Conditions that last, those whose time has not quite come among them.
    pub fn conditions(&self) -> Vec<Active> {
        let mut found = Vec::new();
        for domain in &self.domains {
            found.extend(domain.actives.values().cloned());
            let coming = domain.waiting.values().filter(|signal| signal.kind == Kind::Firing);
            found.extend(coming.map(|signal| {
                let expires = signal.ends_at.unwrap_or(signal.time);
                Active { signal: signal.clone(), expires, told_at: self.now }
            }));
        }
        found
    }

    /// Everything that mutes now: found once for many.
    pub fn muting(&self) -> Muting<'_> {
        let rules = self.rules.set.files.iter().flat_map(|file| &file.inhibit);
        Muting::by(rules, &self.silences, &self.incidents, self.now)
    }

    /// The route that the labels take: the first that matches.
    pub fn route(&self, labels: &Labels) -> Option<&Route> {
        notices::routes(&self.rules.set).find(|route| route.matchers.iter().all(|matcher| matcher.matches(labels)))
    }

    fn signal(&mut self, mut signal: Signal) {
        self.account.taken += 1;
        if signal.check(self.now).is_err() {
            self.account.rejected += 1;
            return;
        }
        let clock = self.clocks.entry((signal.source.clone(), signal.part)).or_default();
        clock.saw(signal.time, self.now);
        let number = self.domain_of(&signal.source);
        if signal.kind == Kind::Firing {
            let lasts = self.now.micros() + self.pace(&signal.source).resolve_after;
            signal.ends_at = signal.ends_at.or(Timestamp::from_micros(lasts));
        }
        let domain = &mut self.domains[number];
        if signal.kind == Kind::Firing
            && tell(&mut domain.actives, &signal, signal.ends_at.unwrap_or(signal.time), self.now) == Told::Again
        {
            self.account.duplicate += 1;
            return;
        }
        let watermark = domain.watermark.unwrap_or(i64::MIN);
        let mut time = signal.time;
        if time.micros() < watermark {
            // That something has begun or ended is true although it was told late; what merely happened is over.
            match (signal.kind, Timestamp::from_micros(watermark)) {
                (Kind::Firing | Kind::Resolved, Some(now)) => time = now,
                (Kind::Firing | Kind::Resolved | Kind::Occurrence, _) => {
                    self.account.late += 1;
                    return;
                }
            }
        }
        let moment = (time, signal.kind, signal.id.clone());
        if let Some(known) = domain.waiting.get_mut(&moment) {
            known.ends_at = known.ends_at.max(signal.ends_at);
            self.account.duplicate += 1;
        } else if domain.waiting.len() >= self.limits.waiting {
            self.account.shed += 1;
        } else {
            domain.waiting.insert(moment, signal);
        }
    }

    fn pace(&self, source: &str) -> Pace {
        let file = self.rules.set.files.iter().find(|file| file.context == source);
        file.map_or(Pace { lateness: LATENESS, idle: IDLE, resolve_after: RESOLVE_AFTER }, |file| Pace {
            lateness: file.lateness,
            idle: file.idle,
            resolve_after: file.resolve_after,
        })
    }

    fn domain_of(&mut self, source: &str) -> usize {
        if let Some(number) = self.of_source.get(source) {
            return *number;
        }
        let sources = BTreeSet::from([source.to_owned()]);
        self.domains.push(Domain::of(sources, Index::default()));
        self.of_source.insert(source.to_owned(), self.domains.len() - 1);
        self.domains.len() - 1
    }

    fn advance(&mut self, number: usize) {
        // Signals may be in the journal before the rules that look at them: they wait for those.
        let known = &self.rules.set.texts;
        if self.domains[number].sources.iter().any(|source| !known.contains_key(source)) {
            return;
        }
        let mut watermark = i64::MAX;
        for source in &self.domains[number].sources {
            let pace = self.pace(source);
            let parts = self.clocks.range_mut((source.clone(), 0)..=(source.clone(), u32::MAX));
            for (_, clock) in parts {
                match clock.watermark(self.now, pace.lateness, pace.idle) {
                    Some(mark) => watermark = watermark.min(mark),
                    None => return,
                }
            }
        }
        // Nobody has spoken at all.
        if watermark == i64::MAX {
            return;
        }
        let mut domain = std::mem::take(&mut self.domains[number]);
        domain.advance(watermark, &mut self.shared());
        self.domains[number] = domain;
    }

    fn shared(&mut self) -> Shared<'_> {
        Shared {
            rules: &self.rules,
            limits: &self.limits,
            silences: &self.silences,
            now: self.now,
            account: &mut self.account,
            costs: &mut self.costs,
            incidents: &mut self.incidents,
            out: &mut self.buffer,
        }
    }

    /// Puts other rules in force. A text that cannot be used leaves everything as it is: whoever writes the journal checks
    /// it before.
    fn change_rules(&mut self, files: &BTreeMap<String, String>, sources: &BTreeMap<String, u32>) {
        for (source, parts) in sources {
            (0..*parts).for_each(|part| _ = self.clocks.entry((source.clone(), part)).or_default());
        }
        let Ok(set) = RuleSet::recorded(files) else { return };
        let old = std::mem::replace(&mut self.rules, Numbered::of(set));
        let before = std::mem::take(&mut self.domains);
        let names: BTreeSet<String> =
            files.keys().chain(sources.keys()).chain(self.of_source.keys()).cloned().collect();
        self.domains = joined(&names, &self.rules);
        self.of_source = BTreeMap::new();
        for (number, domain) in self.domains.iter().enumerate() {
            domain.sources.iter().for_each(|source| _ = self.of_source.insert(source.clone(), number));
        }
        for domain in before {
            self.resettle(domain, &old);
        }
        self.notices.regroup(&old.set, &self.incidents, &self.rules.set, self.now);
    }

    /// What a domain held goes to where its sources and rules are now.
    fn resettle(&mut self, domain: Domain, old: &Numbered) {
        for source in &domain.sources {
            let now = &mut self.domains[self.of_source[source]];
            now.watermark = now.watermark.max(domain.watermark);
        }
        for (moment, signal) in domain.waiting {
            self.domains[self.of_source[&signal.source]].waiting.insert(moment, signal);
        }
        for (key, active) in domain.actives {
            let now = &mut self.domains[self.of_source[&key.0]];
            now.timers.insert((active.expires, Due::Condition(key.0.clone(), key.1)));
            now.actives.insert(key, active);
        }
        let groups: BTreeMap<_, Group> = domain.groups.into_iter().collect();
        for ((number, values), mut group) in groups {
            let name = &old.get(number).name;
            let same = self.rules.numbers().find(|now| self.rules.get(*now).name == *name);
            match (same, &group.open) {
                (Some(number), _) => {
                    let home = self.of_source[&self.rules.get(number).sources[0].value];
                    group.restart();
                    self.domains[home].adopt((number, values), group, &self.rules);
                }
                (None, Some(open)) => {
                    let event = ended(open.incident.clone(), open.count, Ending::RuleGone, group.last(), group.last());
                    self.shared().tell(event);
                }
                (None, None) => {}
            }
        }
    }
}

/// The domains of some sources: those that one rule looks at are together.
fn joined(names: &BTreeSet<String>, rules: &Numbered) -> Vec<Domain> {
    let mut sets: Vec<BTreeSet<String>> = names.iter().map(|name| BTreeSet::from([name.clone()])).collect();
    for number in rules.numbers() {
        let looked_at: BTreeSet<String> = rules.get(number).sources.iter().map(|source| source.value.clone()).collect();
        let (touched, others): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| !set.is_disjoint(&looked_at));
        sets = others;
        sets.push(touched.into_iter().flatten().chain(looked_at).collect());
    }
    let of = |sources: BTreeSet<String>| {
        let ours = rules.numbers().filter(|number| sources.contains(&rules.get(*number).sources[0].value));
        let index = Index::of(ours.map(|number| (number, rules.get(number))));
        Domain::of(sources, index)
    };
    sets.into_iter().map(of).collect()
}
