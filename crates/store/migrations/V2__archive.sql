-- The event-store's lagging copy of the log: for stream reads, SQL and take-over. Everything here comes back from the log.

-- Every event. `value` is the record's value as it stands in the log (Confluent frame and Avro).
CREATE TABLE spina.events (
    context        text        NOT NULL,
    stream         text        NOT NULL,
    version        bigint      NOT NULL,
    partition      integer     NOT NULL,
    log_offset     bigint      NOT NULL,
    event_type     text        NOT NULL,
    event_id       text        NOT NULL,
    happened_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    epoch          bigint      NOT NULL,
    request_id     text,
    correlation_id text,
    causation_id   text,
    traceparent    text,
    tracestate     text,
    value          bytea       NOT NULL,
    PRIMARY KEY (context, stream, version)
);
CREATE INDEX events_by_place ON spina.events (context, partition, log_offset);

-- The version of every stream, so that a new owner of a partition need not read its whole log.
CREATE TABLE spina.streams (
    context   text    NOT NULL,
    partition integer NOT NULL,
    stream    text    NOT NULL,
    version   bigint  NOT NULL,
    PRIMARY KEY (context, partition, stream)
) WITH (fillfactor = 80);

-- A fold of a stream's first `version` events. Disposable.
CREATE TABLE spina.snapshots (
    context     text        NOT NULL,
    stream      text        NOT NULL,
    version     bigint      NOT NULL,
    state       jsonb       NOT NULL,
    fingerprint text        NOT NULL,
    epoch       bigint      NOT NULL,
    taken_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (context, stream)
);

-- How far each partition is archived: everything before `next_offset` is in spina.events and spina.streams.
CREATE TABLE spina.watermarks (
    context     text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    epoch       bigint  NOT NULL,
    PRIMARY KEY (context, partition)
);

-- Who serves each partition.
CREATE TABLE spina.owners (
    context   text        NOT NULL,
    partition integer     NOT NULL,
    epoch     bigint      NOT NULL,
    endpoint  text        NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (context, partition)
);
