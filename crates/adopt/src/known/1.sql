BEGIN;

-- `imported`: whether the first import is over. `pass`: the number of the last pass.
CREATE TABLE state (
    id        INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    pass      INTEGER NOT NULL,
    imported  INTEGER NOT NULL
) STRICT;

INSERT INTO state (id, pass, imported) VALUES (1, 0, 0);

-- A file that was handed to the journal, and how its source showed it then. `state`: 0 signed,
-- 1 removed, 2 withdrawn for good. `seen`: the last pass in which the source listed it.
CREATE TABLE file (
    project    TEXT NOT NULL,
    filename   TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    known_by   TEXT,
    yanked     TEXT,
    state      INTEGER NOT NULL,
    kept_over  TEXT,
    seq        INTEGER,
    seen       INTEGER NOT NULL,
    PRIMARY KEY (project, filename)
) STRICT, WITHOUT ROWID;

CREATE INDEX file_by_seq ON file (seq);

-- What the first import could not read. The empty name stands for the whole project.
CREATE TABLE owed (
    project   TEXT NOT NULL,
    filename  TEXT NOT NULL,
    PRIMARY KEY (project, filename)
) STRICT, WITHOUT ROWID;

-- Projects whose first import is over although that of the whole source is not.
CREATE TABLE chosen (
    project  TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;

COMMIT;
