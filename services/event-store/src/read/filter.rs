//! Which events a subscription is about.

use std::collections::HashSet;

use spina_core::StreamId;
use spina_log::Fetched;

/// Which events are wanted. All conditions hold at once. Claims of unique values are not of the domain: they are wanted only
/// where category or stream name them.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Full type names; empty for all.
    pub types: HashSet<String>,
    /// The streams' category.
    pub category: Option<String>,
    /// One stream.
    pub stream: Option<StreamId>,
    /// Claims as well, named or not.
    pub claims: bool,
}

impl Filter {
    /// Whether the record is wanted; told without decoding it.
    pub fn wants(&self, record: &Fetched) -> bool {
        let key = record.key.as_deref().unwrap_or_default();
        let in_stream = self.stream.as_ref().is_none_or(|stream| stream.as_str().as_bytes() == key);
        let in_category = self.category.as_ref().is_none_or(|category| {
            key.strip_prefix(category.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'-'))
        });
        let named = self.claims || self.category.is_some() || self.stream.is_some();
        let of_domain = named || !key.starts_with(spina_core::unique::CATEGORY_PREFIX.as_bytes());
        let event_type = || record.headers.get_str(spina_codec::headers::CE_TYPE);
        of_domain
            && in_stream
            && in_category
            && (self.types.is_empty() || event_type().is_some_and(|t| self.types.contains(t)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::samples::record;

    #[test]
    fn all_conditions_hold_at_once() {
        let landed = record("flight-1", "flights.flight.FlightLanded", 0, 7);
        let types = |name: &str| HashSet::from([name.to_owned()]);
        let wants = |filter: &Filter| filter.wants(&landed);
        assert!(wants(&Filter::default()));
        let mut filter = Filter {
            types: types("flights.flight.FlightLanded"),
            category: Some("flight".to_owned()),
            stream: Some("flight-1".parse().unwrap()),
            claims: false,
        };
        assert!(wants(&filter));
        filter.stream = Some("flight-11".parse().unwrap());
        assert!(!wants(&filter));
        filter = Filter { category: Some("fli".to_owned()), ..Filter::default() };
        assert!(!wants(&filter), "a category is the whole word before the hyphen");
        let claim = record("unique_flight-number-0f", "spina.claim.ValueClaimed", 0, 8);
        let category = Some("unique_flight".to_owned());
        assert!(!Filter::default().wants(&claim));
        assert!(Filter { category, ..Filter::default() }.wants(&claim));
        assert!(
            Filter { claims: true, ..Filter::default() }.wants(&claim)
                && wants(&Filter { claims: true, ..Filter::default() })
        );
        filter = Filter { types: types("flights.flight.FlightLost"), ..Filter::default() };
        assert!(!wants(&filter));
    }
}
