//! What a context's topics must be like before anything is written to them. A topic that is not is refused, with what is
//! wrong and how to repair it, and looked at again until it is repaired.

use anyhow::Context as _;
use spina_log::admin::TopicInfo;
use spina_log::{Admin, names};
use spina_rules::context::ContextDef;

/// Copies from which on a record must be on two brokers before it counts.
const REPLICATION_SAFE: i16 = 3;
/// How to say that records are kept for ever.
const FOR_EVER: i64 = -1;

/// Refuses to go on unless all topics of the context are as its definition asks.
pub async fn check(admin: &Admin, def: &ContextDef) -> anyhow::Result<()> {
    let events = names::events_topic(&def.name);
    let wanted = Wanted {
        partitions: *def.partitions,
        replication: def.replication.as_ref().map(|replication| replication.value),
        retention_ms: None,
    };
    for topic in [&events, &names::commands_topic(&def.name), &names::replies_topic(&def.name)] {
        let found = admin.describe(topic).await?;
        let found = found.with_context(|| format!("topic {topic} is missing: run `spina topology apply`"))?;
        let retention_ms = (*topic == events).then(|| def.retention_ms.unwrap_or(FOR_EVER));
        if let Some(trouble) = (Wanted { retention_ms, ..wanted }).trouble(&found) {
            anyhow::bail!("topic {topic} {trouble}");
        }
    }
    Ok(())
}

/// What a topic must be like.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    partitions: i32,
    /// Copies of each partition; the cluster decides if absent.
    replication: Option<i16>,
    /// How long records are to be kept at least, where that matters.
    retention_ms: Option<i64>,
}

impl Wanted {
    /// What is wrong with the topic, in words that follow its name.
    fn trouble(self, found: &TopicInfo) -> Option<String> {
        let config = |name: &str| found.configs.get(name).map(|config| config.value.as_str());
        let number = |name: &str| config(name).and_then(|value| value.parse::<i64>().ok());
        if found.partitions != self.partitions {
            return Some(format!(
                "has {} partitions, the topology says {}: the number is frozen, since a stream's partition follows from it",
                found.partitions, self.partitions
            ));
        }
        if let Some(policy) = config("cleanup.policy").filter(|policy| *policy != "delete") {
            return Some(format!(
                "has cleanup.policy `{policy}`: compaction forgets events. Set it to `delete`, and restore what is gone"
            ));
        }
        if let (Some(wanted), Some(found)) = (self.retention_ms, number("retention.ms"))
            && found != FOR_EVER
            && (wanted == FOR_EVER || found < wanted)
        {
            return Some(format!(
                "keeps events for {found} ms, the topology says {wanted}: run `spina topology apply`"
            ));
        }
        if let Some(wanted) = self.replication.filter(|wanted| found.replication < *wanted) {
            return Some(format!(
                "has {} copies, the topology asks for {wanted}: reassign its replicas",
                found.replication
            ));
        }
        let insync = number("min.insync.replicas").unwrap_or(1);
        if found.replication >= REPLICATION_SAFE && insync < 2 {
            return Some(format!(
                "has min.insync.replicas {insync}: an acknowledged event could be on one broker only. Set it to 2 with \
                 `spina topology apply`"
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use spina_log::admin::TopicConfig;

    use super::*;

    const WANTED: Wanted = Wanted { partitions: 4, replication: Some(3), retention_ms: Some(FOR_EVER) };

    fn topic(partitions: i32, replication: i16, configs: &[(&str, &str)]) -> TopicInfo {
        let config = |value: &str| TopicConfig { value: value.to_owned(), set_on_topic: true };
        let right = [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("min.insync.replicas", "2")];
        let configs = right.iter().chain(configs).map(|(name, value)| ((*name).to_owned(), config(value))).collect();
        TopicInfo { name: "t".to_owned(), partitions, replication, configs }
    }

    #[test]
    fn a_topic_as_declared_is_served() {
        assert_eq!(WANTED.trouble(&topic(4, 3, &[])), None);
        let alone = Wanted { replication: None, ..WANTED };
        assert_eq!(alone.trouble(&topic(4, 1, &[("min.insync.replicas", "1")])), None);
        let a_day = Wanted { retention_ms: Some(86_400_000), ..WANTED };
        assert_eq!(a_day.trouble(&topic(4, 3, &[])), None, "longer is well");
    }

    #[test]
    fn a_topic_that_would_lose_events_is_refused_with_its_reason() {
        let cases = [
            (topic(3, 3, &[]), "3 partitions"),
            (topic(4, 3, &[("cleanup.policy", "compact")]), "cleanup.policy `compact`"),
            (topic(4, 3, &[("cleanup.policy", "compact,delete")]), "cleanup.policy `compact,delete`"),
            (topic(4, 3, &[("retention.ms", "604800000")]), "keeps events for 604800000 ms"),
            (topic(4, 1, &[]), "has 1 copies, the topology asks for 3"),
            (topic(4, 3, &[("min.insync.replicas", "1")]), "min.insync.replicas 1"),
        ];
        for (found, expected) in cases {
            let trouble = WANTED.trouble(&found).unwrap_or_default();
            assert!(trouble.contains(expected), "{trouble}");
        }
    }
}
