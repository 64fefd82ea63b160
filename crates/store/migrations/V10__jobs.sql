-- Long work that people ask for: who asked, why, what for, and how far it is. A row is worked on by the process whose
-- claim (epoch) it carries; the heartbeat tells others when that process is gone.
CREATE TABLE spina.jobs (
    id           uuid        PRIMARY KEY,
    context      text        NOT NULL,
    spec         jsonb       NOT NULL,
    state        text        NOT NULL,
    requested_by text        NOT NULL,
    reason       text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    changed_at   timestamptz NOT NULL DEFAULT now(),
    starts       int8[]      NOT NULL,
    ends         int8[]      NOT NULL,
    next_offsets int8[]      NOT NULL,
    target_next  int8[]      NOT NULL,
    matched      int8        NOT NULL DEFAULT 0,
    error        text,
    runner       uuid,
    epoch        int8        NOT NULL DEFAULT 0,
    heartbeat    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX jobs_by_time ON spina.jobs (created_at DESC, id);
CREATE INDEX jobs_to_do ON spina.jobs (context, created_at) WHERE state = 'running';

-- What was done with jobs, by whom and why, in the transaction that did it.
CREATE TABLE spina.job_log (
    number  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job     uuid        NOT NULL REFERENCES spina.jobs (id) ON DELETE CASCADE,
    verb    text        NOT NULL,
    by      text        NOT NULL,
    reason  text        NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX job_log_by_job ON spina.job_log (job, number);
