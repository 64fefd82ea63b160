-- A snapshot says which partition its stream is in and how far the log went when it was taken, so that one of a lost log
-- is found before anything is served, and keeps a hash, so that a damaged one is not used. Snapshots are disposable:
-- those without are dropped and come back.
TRUNCATE spina.snapshots;
ALTER TABLE spina.snapshots
    ADD COLUMN partition       integer NOT NULL,
    ADD COLUMN log_next_offset bigint  NOT NULL,
    ADD COLUMN hash            bigint  NOT NULL;
CREATE INDEX snapshots_by_place ON spina.snapshots (context, partition, log_next_offset);
