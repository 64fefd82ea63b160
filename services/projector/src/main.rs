//! The stock projector: it goes by what the topology declares. See the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    projector::Service::new().run()
}
