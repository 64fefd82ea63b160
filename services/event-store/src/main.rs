//! event-store
fn main() {}
