-- The projector's book-keeping. The rows themselves are in one schema per context, one table per model.

-- Numbers for writers: whoever takes a model over draws one, and a writer with an older one cannot commit.
CREATE SEQUENCE spina.generations;

-- One row per table that a projection fills: the live one, and the one of a rebuild while there is one.
-- The row is the lock and the checkpoint: a batch commits only if generation and next_offsets are what its writer
-- believes, so neither a frozen former projector nor a lost answer can apply anything twice.
CREATE TABLE spina.models (
    context      text        NOT NULL,
    model        text        NOT NULL,
    slot         text        NOT NULL CHECK (slot IN ('live', 'rebuild')),
    -- of the projector that fills the table; each one that takes it over draws a new one
    generation   bigint      NOT NULL,
    -- next offset to read of each partition of the events topic, by partition
    next_offsets bigint[]    NOT NULL,
    -- of the definition that filled the table
    fingerprint  text        NOT NULL,
    -- columns and types of the table, so that it can be read without the definition
    shape        jsonb       NOT NULL,
    paused       boolean     NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (context, model, slot)
) WITH (fillfactor = 50);
