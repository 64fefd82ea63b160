//! Which service depends on which, and how far two of them are apart.

use std::collections::{BTreeMap, BTreeSet};

/// Services as nodes, dependencies as edges; distance does not look at their direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceGraph(BTreeMap<String, BTreeSet<String>>);

impl ServiceGraph {
    /// One service depends on another.
    pub fn add(&mut self, service: &str, needs: &str) {
        self.0.entry(service.to_owned()).or_default().insert(needs.to_owned());
        self.0.entry(needs.to_owned()).or_default().insert(service.to_owned());
    }

    /// All of another graph too.
    pub fn extend(&mut self, other: &Self) {
        for (service, neighbours) in &other.0 {
            self.0.entry(service.clone()).or_default().extend(neighbours.iter().cloned());
        }
    }

    /// Whether at most `hops` dependencies lie between the two. Every service is near to itself.
    pub fn is_near(&self, one: &str, other: &str, hops: u32) -> bool {
        let mut seen = BTreeSet::from([one]);
        let mut edge = vec![one];
        for _ in 0..hops {
            if seen.contains(other) {
                return true;
            }
            let next: Vec<&str> =
                edge.iter().filter_map(|service| self.0.get(*service)).flatten().map(String::as_str).collect();
            edge = next.into_iter().filter(|service| seen.insert(service)).collect();
        }
        seen.contains(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_dependencies_either_way() {
        let mut graph = ServiceGraph::default();
        for (service, needs) in [("shop", "payments"), ("payments", "db"), ("mail", "queue")] {
            graph.add(service, needs);
        }
        assert!(graph.is_near("shop", "shop", 0) && graph.is_near("unknown", "unknown", 0));
        assert!(graph.is_near("shop", "payments", 1) && !graph.is_near("shop", "db", 1));
        assert!(graph.is_near("db", "shop", 2) && !graph.is_near("shop", "mail", 9));
    }
}
