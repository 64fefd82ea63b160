//! The stock event-store with a decider and an upcaster in Rust.

use account::{Account, FirstCurrency};

fn main() -> std::process::ExitCode {
    event_store::Service::new().decider("bank", "account", Account).upcaster("bank", FirstCurrency).run()
}
