-- Whose a key is, by each claim that names it: it is registered for one user as long as any of them
-- stands. The first claim that named a key is in the table that goes; the others are in the journal.
CREATE TABLE key_of_claim (
    keyid    TEXT NOT NULL,
    project  TEXT NOT NULL,
    person   TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (keyid, project)
) STRICT, WITHOUT ROWID;

INSERT INTO key_of_claim (keyid, project, person, seq)
SELECT developer_key.keyid, claim.project, developer_key.person, claim.seq
FROM developer_key JOIN claim ON claim.seq = developer_key.seq;

INSERT INTO key_of_claim (keyid, project, person, seq)
SELECT developer_key.keyid, claim.project, developer_key.person, claim.seq
FROM claim
JOIN journal ON journal.seq = claim.seq
JOIN json_each(CASE WHEN json_valid(journal.change) THEN journal.change END, '$.claim.keys') AS named
JOIN developer_key ON developer_key.keyid = named.value ->> '$.keyid'
WHERE true
ON CONFLICT DO NOTHING;

DROP TABLE developer_key;
ALTER TABLE key_of_claim RENAME TO developer_key;
CREATE INDEX developer_key_by_project ON developer_key (project);
CREATE INDEX developer_key_by_seq ON developer_key (seq);
