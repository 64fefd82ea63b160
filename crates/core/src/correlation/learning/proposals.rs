//! From counts to proposals.

use std::collections::BTreeMap;

use super::pairs::{Pair, Pairs};
use super::{Example, Figures, Idea, Item, Proposal, Thresholds};
use crate::correlation::Signal;
use crate::correlation::incident::Evidence;

/// Two items have an order if it is the same in this share of all times.
const ORDERED: f64 = 0.9;
/// A scope is preferred to a wider one if that makes a coincidence so many times less likely.
const NARROWER: f64 = 1.1;
/// Most items of a grouping: a rule has no more steps.
const GROUP_MAX: usize = 20;

/// How two items are to each other in one scope, without regard to who is first.
struct Relation<'c> {
    counted: &'c Pairs,
    there: Option<&'c Pair>,
    back: Option<&'c Pair>,
    lift: f64,
}

impl Relation<'_> {
    fn total(&self) -> u32 {
        [self.there, self.back].into_iter().flatten().map(|pair| pair.behind + pair.at_once).sum()
    }
}

/// How two items are to each other, by scope.
type InScopes<'c> = Vec<(Option<&'c str>, Relation<'c>)>;

/// A proposal by the numbers of its items.
struct Found {
    idea: Shape,
    scope: Option<String>,
    figures: Figures,
    examples: Vec<(usize, usize)>,
}

enum Shape {
    Grouping(Vec<usize>),
    Sequence(usize, usize),
    Inhibition(usize, usize),
}

/// Everything that passes the thresholds, the surest first.
pub fn of(
    counted: &[(Option<&str>, Pairs)],
    items: &[Item],
    signals: &[Signal],
    thresholds: &Thresholds,
) -> Vec<Proposal> {
    let mut found = Vec::new();
    let mut together = Vec::new();
    for (pair, scopes) in relations(counted) {
        let mut best: Option<(f64, Vec<Found>)> = None;
        for (scope, relation) in scopes {
            let ideas = judged(pair, scope, &relation, thresholds);
            let better = best.as_ref().is_none_or(|(lift, _)| relation.lift > lift * NARROWER);
            if !ideas.is_empty() && better {
                best = Some((relation.lift, ideas));
            }
        }
        for idea in best.map(|(_, ideas)| ideas).unwrap_or_default() {
            match idea.idea {
                Shape::Grouping(_) => together.push(idea),
                Shape::Sequence(..) | Shape::Inhibition(..) => found.push(idea),
            }
        }
    }
    found.extend(joined(together));
    let mut proposals: Vec<Proposal> = found.into_iter().map(|found| found.told(items, signals)).collect();
    proposals.sort_by(|a, b| {
        let sure = |p: &Proposal| (p.figures.confidence, p.figures.support);
        sure(b)
            .partial_cmp(&sure(a))
            .unwrap_or(std::cmp::Ordering::Equal)
            .then_with(|| a.idea.names().cmp(&b.idea.names()))
    });
    proposals
}

/// Every two items that ever met, with how they are to each other in each scope, the widest first.
fn relations<'c>(counted: &'c [(Option<&'c str>, Pairs)]) -> BTreeMap<(usize, usize), InScopes<'c>> {
    let mut relations: BTreeMap<(usize, usize), InScopes<'_>> = BTreeMap::new();
    for (scope, pairs) in counted {
        for (first, second) in pairs.pairs.keys() {
            let (low, high) = (*first.min(second), *first.max(second));
            let known = relations.entry((low, high)).or_default();
            if known.last().is_some_and(|(last, _)| last == scope) {
                continue;
            }
            let (there, back) = (pairs.pairs.get(&(low, high)), pairs.pairs.get(&(high, low)));
            let mut relation = Relation { counted: pairs, there, back, lift: 0.0 };
            relation.lift = f64::from(relation.total()) / pairs.by_chance(low, high, 2).max(f64::MIN_POSITIVE);
            known.push((*scope, relation));
        }
    }
    relations
}

/// What two items are to each other in a scope, if it passes.
fn judged(pair: (usize, usize), scope: Option<&str>, relation: &Relation<'_>, thresholds: &Thresholds) -> Vec<Found> {
    let (low, high) = pair;
    let total = relation.total();
    if total < thresholds.support || relation.lift < thresholds.lift {
        return Vec::new();
    }
    let found = |idea, of: u32, support: u32, examples: &[&Pair], lift| {
        let confidence = (f64::from(support) / f64::from(of.max(1))).min(1.0);
        let figures = Figures { support, of, confidence, lift, lead: median(examples) };
        let examples = examples.iter().flat_map(|pair| pair.examples.iter().copied()).take(3).collect();
        (confidence >= thresholds.confidence).then_some(Found {
            idea,
            scope: scope.map(str::to_owned),
            figures,
            examples,
        })
    };
    let begun = |item: usize| relation.counted.begun[item];
    let mut ideas = Vec::new();
    for (first, second, pair) in [(low, high, relation.there), (high, low, relation.back)] {
        let Some(pair) = pair.filter(|pair| f64::from(pair.behind) >= ORDERED * f64::from(total)) else { continue };
        let lift = f64::from(pair.behind) / relation.counted.by_chance(first, second, 1).max(f64::MIN_POSITIVE);
        if pair.behind < thresholds.support || lift < thresholds.lift {
            return Vec::new();
        }
        ideas.extend(found(Shape::Sequence(first, second), begun(first), pair.behind, &[pair], lift));
        ideas.extend(found(Shape::Inhibition(first, second), begun(second), pair.behind, &[pair], lift));
        return ideas;
    }
    let both: Vec<&Pair> = relation.there.into_iter().chain(relation.back).collect();
    let more = begun(low).max(begun(high));
    ideas.extend(found(Shape::Grouping(vec![low, high]), more, total, &both, relation.lift));
    ideas
}

/// Groupings that share an item and a scope are one.
fn joined(pairs: Vec<Found>) -> Vec<Found> {
    let mut joined: Vec<Found> = Vec::new();
    for mut pair in pairs {
        let touches = |known: &Found| match (&known.idea, &pair.idea) {
            (Shape::Grouping(a), Shape::Grouping(b)) => {
                known.scope == pair.scope && a.iter().any(|item| b.contains(item))
            }
            (Shape::Grouping(_) | Shape::Sequence(..) | Shape::Inhibition(..), _) => false,
        };
        let (touched, others): (Vec<Found>, Vec<Found>) = joined.into_iter().partition(touches);
        joined = others;
        for known in touched {
            if pair.size() + known.size() <= GROUP_MAX {
                pair.absorb(known);
            } else {
                joined.push(known);
            }
        }
        joined.push(pair);
    }
    joined
}

impl Found {
    fn size(&self) -> usize {
        match &self.idea {
            Shape::Grouping(items) => items.len(),
            Shape::Sequence(..) | Shape::Inhibition(..) => 2,
        }
    }

    fn absorb(&mut self, other: Self) {
        let (Shape::Grouping(items), Shape::Grouping(more)) = (&mut self.idea, other.idea) else { return };
        items.extend(more);
        items.sort_unstable();
        items.dedup();
        if other.figures.confidence < self.figures.confidence {
            self.figures = other.figures;
        }
    }

    fn told(self, items: &[Item], signals: &[Signal]) -> Proposal {
        let item = |number: usize| items[number].clone();
        let idea = match self.idea {
            Shape::Grouping(numbers) => Idea::Grouping { items: numbers.into_iter().map(item).collect() },
            Shape::Sequence(first, then) => Idea::Sequence { first: item(first), then: item(then) },
            Shape::Inhibition(source, target) => Idea::Inhibition { source: item(source), target: item(target) },
        };
        let evidence = |at: usize| Evidence::from(&signals[at]);
        let examples = self.examples.into_iter();
        let examples = examples.map(|(first, then)| Example { first: evidence(first), then: evidence(then) }).collect();
        Proposal { idea, scope: self.scope, figures: self.figures, examples }
    }
}

impl Idea {
    /// What it is about, for an order that is always the same.
    fn names(&self) -> Vec<&Item> {
        match self {
            Self::Grouping { items } => items.iter().collect(),
            Self::Sequence { first, then } => vec![first, then],
            Self::Inhibition { source, target } => vec![source, target],
        }
    }
}

fn median(pairs: &[&Pair]) -> i64 {
    let mut leads: Vec<i64> = pairs.iter().flat_map(|pair| pair.leads.iter().copied()).collect();
    leads.sort_unstable();
    leads.get(leads.len() / 2).copied().unwrap_or(0)
}
