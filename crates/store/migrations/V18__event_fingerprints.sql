-- What a repeat of an event's request is recognised by, so that a new owner need not read the values again. Events that were
-- archived before have none; of those the value tells.
ALTER TABLE spina.events ADD COLUMN fingerprint bigint;
