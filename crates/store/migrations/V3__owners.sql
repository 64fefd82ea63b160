-- A partition may have no owner for a moment: the one that let go clears its endpoint, the next one sets its own. The epoch
-- stays, so that epochs grow even when an owner wrote nothing.
ALTER TABLE spina.owners ALTER COLUMN endpoint DROP NOT NULL;
