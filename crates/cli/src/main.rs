//! spina-cli
fn main() {}
