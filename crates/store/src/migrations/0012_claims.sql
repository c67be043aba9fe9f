-- A signed release brings several files with one row of the journal.
CREATE TABLE file_of_a_row (
    project               TEXT NOT NULL REFERENCES project (name),
    filename              TEXT NOT NULL,
    sha256                TEXT NOT NULL,
    size                  INTEGER NOT NULL,
    uploaded_at           TEXT NOT NULL,
    uploaded_by           TEXT NOT NULL,
    seq                   INTEGER NOT NULL REFERENCES journal (seq),
    published             INTEGER NOT NULL DEFAULT 0,
    removed               INTEGER NOT NULL DEFAULT 0,
    yanked                TEXT,
    back_signed           INTEGER NOT NULL DEFAULT 0,
    gpg_signature_sha256  TEXT,
    provenance_sha256     TEXT,
    PRIMARY KEY (project, filename)
) STRICT, WITHOUT ROWID;

INSERT INTO file_of_a_row (project, filename, sha256, size, uploaded_at, uploaded_by, seq,
    published, removed, yanked, back_signed, gpg_signature_sha256, provenance_sha256)
SELECT project, filename, sha256, size, uploaded_at, uploaded_by, seq, published, removed, yanked,
    back_signed, gpg_signature_sha256, provenance_sha256
FROM file;

DROP TABLE file;
ALTER TABLE file_of_a_row RENAME TO file;
CREATE INDEX file_by_seq ON file (seq);

-- What a project's own people have signed, until the snapshot process has decided about it: one
-- release of each project at a time.
CREATE TABLE release_part (
    seq       INTEGER NOT NULL PRIMARY KEY,
    project   TEXT NOT NULL UNIQUE,
    metadata  BLOB NOT NULL,
    page      BLOB NOT NULL
) STRICT;

-- Projects whose own people sign for them, as far as the web process knows. `published` says that a
-- snapshot has it; who signs for a project stands in what is signed, and nowhere else.
CREATE TABLE claim (
    project     TEXT NOT NULL PRIMARY KEY,
    person      TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    claimed_at  TEXT NOT NULL,
    published   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX claim_by_person ON claim (person);
CREATE INDEX claim_by_seq ON claim (seq);

-- Whose a key is: it is registered for one user, by the claim in which it was first seen.
CREATE TABLE developer_key (
    keyid   TEXT NOT NULL PRIMARY KEY,
    person  TEXT NOT NULL,
    seq     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX developer_key_by_seq ON developer_key (seq);
