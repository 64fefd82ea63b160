-- What was wanted of many sagas at a time, by whom, and why. Kept before the sagas are told, whose own logs say so too.
CREATE TABLE spina.saga_batches (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT now(),
    verb   text        NOT NULL,
    filter jsonb       NOT NULL,
    by     text        NOT NULL,
    reason text        NOT NULL,
    sagas  bigint      NOT NULL
);
