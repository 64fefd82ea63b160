-- What was done with jobs is told to a topic: each entry until it is told.
ALTER TABLE spina.job_log ADD COLUMN told boolean NOT NULL DEFAULT false;
CREATE INDEX job_log_to_tell ON spina.job_log (number) WHERE NOT told;
