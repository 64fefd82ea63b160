-- A model may be filled from the events of several contexts. `next_offsets` is one list over all of its topics, in this
-- order: [{"topic": "booking.events.v1", "partitions": 4}, ...]. So it is still one value that a batch moves and guards.
ALTER TABLE spina.models ADD COLUMN inputs jsonb;
UPDATE spina.models SET inputs = jsonb_build_array(
    jsonb_build_object('topic', context || '.events.v1', 'partitions', cardinality(next_offsets)));
ALTER TABLE spina.models ALTER COLUMN inputs SET NOT NULL;
-- When the latest event happened that the table has taken, for each input; null before the first.
ALTER TABLE spina.models ADD COLUMN event_times timestamptz[] NOT NULL DEFAULT '{}';

-- A place in the log is no longer told by partition and offset alone. Letters of a key are in the order in which they came:
-- that is the order of the log for those of one topic, and the only one there is between topics.
ALTER TABLE spina.dead_letters DROP CONSTRAINT dead_letters_context_model_slot_partition_log_offset_key;
ALTER TABLE spina.dead_letters ADD UNIQUE (context, model, slot, topic, partition, log_offset);
DROP INDEX spina.dead_letters_by_key;
CREATE INDEX dead_letters_by_key ON spina.dead_letters (context, model, slot, key, id);

ALTER TABLE spina.dead_letter_decisions ADD COLUMN topic text;
UPDATE spina.dead_letter_decisions SET topic = context || '.events.v1';
ALTER TABLE spina.dead_letter_decisions DROP CONSTRAINT dead_letter_decisions_pkey;
ALTER TABLE spina.dead_letter_decisions ADD PRIMARY KEY (context, model, topic, partition, log_offset);
