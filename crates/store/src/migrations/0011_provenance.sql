-- The provenance that came with a file. One that is taken in never gets another.
ALTER TABLE file ADD COLUMN provenance_sha256 TEXT;

-- The number of a publisher's account, as it was seen first. It stays when projects cease to list the
-- publisher, so that whoever takes over its name later is not taken for it.
CREATE TABLE publisher_account (
    id       TEXT NOT NULL PRIMARY KEY,
    account  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
