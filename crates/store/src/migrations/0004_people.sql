CREATE TABLE person (
    name         TEXT NOT NULL PRIMARY KEY,
    created_at   TEXT NOT NULL,
    disabled_at  TEXT
) STRICT, WITHOUT ROWID;

-- Whoever ran the index until now made its tokens, and uploaded everything.
INSERT INTO person (name, created_at)
SELECT 'operator', min(created_at) FROM token HAVING count(*) > 0;

-- `finder` is the beginning of the digest: it finds the few candidate rows, which are then
-- compared in constant time. `project` is set for a token that uploads to that one alone; it
-- need not exist yet.
CREATE TABLE token_of_a_person (
    id             TEXT NOT NULL PRIMARY KEY,
    person         TEXT NOT NULL REFERENCES person (name),
    scope          TEXT NOT NULL CHECK (scope IN ('read', 'upload', 'admin')),
    project        TEXT CHECK (project IS NULL OR scope = 'upload'),
    finder         TEXT NOT NULL,
    secret_sha256  TEXT NOT NULL,
    created_at     TEXT NOT NULL,
    expires_at     TEXT,
    last_used_at   TEXT,
    revoked_at     TEXT,
    note           TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO token_of_a_person (id, person, scope, finder, secret_sha256, created_at, note)
SELECT id, 'operator', 'admin', finder, secret_sha256, created_at, note FROM token;

DROP TABLE token;
ALTER TABLE token_of_a_person RENAME TO token;
CREATE INDEX token_by_finder ON token (finder);

CREATE TABLE role (
    project     TEXT NOT NULL REFERENCES project (name),
    person      TEXT NOT NULL REFERENCES person (name),
    role        TEXT NOT NULL CHECK (role IN ('owner', 'maintainer')),
    granted_at  TEXT NOT NULL,
    PRIMARY KEY (project, person)
) STRICT, WITHOUT ROWID;

INSERT INTO role (project, person, role, granted_at)
SELECT project.name, person.name, 'owner', project.created_at FROM project, person;

-- How the index is set while it runs.
CREATE TABLE setting (
    name   TEXT NOT NULL PRIMARY KEY,
    value  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who did what. `person` and `token` are of somebody with a token, `account` is that of whoever
-- ran a command; an attempt by nobody that is known has none of the three.
CREATE TABLE audit (
    number   INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at       TEXT NOT NULL,
    person   TEXT,
    token    TEXT,
    account  TEXT,
    action   TEXT NOT NULL,
    project  TEXT,
    subject  TEXT,
    address  TEXT,
    detail   TEXT
) STRICT;

CREATE INDEX audit_by_project ON audit (project, number);

-- No code of ours changes a row; this is against mistakes, not against intruders.
CREATE TRIGGER audit_keeps_its_rows BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'the audit log is only appended to'); END;

CREATE TRIGGER audit_changes_no_row BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'the audit log is only appended to'); END;
