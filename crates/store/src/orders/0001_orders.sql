-- AUTOINCREMENT: a position is never used again, even after a row has gone.
CREATE TABLE "order" (
    seq       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    change    TEXT NOT NULL,
    asked_at  TEXT NOT NULL,
    asked_by  TEXT NOT NULL
) STRICT;

-- Exactly one of the two last columns is set.
CREATE TABLE outcome (
    seq               INTEGER NOT NULL PRIMARY KEY REFERENCES "order" (seq),
    snapshot_version  INTEGER,
    refused           TEXT,
    CHECK ((snapshot_version IS NULL) <> (refused IS NULL))
) STRICT;
