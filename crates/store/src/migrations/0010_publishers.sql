-- Trusted publishers: who may exchange an identity token of theirs for an upload token. `id` is the
-- user that uploads for them; one identity has one, whatever projects list it. `place` finds the
-- candidates for a token: it is what of its claims says where it comes from. `identity` is what the
-- claims are held against, as JSON. `account` is the account's number at the issuer, where names
-- can change hands. A row with `pending_until` makes its project when it is first used.
CREATE TABLE publisher (
    id             TEXT NOT NULL,
    project        TEXT NOT NULL,
    issuer         TEXT NOT NULL,
    place          TEXT NOT NULL,
    identity       TEXT NOT NULL,
    account        TEXT,
    may_upload     INTEGER NOT NULL,
    owner          TEXT REFERENCES person (name),
    pending_until  TEXT,
    created_at     TEXT NOT NULL,
    last_used_at   TEXT,
    PRIMARY KEY (project, issuer, identity),
    CHECK ((owner IS NULL) = (pending_until IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX publisher_by_place ON publisher (issuer, place);
CREATE INDEX publisher_by_id ON publisher (id);

-- Identity tokens that were exchanged, by issuer and the digest of their `jti`, until they end.
CREATE TABLE exchanged (
    issuer  TEXT NOT NULL,
    digest  TEXT NOT NULL,
    until   INTEGER NOT NULL,
    PRIMARY KEY (issuer, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX exchanged_by_end ON exchanged (until);
