-- Events that a model could not take, and those that wait behind them. Written in the transaction of the batch that passes
-- them by: checkpoint and letters are one. Unlike everything else here, they are not dropped lightly: see `spina dead-letter`.
CREATE TABLE spina.dead_letters (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    context        text        NOT NULL,
    model          text        NOT NULL,
    slot           text        NOT NULL CHECK (slot IN ('live', 'rebuild', 'old')),
    -- what is kept in order: the record's key, empty if it has none
    key            bytea       NOT NULL,
    -- the record as it stands in the log
    topic          text        NOT NULL,
    partition      integer     NOT NULL,
    log_offset     bigint      NOT NULL,
    timestamp_ms   bigint      NOT NULL,
    record_key     bytea,
    value          bytea,
    -- each header as its lengths (u32 each, little endian, MAX for a null), name and value
    headers        bytea       NOT NULL,
    -- the same for people, where it is text
    event_type     text,
    event_id       text,
    correlation_id text,
    traceparent    text,
    -- why it is here; null while it only waits behind another one of its key
    class          text,
    error          text,
    attempts       integer     NOT NULL,
    parked_at      timestamptz NOT NULL DEFAULT now(),
    tried_at       timestamptz,
    UNIQUE (context, model, slot, partition, log_offset)
);
CREATE INDEX dead_letters_by_key ON spina.dead_letters (context, model, slot, key, log_offset);

-- What people decided about single events. A rebuild does as they said, so it comes out the same.
CREATE TABLE spina.dead_letter_decisions (
    context    text        NOT NULL,
    model      text        NOT NULL,
    partition  integer     NOT NULL,
    log_offset bigint      NOT NULL,
    -- the event is left out, or taken with another value (Confluent frame and Avro)
    verdict    text        NOT NULL CHECK (verdict IN ('leave_out', 'edit')),
    value      bytea,
    reason     text        NOT NULL,
    decided_by text        NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (context, model, partition, log_offset)
);

-- The table that the last swap put aside keeps its books, so that it can come back. A rebuild can be paused, and says
-- what it found when it was compared with the live table.
ALTER TABLE spina.models DROP CONSTRAINT models_slot_check;
ALTER TABLE spina.models ADD CONSTRAINT models_slot_check CHECK (slot IN ('live', 'rebuild', 'old'));
ALTER TABLE spina.models ADD COLUMN comparison jsonb;
