//! The stock projector with the same upcaster: read models see what the event-store reads.

use account::FirstCurrency;

fn main() -> std::process::ExitCode {
    projector::Service::new().upcaster("bank", FirstCurrency).run()
}
