-- What the owner of a partition of sagas remembered when it had folded everything before `next_offset` of their log, so that
-- the next one folds the rest only. `last` names the record before that offset: a snapshot of another log is not used.
CREATE TABLE spina.saga_snapshots (
    partition   integer     PRIMARY KEY,
    next_offset bigint      NOT NULL,
    format      integer     NOT NULL,
    last        text        NOT NULL,
    running     bytea       NOT NULL,
    ended       bytea       NOT NULL,
    taken_at    timestamptz NOT NULL DEFAULT now()
);

-- Lists of one definition, in the order of ids.
CREATE INDEX sagas_by_definition_and_id ON spina.sagas (definition, id);
