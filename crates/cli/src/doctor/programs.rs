//! The programs that `spina up` and `spina demo` start.

use std::path::{Path, PathBuf};

use super::judge::Finding;

/// Debian keeps PostgreSQL's server programs out of the path.
const POSTGRES_HOME: &str = "/usr/lib/postgresql";

/// Looks for every program needed.
pub fn findings() -> Vec<Finding> {
    let needed =
        [("java", "runs Kafka and the registry"), ("mvn", "fetches them"), ("python3", "fetches the demo's data")];
    let mut findings: Vec<Finding> =
        needed.iter().map(|(program, purpose)| judged(program, purpose, in_path(program))).collect();
    let postgres = in_path("postgres").or_else(|| in_postgres_home(Path::new(POSTGRES_HOME)));
    findings.push(judged("postgres", "keeps read models and the archive", postgres));
    findings
}

/// Missing programs only matter for a stack on this machine, so they are no more than a warning.
fn judged(program: &str, purpose: &str, found: Option<PathBuf>) -> Finding {
    match found {
        Some(path) => Finding::good(program, path.display().to_string()),
        None => Finding::doubtful(program, format!("not found; it {purpose}"), "install it with make install"),
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn in_postgres_home(home: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(home).ok()?;
    versions.filter_map(Result::ok).map(|entry| entry.path().join("bin/postgres")).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::super::judge::Verdict;
    use super::*;

    #[test]
    fn a_missing_program_is_told_with_its_purpose() {
        let finding = judged("mvn", "fetches them", None);
        assert_eq!((finding.verdict, finding.found.as_str()), (Verdict::Doubtful, "not found; it fetches them"));
        assert_eq!(judged("sh", "", in_path("sh")).verdict, Verdict::Good);
    }
}
