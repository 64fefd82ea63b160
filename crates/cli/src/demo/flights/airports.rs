//! Which clock an airport's times are read off.

use std::collections::HashMap;
use std::io::Read;

use anyhow::{Context, Result};
use jiff::tz::TimeZone;
use serde::Deserialize;

/// Airports that flights go to and `airports.csv` does not have, with their zones of the IANA database.
const MISSING: [(&str, &str); 4] = [
    ("BQN", "America/Puerto_Rico"),
    ("PSE", "America/Puerto_Rico"),
    ("SJU", "America/Puerto_Rico"),
    ("STT", "America/St_Thomas"),
];

/// Time zones by FAA code.
pub struct Airports {
    zones: HashMap<String, TimeZone>,
}

#[derive(Deserialize)]
struct Airport {
    faa: String,
    tzone: String,
}

impl Airports {
    /// Reads `airports.csv`. Airports without a zone there are left out: no flight goes to them.
    pub fn read(csv: impl Read) -> Result<Self> {
        let mut zones = HashMap::new();
        let listed = csv::Reader::from_reader(csv).into_deserialize::<Airport>().collect::<Result<Vec<_>, _>>();
        for airport in listed.context("read airports.csv")? {
            if let Ok(zone) = TimeZone::get(&airport.tzone) {
                zones.insert(airport.faa, zone);
            }
        }
        for (faa, zone) in MISSING {
            zones.insert(faa.to_owned(), TimeZone::get(zone).context("look up a time zone")?);
        }
        Ok(Self { zones })
    }

    /// The zone of an airport.
    pub fn zone(&self, faa: &str) -> Result<&TimeZone> {
        self.zones.get(faa).with_context(|| format!("airport {faa} has no time zone in airports.csv"))
    }
}
