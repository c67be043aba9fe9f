-- What ceremonies have brought, for the snapshot process to publish. At most one of the two last
-- columns is set; while neither is, it waits.
CREATE TABLE ceremony (
    seq               INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name              TEXT NOT NULL,
    asked_at          TEXT NOT NULL,
    asked_by          TEXT NOT NULL,
    snapshot_version  INTEGER,
    refused           TEXT,
    CHECK (snapshot_version IS NULL OR refused IS NULL)
) STRICT;

CREATE TABLE ceremony_file (
    seq    INTEGER NOT NULL REFERENCES ceremony (seq),
    name   TEXT NOT NULL,
    bytes  BLOB NOT NULL,
    PRIMARY KEY (seq, name)
) STRICT;
