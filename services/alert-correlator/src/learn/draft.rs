//! Proposals as the text of a correlation.yaml, with their figures as comments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;
use spina_core::correlation::learning::{Idea, Item, Learned, Proposal};
use spina_rules::correlation::{Span, show_span};

/// Longest part of a rule's name that comes from signals, in bytes.
const SLUG_BYTES_MAX: usize = 40;

/// A text, and the rule in it of each proposal that has one.
#[derive(Debug)]
pub struct Draft {
    /// The file.
    pub text: String,
    /// By proposal.
    pub rules: Vec<Option<String>>,
}

/// Writes all proposals down, for a context. `notes` say how each did, if that is known.
pub fn of(learned: &Learned, context: &str, frame: Span, notes: &[String]) -> Draft {
    let mut draft = Draft { text: String::new(), rules: Vec::new() };
    let (mut rules, mut inhibit) = (String::new(), String::new());
    let frame = show_span(frame);
    for (number, proposal) in learned.proposals.iter().enumerate() {
        let note = notes.get(number).map_or("", String::as_str);
        let rule = match &proposal.idea {
            Idea::Grouping { items } => {
                let name = format!("learned-{}-together-{}", number + 1, slug(&items[0].name));
                rules.push_str(&condition(
                    &name,
                    proposal,
                    "all_of",
                    &items.iter().collect::<Vec<_>>(),
                    context,
                    &frame,
                    note,
                ));
                Some(name)
            }
            Idea::Sequence { first, then } => {
                let name = format!("learned-{}-{}-announces", number + 1, slug(&first.name));
                rules.push_str(&condition(&name, proposal, "sequence", &[first, then], context, &frame, note));
                Some(name)
            }
            Idea::Inhibition { source, target } => {
                inhibit.push_str(&inhibition(proposal, source, target, note));
                None
            }
        };
        draft.rules.push(rule);
    }
    let head = format!(
        "# Proposed from {} signals of {} kinds between {} and {}. Nothing of it is in force: read it, keep what you \
         believe,\n# and put that into topology/{context}/correlation.yaml.\n",
        learned.signals, learned.items, learned.from, learned.to
    );
    draft.text.push_str(&head);
    let single = singles(learned, context, &frame);
    if !rules.is_empty() || !single.is_empty() {
        draft.text.push_str("rules:\n");
        draft.text.push_str(&rules);
        draft.text.push_str(&single);
    }
    if !inhibit.is_empty() {
        draft.text.push_str("inhibit:\n");
        draft.text.push_str(&inhibit);
    }
    draft
}

/// A rule that opens when its items come together or one after the other.
fn condition(
    name: &str,
    proposal: &Proposal,
    kind: &str,
    items: &[&Item],
    context: &str,
    frame: &str,
    note: &str,
) -> String {
    let steps: Vec<String> = items.iter().map(|item| format!("[{}]", equals(item))).collect();
    let names: Vec<String> = items.iter().map(|item| item.name.clone()).collect();
    let (joined, how) = match kind {
        "sequence" => (names.join(" announces "), "one after the other"),
        _ => (names.join(" with "), "together"),
    };
    format!(
        "  # {}: {how} {}.\n  # {note}\n  {name}:\n    doc: {}\n{}    match: [{}]\n{}    window: {{ sliding: {frame} }}\n    \
         open: {{ {kind}: [{}] }}\n    resolve: {{ quiet: {frame} }}\n",
        quoted(&joined),
        figures(proposal),
        quoted(&joined),
        sources(items, context),
        any_of(items),
        grouped(&[], proposal.scope.as_deref()),
        steps.join(", "),
    )
}

fn inhibition(proposal: &Proposal, source: &Item, target: &Item, note: &str) -> String {
    let equal = proposal.scope.as_ref().map(|scope| format!(", equal: [{scope}]")).unwrap_or_default();
    format!(
        "  # {} explains {}: {}.\n  # {note}\n  - {{ source: [{}], target: [{}]{equal} }}\n",
        quoted(&source.name),
        quoted(&target.name),
        figures(proposal),
        equals(source),
        equals(target),
    )
}

/// What inhibitions refer to: incidents that bear the signal's name, one for each and scope.
fn singles(learned: &Learned, context: &str, frame: &str) -> String {
    let mut items: BTreeMap<(&str, Option<&str>), BTreeSet<&Item>> = BTreeMap::new();
    for proposal in &learned.proposals {
        if let Idea::Inhibition { source, target } = &proposal.idea {
            let same = [source, target].into_iter();
            same.for_each(|item| _ = items.entry((item.label, proposal.scope.as_deref())).or_default().insert(item));
        }
    }
    let mut text = String::new();
    for (number, ((label, scope), items)) in items.iter().enumerate() {
        let items: Vec<&Item> = items.iter().copied().collect();
        _ = write!(
            text,
            "  # What the inhibitions below refer to.\n  learned-each-{}:\n{}    match: [{}]\n{}    window: {{ sliding: \
             {frame} }}\n    resolve: {{ quiet: {frame} }}\n",
            number + 1,
            sources(&items, context),
            any_of(&items),
            grouped(&[label], *scope),
        );
    }
    text
}

fn figures(proposal: &Proposal) -> String {
    let figures = &proposal.figures;
    let place = proposal.scope.as_ref().map(|scope| format!(" at the same {scope}")).unwrap_or_default();
    let ahead = if figures.lead > 0 { format!(", ahead by {}", show_span(figures.lead)) } else { String::new() };
    format!(
        "{} of {} times{place} ({:.0} %), {:.0} times as often as by chance{ahead}",
        figures.support,
        figures.of,
        100.0 * figures.confidence,
        figures.lift
    )
}

fn sources(items: &[&Item], context: &str) -> String {
    let sources: BTreeSet<&str> = items.iter().map(|item| item.source.as_str()).collect();
    if sources.iter().all(|source| *source == context) {
        return String::new();
    }
    format!("    sources: [{}]\n", sources.into_iter().collect::<Vec<_>>().join(", "))
}

fn grouped(labels: &[&str], scope: Option<&str>) -> String {
    let all: Vec<&str> = labels.iter().copied().chain(scope).collect();
    if all.is_empty() { String::new() } else { format!("    group_by: [{}]\n", all.join(", ")) }
}

/// A matcher that takes one item.
fn equals(item: &Item) -> String {
    quoted(&format!("{}=\"{}\"", item.label, escaped(&item.name)))
}

/// Matchers that take all of them and little else: none at all where they are named by different labels.
fn any_of(items: &[&Item]) -> String {
    let labels: BTreeSet<&str> = items.iter().map(|item| item.label).collect();
    let of = |label: &str| {
        let names: Vec<String> =
            items.iter().filter(|item| item.label == label).map(|item| literal(&item.name)).collect();
        // Where it has not this label, it has another.
        let other = if labels.len() > 1 { "|" } else { "" };
        quoted(&format!("{label}=~\"{}{other}\"", escaped(&names.join("|"))))
    };
    labels.iter().map(|label| of(label)).collect::<Vec<_>>().join(", ")
}

/// The text as YAML and JSON write it, so that whatever signals are called stays in its place.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The text within the quotes of a matcher.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A regular expression for the text and nothing else.
fn literal(text: &str) -> String {
    let escape = |letter: char| {
        let plain = letter.is_alphanumeric() || matches!(letter, '_' | ' ' | ':' | '/' | '"' | '<' | '>');
        if plain || !letter.is_ascii() || letter.is_ascii_control() {
            letter.to_string()
        } else {
            format!("\\{letter}")
        }
    };
    text.chars().map(escape).collect()
}

fn slug(name: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    name.chars().map(letter).take(SLUG_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use spina_core::Timestamp;
    use spina_core::correlation::learning::Figures;
    use spina_core::correlation::{Labels, Signal};
    use spina_rules::correlation::RuleSet;

    use super::*;

    fn item(label: &'static str, name: &str) -> Item {
        Item { source: "monitoring".into(), label, name: name.into() }
    }

    fn learned(ideas: Vec<Idea>) -> Learned {
        let figures = Figures { support: 9, of: 10, confidence: 0.9, lift: 12.0, lead: 61_000_000 };
        let proposals = ideas.into_iter().map(|idea| {
            let (scope, figures) = (Some("host".to_owned()), figures.clone());
            Proposal { idea, scope, figures, examples: Vec::new() }
        });
        let at = Timestamp::default();
        Learned { signals: 20, items: 2, items_left_out: 0, from: at, to: at, proposals: proposals.collect() }
    }

    #[test]
    fn a_draft_can_be_used_whatever_signals_are_called() {
        let nasty = ["Disk full", "a\"b\\c.d|e", "two\nlines: [x]", "# '{}' \u{e9}"];
        for name in nasty {
            let (one, other) = (item("alertname", name), item("signal", "plain"));
            let draft = of(
                &learned(vec![
                    Idea::Grouping { items: vec![one.clone(), other.clone()] },
                    Idea::Sequence { first: one.clone(), then: other.clone() },
                    Idea::Inhibition { source: one, target: other },
                ]),
                "monitoring",
                300_000_000,
                &["first note".to_owned()],
            );
            let texts = [("monitoring".to_owned(), draft.text.clone())].into_iter().collect();
            let set = RuleSet::recorded(&texts).unwrap_or_else(|problems| panic!("{problems}\n{}", draft.text));
            let labels: Labels = [("alertname".to_owned(), name.to_owned())].into_iter().collect();
            let mut signal = Signal {
                source: "monitoring".into(),
                part: 0,
                id: "1".into(),
                time: Timestamp::default(),
                kind: spina_core::correlation::Kind::Occurrence,
                labels,
                annotations: Labels::default(),
                ends_at: None,
                link: None,
            };
            let rule = |name: &str| set.rules().find(|rule| rule.name == format!("monitoring/{name}")).unwrap();
            let together = rule(draft.rules[0].as_deref().unwrap());
            assert_eq!(together.matches(&signal), Ok(true), "{}", draft.text);
            assert!(together.group_by == ["host"] && draft.rules[2].is_none());
            signal.labels = [("alertname".to_owned(), "another".to_owned())].into_iter().collect();
            assert_eq!(together.matches(&signal), Ok(false), "{}", draft.text);
            assert!(draft.text.contains("9 of 10 times at the same host (90 %)") && draft.text.contains("first note"));
        }
    }
}
