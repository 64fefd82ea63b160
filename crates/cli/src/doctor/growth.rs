//! Whether what lags catches up or falls behind: two looks, some time apart. Pure.

use std::time::Duration;

use serde_json::Value;

use super::judge::Finding;
use crate::observe::Observed;

/// A lag that is no more than this now is none: what arrived between two looks.
const LAG_MIN: u64 = 100;

/// A thing that lags, how much, and what to look at if it falls behind.
type Lag = (String, u64, &'static str);

/// Whether anything lags so that a second look is worth the time.
pub fn anything_lags(seen: &Observed) -> bool {
    lags(seen).iter().any(|(_, lag, _)| *lag > 0)
}

/// What falls further behind.
pub fn growing(before: &Observed, now: &Observed, apart: Duration) -> Vec<Finding> {
    let before = lags(before);
    let finding = |(subject, lag, next): Lag| {
        let was = before.iter().find(|(known, ..)| *known == subject)?.1;
        if lag <= LAG_MIN || lag <= was {
            return None;
        }
        let rate = (lag - was) * 1_000 / u64::try_from(apart.as_millis()).unwrap_or(u64::MAX).max(1);
        let found = format!("its lag grows: {was}, then {lag} records behind, {rate} more each second");
        Some(Finding::doubtful(subject, found, next))
    };
    lags(now).into_iter().filter_map(finding).collect()
}

fn lags(seen: &Observed) -> Vec<Lag> {
    let mut lags = Vec::new();
    for projection in seen.projections.iter().flatten() {
        let text = |field: &str| projection[field].as_str().unwrap_or("?");
        let next =
            "more is appended than it takes: is it paused, or the projector or PostgreSQL slow? see its last error";
        let lag = projection["lag_records"].as_u64().unwrap_or(0);
        lags.push((format!("{}/{}", text("context"), text("model")), lag, next));
    }
    for context in seen.contexts.iter().flatten() {
        for owned in context["owned"].as_array().into_iter().flatten() {
            let name = context["name"].as_str().unwrap_or("?");
            let next = "the archive does not keep up: is PostgreSQL slow or down?";
            let lag = owned["unarchived_events"].as_u64().unwrap_or(0);
            lags.push((format!("archive of {name}/{}", number(&owned["partition"])), lag, next));
        }
    }
    lags
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(projection: u64, archive: u64) -> Observed {
        let model = json!({"context": "flights", "model": "aircraft", "lag_records": projection});
        let owned = json!([{"partition": 0, "unarchived_events": archive}]);
        Observed {
            services: Vec::new(),
            kafka: Err(String::new()),
            registry: Ok(1),
            postgres: None,
            topics: Vec::new(),
            contexts: Ok(vec![json!({"name": "flights", "owned": owned})]),
            projections: Ok(vec![model]),
        }
    }

    #[test]
    fn what_falls_behind_is_told_with_its_rate_and_what_catches_up_is_not() {
        let told = |before, now| growing(&before, &now, Duration::from_secs(2));
        assert_eq!(told(seen(0, 0), seen(50, 50)), []);
        assert_eq!(told(seen(5_000, 5_000), seen(4_000, 5_000)), []);
        let grows = told(seen(1_000, 0), seen(3_000, 400));
        assert_eq!(grows[0].subject, "flights/aircraft");
        assert_eq!(grows[0].found, "its lag grows: 1000, then 3000 records behind, 1000 more each second");
        assert_eq!((grows[1].subject.as_str(), grows.len()), ("archive of flights/0", 2));
        assert!(anything_lags(&seen(0, 1)) && !anything_lags(&seen(0, 0)));
    }
}
