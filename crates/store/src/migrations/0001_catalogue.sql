CREATE TABLE project (
    name        TEXT NOT NULL PRIMARY KEY,
    created_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: a sequence number is never used again, even after a row has gone.
CREATE TABLE journal (
    seq     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    change  TEXT NOT NULL
) STRICT;

CREATE TABLE file (
    project      TEXT NOT NULL REFERENCES project (name),
    filename     TEXT NOT NULL,
    sha256       TEXT NOT NULL,
    size         INTEGER NOT NULL,
    uploaded_at  TEXT NOT NULL,
    uploaded_by  TEXT NOT NULL,
    seq          INTEGER NOT NULL UNIQUE REFERENCES journal (seq),
    published    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (project, filename)
) STRICT, WITHOUT ROWID;

-- Exactly one of the two last columns is set.
CREATE TABLE outcome (
    seq               INTEGER NOT NULL PRIMARY KEY REFERENCES journal (seq),
    snapshot_version  INTEGER,
    refused           TEXT,
    CHECK ((snapshot_version IS NULL) <> (refused IS NULL))
) STRICT;

CREATE TABLE lease (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    fence   INTEGER NOT NULL,
    holder  TEXT NOT NULL
) STRICT;

INSERT INTO lease (id, fence, holder) VALUES (1, 0, 'nobody');

CREATE TABLE intent (
    id                 INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    fence              INTEGER NOT NULL,
    snapshot_version   INTEGER NOT NULL,
    timestamp_version  INTEGER NOT NULL,
    through            INTEGER NOT NULL,
    timestamp          BLOB NOT NULL,
    after_publish      TEXT NOT NULL
) STRICT;

CREATE TABLE intent_object (
    position  INTEGER NOT NULL PRIMARY KEY,
    path      TEXT NOT NULL UNIQUE,
    bytes     BLOB NOT NULL
) STRICT;

-- `finder` is the beginning of the digest: it finds the few candidate rows, which are then
-- compared in constant time.
CREATE TABLE token (
    id             TEXT NOT NULL PRIMARY KEY,
    finder         TEXT NOT NULL,
    secret_sha256  TEXT NOT NULL,
    created_at     TEXT NOT NULL,
    note           TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX token_by_finder ON token (finder);
