//! The pinned versions and default ports of `dev/versions.env`, embedded in the binary.

use anyhow::{Context, Result};

const VERSIONS: &str = include_str!("../../../../dev/versions.env");

/// The value of `key`, for example `KAFKA_VERSION`.
pub fn version(key: &str) -> Result<&'static str> {
    VERSIONS
        .lines()
        .filter_map(|line| line.split_once('='))
        .find_map(|(name, value)| (name == key).then_some(value))
        .with_context(|| format!("dev/versions.env does not name {key}"))
}

/// The port under `key`, for example `KAFKA_PORT`.
pub fn port(key: &str) -> Result<u16> {
    version(key)?.parse().with_context(|| format!("read {key} of dev/versions.env as a port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_version_is_found_by_its_whole_key() {
        assert_eq!(version("POSTGRES_MAJOR").unwrap(), "15");
        assert!(version("POSTGRES").is_err());
        assert_eq!(port("EVENT_STORE_PORT").unwrap(), 7401);
    }
}
