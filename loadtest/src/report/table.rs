//! The table: every arm beside its floor, with the median of the ratios within rounds.

use std::fmt::Write;

use super::Report;
use super::spread::Spread;
use crate::measured::{Arm, Measured};
use crate::trials;

/// Width of the first column, and of the others.
const WIDTHS: (usize, usize) = (42, 24);

/// An arm, its floor, and what else stands beside it.
struct Section {
    title: String,
    arm: Arm,
    floor: Arm,
    beside: Option<Arm>,
}

/// The whole text.
pub fn table(report: &Report<'_>) -> String {
    let mut text = head(report);
    let measured = |section: &Section| report.measured.iter().any(|measured| measured.arm == section.arm);
    for section in sections(report).into_iter().filter(measured) {
        let latency = section.arm != Arm::Import;
        let columns: &[&str] = if latency { &["events/s", "p50 ms", "p99 ms", "p99.9 ms"] } else { &["events/s"] };
        let _infallible = writeln!(text, "\n{}", line(&section.title, columns.iter().map(|title| (*title).to_owned())));
        for arm in [Some(section.arm), Some(section.floor), section.beside].into_iter().flatten() {
            let _infallible = writeln!(text, "{}", line(&format!("  {}", label(arm)), figures(report, arm)));
        }
        let _infallible =
            writeln!(text, "{}", line("  ratio to the floor", ratios(report, section.arm, section.floor)));
        let _infallible = writeln!(text, "  {}", processors(report, section.arm));
    }
    for trial in report.trials {
        let _infallible = writeln!(text, "\n{}", trial.title);
        for row in &trial.rows {
            let _infallible = writeln!(text, "{}", line(&format!("  {}", row.label), row.figures.iter().map(told)));
        }
    }
    text
}

/// A trial's figure: the smaller, the more decimals.
fn told(figure: &trials::Figure) -> String {
    let decimals = if figure.value.abs() < 100.0 { 2 } else { 0 };
    format!("{:.decimals$} {}", figure.value, figure.unit).trim_end().to_owned()
}

fn head(report: &Report<'_>) -> String {
    let probes = || report.measured.iter().flat_map(|measured| [measured.before, measured.after]);
    let spread = |figure: fn(&crate::machine::Probe) -> f64| {
        Spread::of(probes().map(|probe| figure(&probe))).map_or_else(String::new, |spread| spread.text(2))
    };
    let refused: u64 = report.measured.iter().map(|measured| measured.refused).sum();
    let smoke = if report.args.smoke { "\nSMOKE RUN: it works; the figures mean nothing." } else { "" };
    format!(
        "commit {}, {} rounds of {} s, values of {} B, keys by Zipf's law over 10,000 streams, seed {}{smoke}\n\
         median over rounds (least-greatest); load {}, fsync {} ms; checked: every id once, versions gapless; {refused} \
         requests refused\n",
        report.commit,
        report.args.rounds,
        report.args.seconds,
        report.bytes,
        report.args.seed,
        spread(|probe| probe.load),
        spread(|probe| probe.fsync_ms),
    )
}

fn sections(report: &Report<'_>) -> [Section; 3] {
    let args = report.args;
    [
        Section {
            title: format!("append, closed loop, {} connections", args.connections),
            arm: Arm::Append,
            floor: Arm::AppendRaw,
            beside: Some(Arm::Echo),
        },
        Section {
            title: format!("append, open loop, {} a second", args.rate),
            arm: Arm::Paced,
            floor: Arm::PacedRaw,
            beside: None,
        },
        Section {
            title: format!("import of {} events", args.import_events),
            arm: Arm::Import,
            floor: Arm::ImportRaw,
            beside: None,
        },
    ]
}

fn label(arm: Arm) -> &'static str {
    match arm {
        Arm::Append | Arm::Paced => "event-store over HTTP",
        Arm::Import => "event-store",
        Arm::AppendRaw => "floor: raw windows, as many clients",
        Arm::PacedRaw => "floor: a raw transaction each",
        Arm::ImportRaw => "floor: raw windows",
        Arm::Echo => "echo: HTTP and JSON alone",
    }
}

/// A figure of an arm in a round, if it has it.
type Figure = fn(&Measured) -> Option<f64>;

/// What is told of an arm in a round, column by column, with decimals.
const FIGURES: [(Figure, usize); 4] = [
    (|measured| Some(measured.rate()), 0),
    (|measured| measured.latency_ms(0.5), 2),
    (|measured| measured.latency_ms(0.99), 2),
    (|measured| measured.latency_ms(0.999), 2),
];

fn figures(report: &Report<'_>, arm: Arm) -> Vec<String> {
    let of_arm = || report.measured.iter().filter(move |measured| measured.arm == arm);
    let told = FIGURES
        .iter()
        .filter_map(|(figure, decimals)| Spread::of(of_arm().filter_map(figure)).map(|spread| spread.text(*decimals)));
    told.collect()
}

/// The ratios within rounds.
fn ratios(report: &Report<'_>, arm: Arm, floor: Arm) -> Vec<String> {
    let of = |arm: Arm, round: u32| {
        report.measured.iter().find(move |measured| measured.arm == arm && measured.round == round)
    };
    let told = FIGURES.iter().filter_map(|(figure, _)| {
        let within = |round| Some(figure(of(arm, round)?)? / figure(of(floor, round)?)?);
        Spread::of((1..=report.args.rounds).filter_map(within)).map(|spread| spread.text(2))
    });
    told.collect()
}

/// Who used the processor while the arm ran, in processors.
fn processors(report: &Report<'_>, arm: Arm) -> String {
    let of_arm: Vec<&Measured> = report.measured.iter().filter(|measured| measured.arm == arm).collect();
    let names = of_arm.first().map(|measured| measured.cpu_s.iter().map(|(name, _)| *name)).into_iter().flatten();
    let shares = names.enumerate().filter_map(|(at, name)| {
        let share = |measured: &&Measured| measured.cpu_s[at].1 / measured.elapsed.as_secs_f64();
        let share = Spread::of(of_arm.iter().map(share))?;
        (share.median >= 0.005).then(|| format!("{name} {:.2}", share.median))
    });
    format!("processors in use: {}", shares.collect::<Vec<_>>().join(", "))
}

fn line(first: &str, columns: impl IntoIterator<Item = String>) -> String {
    let (label, column) = WIDTHS;
    let columns: String = columns.into_iter().map(|text| format!("{text:>column$}")).collect();
    format!("{first:<label$}{columns}")
}
