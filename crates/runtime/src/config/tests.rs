//! Where settings come from, which one wins, and what is refused.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, Serialize, Deserialize)]
struct Limits {
    batch_records_max: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Sample {
    #[serde(flatten)]
    common: CommonConfig,
    snapshot_every: u64,
    limits: Limits,
    owners: BTreeMap<String, u16>,
}

impl Default for Sample {
    fn default() -> Self {
        let limits = Limits { batch_records_max: 500 };
        Self { common: CommonConfig::on_port(7401), snapshot_every: 100, limits, owners: BTreeMap::new() }
    }
}

impl ServiceConfig for Sample {
    fn common(&self) -> &CommonConfig {
        &self.common
    }

    fn check(&self) -> Result<(), String> {
        if self.snapshot_every == 0 { Err("`snapshot_every` must be at least 1".into()) } else { Ok(()) }
    }
}

fn env(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Sources { environment, ..Sources::default() }
}

fn refusal(sources: &Sources) -> String {
    load::<Sample>(sources).expect_err("must be refused").to_string()
}

fn file(text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("spina-config-{}.yaml", uuid::Uuid::new_v4()));
    std::fs::write(&path, text).expect("temporary folder is writable");
    path
}

#[test]
fn defaults_need_no_source() {
    let config: Sample = load(&Sources::default()).expect("defaults are valid");
    assert_eq!(config.common.http_listen.port(), 7401);
    assert_eq!(config.snapshot_every, 100);
}

#[test]
fn flags_win_over_environment_wins_over_file() {
    let path = file("snapshot_every: 1\nkafka: file:9092\nlimits:\n  batch_records_max: 7\nlog: debug\n");
    let mut sources = env(&[("SPINA_SNAPSHOT_EVERY", "2"), ("SPINA_KAFKA", "env:9092"), ("PATH", "/bin")]);
    sources.file = Some(path.clone());
    sources.assignments = vec!["snapshot_every=3".into()];
    let config: Sample = load(&sources).expect("all keys are known");
    std::fs::remove_file(path).expect("file was written");
    assert_eq!(config.snapshot_every, 3);
    assert_eq!(config.common.kafka, "env:9092");
    assert_eq!(config.common.log, "debug");
    assert_eq!(config.limits.batch_records_max, 7);
}

#[test]
fn the_field_decides_what_text_means() {
    let mut sources = env(&[
        ("SPINA_HTTP_LISTEN", "0.0.0.0:80"),
        ("SPINA_OTLP_ENDPOINT", "4317"),
        ("SPINA_LIMITS__BATCH_RECORDS_MAX", "9"),
    ]);
    sources.assignments = vec!["owners.booking=3".into(), "kafka=9092".into()];
    let config: Sample = load(&sources).expect("all values fit");
    assert_eq!(config.common.http_listen.to_string(), "0.0.0.0:80");
    assert_eq!(config.common.otlp_endpoint.as_deref(), Some("4317"));
    assert_eq!(config.common.kafka, "9092");
    assert_eq!(config.limits.batch_records_max, 9);
    assert_eq!(config.owners["booking"], 3);
}

#[test]
fn unknown_keys_are_refused_with_key_and_origin() {
    let path = file("snapshot_evry: 1\n");
    let from_file = refusal(&Sources { file: Some(path.clone()), ..Sources::default() });
    std::fs::remove_file(&path).expect("file was written");
    assert!(from_file.contains("unknown key `snapshot_evry` in file"), "{from_file}");
    assert!(from_file.contains("snapshot_every"), "{from_file}");
    let from_env = refusal(&env(&[("SPINA_LIMITS__BATCH", "1")]));
    assert!(from_env.contains("`limits.batch` in environment variable SPINA_LIMITS__BATCH"), "{from_env}");
    let flag = Sources { assignments: vec!["kafka.port=1".into()], ..Sources::default() };
    assert!(refusal(&flag).contains("`kafka.port` in flag --set"));
}

#[test]
fn wrong_values_are_refused_with_key_and_origin() {
    let wrong = refusal(&env(&[("SPINA_SNAPSHOT_EVERY", "often")]));
    assert!(wrong.contains("`snapshot_every` in environment variable SPINA_SNAPSHOT_EVERY"), "{wrong}");
    assert!(refusal(&env(&[("SPINA_HTTP_LISTEN", "here")])).contains("socket address"));
    let flag = |text: &str| Sources { assignments: vec![text.into()], ..Sources::default() };
    assert!(refusal(&flag("snapshot_every")).contains("key=value"));
    assert!(refusal(&flag("snapshot_every=0")).contains("at least 1"));
}

#[test]
fn files_that_are_no_mapping_are_refused() {
    for text in ["- a\n- b\n", "kafka: [unclosed\n"] {
        let path = file(text);
        let refused = refusal(&Sources { file: Some(path.clone()), ..Sources::default() });
        std::fs::remove_file(path).expect("file was written");
        assert!(refused.contains("not a YAML mapping"), "{refused}");
    }
    let missing = Sources { file: Some("/nonexistent/spina.yaml".into()), ..Sources::default() };
    assert!(refusal(&missing).contains("cannot read"));
}

#[test]
fn what_others_put_into_the_environment_is_left_alone() {
    let sources = env(&[
        ("SPINA_CONFIG", "x.yaml"),
        ("SPINA_CACHE", "/var/cache"),
        ("SPINA_PROJECTOR_SERVICE_HOST", "10.0.0.1"),
        ("SPINA_PROJECTOR_SERVICE_PORT_HTTP", "7402"),
        ("SPINA_PROJECTOR_PORT", "tcp://10.0.0.1:7402"),
        ("SPINA_PROJECTOR_PORT_7402_TCP_ADDR", "10.0.0.1"),
    ]);
    load::<Sample>(&sources).expect("none of these is a setting");
}

#[test]
fn what_is_printed_can_be_read_back() {
    let text = printed(&Sample::default()).expect("sample is JSON");
    assert!(text.contains("postgres://spina:***@"), "{text}");
    let path = file(&text);
    load::<Sample>(&Sources { file: Some(path.clone()), ..Sources::default() }).expect("JSON is YAML");
    std::fs::remove_file(path).expect("file was written");
}
