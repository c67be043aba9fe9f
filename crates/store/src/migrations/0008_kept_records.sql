-- A snapshot stays recorded when it is published, until its files are known to be on the disk.
-- One at most is not published yet.
CREATE TABLE kept_intent (
    id                 INTEGER NOT NULL PRIMARY KEY,
    fence              INTEGER NOT NULL,
    snapshot_version   INTEGER NOT NULL,
    timestamp_version  INTEGER NOT NULL,
    through            INTEGER NOT NULL,
    timestamp          BLOB NOT NULL,
    after_publish      TEXT NOT NULL,
    completed          INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE kept_intent_object (
    intent    INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    path      TEXT NOT NULL,
    bytes     BLOB NOT NULL,
    PRIMARY KEY (intent, position),
    UNIQUE (intent, path)
) STRICT;

INSERT INTO kept_intent (id, fence, snapshot_version, timestamp_version, through, timestamp,
    after_publish)
SELECT id, fence, snapshot_version, timestamp_version, through, timestamp, after_publish
FROM intent;

INSERT INTO kept_intent_object (intent, position, path, bytes)
SELECT 1, position, path, bytes FROM intent_object;

DROP TABLE intent_object;
DROP TABLE intent;
ALTER TABLE kept_intent RENAME TO intent;
ALTER TABLE kept_intent_object RENAME TO intent_object;

-- Small objects of uploads, written without a flush and kept until they are on the disk.
CREATE TABLE kept_object (
    id     INTEGER NOT NULL PRIMARY KEY,
    seq    INTEGER NOT NULL,
    path   TEXT NOT NULL,
    bytes  BLOB NOT NULL
) STRICT;
