//! Rows of the year, and what becomes of them.

use serde_json::Value;

use super::*;

const HEADER: &str = "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,\
                      tailnum,origin,dest,air_time,distance,hour,minute,time_hour";
const AIRPORTS: &str = "faa,name,lat,lon,alt,tz,dst,tzone\n\
                        IAH,Houston,29.98,-95.34,97,-6,A,America/Chicago\n\
                        PBI,Palm Beach,26.68,-80.09,19,-5,A,America/New_York\n\
                        XXX,Nowhere,0,0,0,0,N,\\N\n";

/// Converts rows (real ones, unless a test says otherwise) and parses the lines written.
fn converted(rows: &[&str], days: Option<u16>) -> Result<(Totals, Vec<Value>)> {
    let dir = tempfile::tempdir()?;
    let dataset = Dataset { flights: dir.path().join("flights.csv"), airports: dir.path().join("airports.csv") };
    std::fs::write(&dataset.flights, format!("{HEADER}\n{}\n", rows.join("\n")))?;
    std::fs::write(&dataset.airports, AIRPORTS)?;
    let days = days.or(Some(365));
    let events = convert(&dataset, dir.path(), days)?;
    let again = convert(&dataset, dir.path(), days)?;
    assert_eq!((&again.path, again.totals), (&events.path, events.totals), "the second time finds the first's work");
    let lines = std::fs::read_to_string(&events.path)?;
    Ok((events.totals, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()))
}

fn brief(lines: &[Value]) -> Vec<String> {
    let word = |line: &Value, field: &str| line[field].to_string().replace('"', "");
    lines
        .iter()
        .map(|line| format!("{} {} {}", word(line, "time"), word(line, "type"), word(line, "expected_version")))
        .collect()
}

const UA1545: &str = "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z";
const EV4308: &str = "2013,1,1,NA,1630,NA,NA,1815,NA,EV,4308,N18120,EWR,RDU,NA,416,16,30,2013-01-01T21:00:00Z";

#[test]
fn a_flight_is_scheduled_departs_and_lands() {
    let (totals, lines) = converted(&[UA1545], None).unwrap();
    assert_eq!(totals, Totals { scheduled: 1, departed: 1, landed: 1, ..Totals::default() });
    assert_eq!(
        brief(&lines),
        [
            "2012-12-31T10:15:00Z FlightScheduled no_stream",
            "2013-01-01T10:17:00Z FlightDeparted 1",
            "2013-01-01T14:30:00Z FlightLanded 2",
        ]
    );
    assert_eq!(lines[0]["stream"], "flight-UA1545-20130101-EWR");
    assert_eq!(lines[2]["id"], "nycflights13/flight-UA1545-20130101-EWR/3");
    let scheduled = serde_json::json!({
        "carrier": "UA", "flight": 1545, "origin": "EWR", "dest": "IAH", "day": "2013-01-01", "tail_number": "N14228",
        "distance_miles": 1400, "scheduled_departure": "2013-01-01T10:15:00Z", "scheduled_arrival": "2013-01-01T14:19:00Z",
    });
    assert_eq!(lines[0]["data"], scheduled);
    let landed = serde_json::json!({
        "carrier": "UA", "origin": "EWR", "dest": "IAH", "day": "2013-01-01", "tail_number": "N14228",
        "distance_miles": 1400, "landed_at": "2013-01-01T14:30:00Z", "arrival_delay_min": 11, "air_time_min": 227,
    });
    assert_eq!(lines[2]["data"], landed);
}

#[test]
fn a_flight_is_called_off_when_it_should_leave() {
    let row = EV4308.replace("RDU", "IAH");
    let (totals, lines) = converted(&[&row], None).unwrap();
    assert_eq!(totals, Totals { scheduled: 1, cancelled: 1, ..Totals::default() });
    assert_eq!(brief(&lines)[1], "2013-01-01T21:30:00Z FlightCancelled 1");
    assert_eq!(lines[1]["data"].get("tail_number"), None);
}

#[test]
fn a_diverted_flight_ends_when_it_would_have_arrived() {
    // Left 55 minutes late and did not make Houston.
    let row = "2013,1,1,1525,1430,55,1934,1735,NA,UA,1228,NA,EWR,IAH,NA,1400,14,30,2013-01-01T19:00:00Z";
    let (totals, lines) = converted(&[row], None).unwrap();
    assert_eq!(totals, Totals { scheduled: 1, departed: 1, diverted: 1, ..Totals::default() });
    assert_eq!(brief(&lines)[2], "2013-01-02T00:30:00Z FlightDiverted 2");
    assert_eq!(lines[2]["data"]["tail_number"], Value::Null);
}

#[test]
fn the_night_without_two_oclock_lands_once() {
    let row = "2013,3,9,2306,2145,81,203,34,89,B6,35,N615JB,JFK,PBI,141,1028,21,45,2013-03-10T02:00:00Z";
    let (_, lines) = converted(&[row], None).unwrap();
    assert_eq!(brief(&lines)[2], "2013-03-10T07:03:00Z FlightLanded 2");
}

#[test]
fn events_of_all_flights_are_in_event_time_order() {
    let late = UA1545.replace("UA,1545", "UA,1");
    let (_, lines) = converted(&[&EV4308.replace("RDU", "PBI"), &late, UA1545], None).unwrap();
    let times: Vec<_> = lines.iter().map(|line| line["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(lines.len(), 8);
}

#[test]
fn a_limit_takes_whole_days() {
    let next = UA1545.replace("2013,1,1", "2013,1,2").replace("2013-01-01T", "2013-01-02T");
    assert_eq!(converted(&[UA1545, &next], Some(1)).unwrap().0.events(), 3);
    assert_eq!(converted(&[UA1545, &next], Some(2)).unwrap().0.events(), 6);
}

#[test]
fn a_row_that_contradicts_itself_is_refused() {
    let error = converted(&[&UA1545.replace(",11,UA", ",12,UA")], None).unwrap_err();
    assert!(format!("{error:#}").starts_with("convert row 1: arrival time says 2013-01-01T14:30:00Z"), "{error:#}");
    let error = converted(&[&UA1545.replace("IAH", "XXX")], None).unwrap_err();
    assert!(format!("{error:#}").contains("airport XXX has no time zone"), "{error:#}");
}
