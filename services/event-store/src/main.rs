//! The stock event-store: every context of the topology, decided by its rules. See the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    event_store::Service::new().run()
}
