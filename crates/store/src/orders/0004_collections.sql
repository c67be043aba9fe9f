-- Garbage collections that were asked for. While there is no answer, the snapshot process has one
-- to do; what it is to keep, how far it is and what it did have the snapshot process's own form.
CREATE TABLE collection (
    seq       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    keep      TEXT NOT NULL,
    asked_at  TEXT NOT NULL,
    asked_by  TEXT NOT NULL,
    progress  TEXT,
    done      TEXT,
    failed    TEXT,
    CHECK (done IS NULL OR failed IS NULL)
) STRICT;

-- The snapshots that were collected: what is left to compare with what was published of them.
CREATE TABLE snapshot (
    version  INTEGER NOT NULL PRIMARY KEY,
    sha256   TEXT NOT NULL,
    length   INTEGER NOT NULL,
    expires  TEXT NOT NULL
) STRICT;
