//! Test only: docker-compose.yml and Dockerfile agree with `dev/versions.env`.

use serde_json::Value;

use super::versions::version;

const COMPOSE: &str = include_str!("../../../../docker-compose.yml");
const DOCKERFILE: &str = include_str!("../../../../Dockerfile");

/// Service, key of its image, key of its published port. `-`: not a foreign image.
const SERVICES: [(&str, &str, &str); 11] = [
    ("broker", "KAFKA_IMAGE", "KAFKA_PORT"),
    ("postgres", "POSTGRES_IMAGE", "POSTGRES_PORT"),
    ("registry", "REGISTRY_IMAGE", "REGISTRY_PORT"),
    ("connect", "CONNECT_IMAGE", "CONNECT_PORT"),
    ("prometheus", "PROMETHEUS_IMAGE", "PROMETHEUS_PORT"),
    ("otel-collector", "OTEL_COLLECTOR_IMAGE", "OTLP_GRPC_PORT"),
    ("jaeger", "JAEGER_IMAGE", "JAEGER_UI_PORT"),
    ("event-store", "-", "EVENT_STORE_PORT"),
    ("projector", "-", "PROJECTOR_PORT"),
    ("saga-orchestrator", "-", "SAGA_ORCHESTRATOR_PORT"),
    ("alert-correlator", "-", "ALERT_CORRELATOR_PORT"),
];

/// Every place where the compose file says something else than `dev/versions.env`.
fn disagreements(compose: &str) -> Vec<String> {
    let compose: Value = serde_saphyr::from_str(compose).expect("docker-compose.yml is YAML");
    let services = compose["services"].as_object().expect("docker-compose.yml has services");
    let unknown = services
        .keys()
        .filter(|name| !SERVICES.iter().any(|(known, ..)| known == name))
        .map(|name| format!("{name} is not compared with anything"));
    let known = SERVICES.iter().flat_map(|&(name, image_key, port_key)| {
        let wanted_image = if image_key == "-" { "spina:dev" } else { version(image_key).expect("pinned") };
        let wanted_port = version(port_key).expect("pinned");
        let service = &services[name];
        let image = differs(name, &service["image"], wanted_image);
        let published = service["ports"][0].as_str().and_then(|ports| ports.strip_prefix("127.0.0.1:"));
        let port = published.and_then(|ports| ports.split(':').next()).into();
        let more = service["ports"].as_array().is_some_and(|ports| ports.len() != 1);
        let more = more.then(|| format!("{name}: publishes more than one port"));
        [image, differs(name, &port, wanted_port), more].into_iter().flatten()
    });
    unknown.chain(known).collect()
}

fn differs(name: &str, found: &Value, wanted: &str) -> Option<String> {
    (found != wanted).then(|| format!("{name}: {found} instead of {wanted}"))
}

#[test]
fn compose_runs_the_pinned_images_on_the_pinned_ports() {
    assert_eq!(disagreements(COMPOSE), Vec::<String>::new());
}

#[test]
fn a_changed_image_or_port_is_noticed() {
    let newer = COMPOSE.replace("apache/kafka:4.3.0", "apache/kafka:latest");
    assert_eq!(disagreements(&newer), ["broker: \"apache/kafka:latest\" instead of apache/kafka:4.3.0"]);
    let moved = COMPOSE.replace("127.0.0.1:15432:5432", "127.0.0.1:5432:5432");
    assert_eq!(disagreements(&moved), ["postgres: \"5432\" instead of 15432"]);
    let open = COMPOSE.replace("127.0.0.1:7401:7401", "7401:7401");
    assert_eq!(disagreements(&open), ["event-store: null instead of 7401"]);
}

#[test]
fn images_and_packages_are_of_the_same_version() {
    for (image, package) in
        [("KAFKA_IMAGE", "KAFKA_VERSION"), ("REGISTRY_IMAGE", "REGISTRY_VERSION"), ("POSTGRES_IMAGE", "POSTGRES_MAJOR")]
    {
        let tag = version(image).unwrap().split_once(':').unwrap().1;
        assert_eq!(tag.split('-').next(), Some(version(package).unwrap()), "{image}");
    }
}

#[test]
fn the_dockerfile_builds_from_the_pinned_images() {
    let from: Vec<&str> = DOCKERFILE.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    let builder = format!("{} AS builder", version("RUST_IMAGE").unwrap());
    assert_eq!(from, [builder.as_str(), version("RUNTIME_IMAGE").unwrap()]);
}
