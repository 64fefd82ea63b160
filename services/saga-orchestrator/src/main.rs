//! saga-orchestrator
fn main() {}
