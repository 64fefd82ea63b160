//! A stock Prometheus sends its alerts, and amtool looks at them and silences them, as if this were Alertmanager.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use spina_tests::context::Context;
use spina_tests::eventually_within;
use spina_tests::http::Http;
use spina_tests::stack::{Stack, free_port, root};

use crate::alerting::{LIMIT, correlator, declare_alerts, incidents, until};

/// Debian's Prometheus; ends when dropped.
struct Prometheus(Child);

impl Prometheus {
    /// Scrapes the correlator, and has two rules: one that always fires, one that does when the correlator was scraped.
    fn start(folder: &Path, correlator: &str, name: &str) -> Self {
        let target = correlator.trim_start_matches("http://");
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yml]\nscrape_configs:\n  \
             - {{ job_name: spina, static_configs: [{{ targets: ['{target}'] }}] }}\nalerting:\n  alertmanagers:\n    \
             - static_configs: [{{ targets: ['{target}'] }}]\n"
        );
        let rules = format!(
            "groups:\n  - name: stock\n    rules:\n      - {{ alert: Always{name}, expr: vector(1), labels: {{ severity: page \
             }} }}\n      - {{ alert: Scraped{name}, expr: 'up{{job=\"spina\"}} == 1', labels: {{ severity: info }} }}\n"
        );
        fs::write(folder.join("prometheus.yml"), config).unwrap();
        fs::write(folder.join("rules.yml"), rules).unwrap();
        let log = fs::File::create(folder.join("prometheus.log")).unwrap();
        let mut command = Command::new(root().join("dev/prometheus"));
        command.arg("prometheus").arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{}", free_port())).stdin(Stdio::null());
        Self(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What amtool prints.
fn amtool(url: &str, args: &[&str]) -> String {
    let mut command = Command::new(root().join("dev/prometheus"));
    command.args(["amtool", "--alertmanager.url", url]).args(args).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "amtool {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn listed(url: &str, args: &[&str]) -> Vec<Value> {
    let printed = amtool(url, &[args, &["--output", "json"]].concat());
    serde_json::from_str::<Option<Vec<Value>>>(&printed).unwrap().unwrap_or_default()
}

#[tokio::test]
async fn a_stock_prometheus_sends_and_amtool_works() {
    let stack = Stack::get();
    let context = Context::create(&stack, "stock");
    declare_alerts(&stack, &context);
    let mut service = correlator(&stack, &context).await;
    let (http, url, name) = (Http::new(&service.url), service.url.clone(), context.name.clone());
    let prometheus = Prometheus::start(&stack.folder(&format!("{name}-prometheus")), &url, &name);

    let (always, scraped) = (format!("Always{name}"), format!("Scraped{name}"));
    let opened = |body: &Value, alert: &str| incidents(body).iter().any(|i| i["group"]["alertname"] == alert);
    until(&http, "/v1/incidents", |body| opened(body, &always) && opened(body, &scraped)).await;

    let matcher = format!("alertname={always}");
    let alerts = || listed(&url, &["alert", "query", &matcher]);
    let found = alerts();
    assert_eq!((found.len(), &found[0]["labels"]["severity"]), (1, &Value::from("page")), "{found:?}");
    assert!(amtool(&url, &["alert", "query", &matcher]).contains(&always), "in amtool's own form too");
    let added = format!("alertname=Added{name}");
    amtool(&url, &["alert", "add", &added, "instance=a", "--annotation=summary=by hand"]);
    until(&http, "/v1/incidents", |body| opened(body, &format!("Added{name}"))).await;

    let silence = amtool(&url, &["silence", "add", &matcher, "--author=ann", "--comment=repair", "--duration=1h"]);
    let silence = silence.trim();
    let silences = || listed(&url, &["silence", "query", &matcher]);
    assert!(silences().iter().any(|known| known["id"] == silence && known["status"]["state"] == "active"));
    assert!(alerts().is_empty(), "it is not told among those that are active");
    let silenced = listed(&url, &["alert", "query", "--silenced", &matcher]);
    assert_eq!(silenced[0]["status"]["silencedBy"][0], silence, "{silenced:?}");
    amtool(&url, &["silence", "expire", silence]);
    let back = async || (silences().is_empty() && alerts().len() == 1).then_some(());
    eventually_within(LIMIT, "the silence is over", back).await;
    drop(prometheus);
    service.stop().await;
}
