BEGIN;

-- How the source showed the other bytes of `kept_over`.
ALTER TABLE file ADD COLUMN kept_by TEXT;
UPDATE file SET kept_by = known_by, known_by = NULL WHERE kept_over IS NOT NULL;

-- Whether the pass that saw it last saw it before: it stands twice in the source.
ALTER TABLE file ADD COLUMN again INTEGER NOT NULL DEFAULT 0;

-- Whether it is about to be taken off the index, and that was perhaps not asked for yet.
ALTER TABLE file ADD COLUMN asking INTEGER NOT NULL DEFAULT 0;

CREATE INDEX file_by_asking ON file (project, filename) WHERE asking = 1;

-- What the source is, and where. `told`: whether a person was told how to go on.
ALTER TABLE state ADD COLUMN form TEXT;
ALTER TABLE state ADD COLUMN place TEXT;
ALTER TABLE state ADD COLUMN told INTEGER NOT NULL DEFAULT 0;

PRAGMA user_version = 2;

COMMIT;
