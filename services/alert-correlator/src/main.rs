//! alert-correlator
fn main() {}
