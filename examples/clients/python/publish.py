"""Cancels a flight through the commands topic, and reads the reply and the event that it became."""

import datetime
import io
import json
import struct
import sys
import time
import urllib.request
import uuid

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition

PATIENCE_S = 60
COMMANDS, REPLIES, EVENTS = "flights.commands.v1", "flights.replies.v1", "flights.events.v1"


class Registry:
    """Schemas by id, and values in the registry's framing: a zero byte, the id in four bytes, then Avro."""

    def __init__(self, url):
        self.url = url
        self.schemas = {}

    def framed(self, subject, record):
        """A record in the latest schema of a subject."""
        found = self._get(f"/subjects/{subject}/versions/latest")
        out = io.BytesIO(struct.pack(">bI", 0, found["id"]))
        out.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(found["schema"])), record)
        return out.getvalue()

    def read(self, framed):
        """The record in a frame."""
        magic, schema_id = struct.unpack(">bI", framed[:5])
        assert magic == 0, "no frame of the registry"
        if schema_id not in self.schemas:
            text = self._get(f"/schemas/ids/{schema_id}")["schema"]
            self.schemas[schema_id] = fastavro.parse_schema(json.loads(text))
        return fastavro.schemaless_reader(io.BytesIO(framed[5:]), self.schemas[schema_id])

    def _get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE_S) as answer:
            return json.load(answer)


def ends(consumer, topic):
    """Where each partition of a topic ends now, known before anything is published."""
    metadata = consumer.list_topics(topic, timeout=PATIENCE_S).topics[topic]
    partitions = [TopicPartition(topic, number) for number in metadata.partitions]
    for partition in partitions:
        _, partition.offset = consumer.get_watermark_offsets(partition, timeout=PATIENCE_S)
    return partitions


def main(kafka, registry_url):
    registry = Registry(registry_url)
    command_id = str(uuid.uuid4())
    stream = f"flight-PY{command_id[:8]}-20140101-JFK"
    trace = uuid.uuid4().hex
    consumer = Consumer({
        "bootstrap.servers": kafka,
        "group.id": "not-used",
        "enable.auto.commit": False,
        # What is not committed, or will never be, is not seen.
        "isolation.level": "read_committed",
    })
    consumer.assign(ends(consumer, REPLIES) + ends(consumer, EVENTS))

    producer = Producer({
        "bootstrap.servers": kafka,
        "enable.idempotence": True,
        # As Java does it: all that is about a stream belongs into one partition.
        "partitioner": "murmur2_random",
    })
    cancelled = {"carrier": "PY", "origin": "JFK", "dest": "LAX", "day": datetime.date(2014, 1, 1)}
    failures = []
    producer.produce(
        COMMANDS,
        key=stream,
        value=registry.framed(f"{COMMANDS}-flights.FlightCancelled", cancelled),
        headers={
            # The same id again is the same command again, and gets the same reply.
            "ce_id": command_id,
            "spina-expected-version": "no_stream",
            "traceparent": f"00-{trace}-{trace[:16]}-01",
        },
        on_delivery=lambda error, _: failures.append(error) if error else None,
    )
    left = producer.flush(PATIENCE_S)
    assert left == 0 and not failures, failures

    seen = set()
    end = time.monotonic() + PATIENCE_S
    while seen != {REPLIES, EVENTS}:
        assert time.monotonic() < end, f"no reply or no event of {stream}"
        record = consumer.poll(0.5)
        # A rare record with an empty key is a mark of the event-store and no event.
        if record is None or record.error() or record.key() != stream.encode():
            continue
        value = registry.read(record.value())
        headers = {name: text.decode() for name, text in record.headers() or []}
        if record.topic() == REPLIES:
            assert value["outcome"] == "accepted", value
        else:
            assert headers["ce_type"] == "flights.flight.FlightCancelled", headers
            assert headers["ce_sequence"] == "1", headers
            assert headers["traceparent"].split("-")[1] == trace, headers
        seen.add(record.topic())
        print(record.topic(), stream, value)
    consumer.close()


main(*sys.argv[1:])
