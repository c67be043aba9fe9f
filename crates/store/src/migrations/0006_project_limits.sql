-- What the operator allows one project, in bytes, where that is not what the index allows all.
-- The project need not exist yet.
CREATE TABLE project_limit (
    project    TEXT NOT NULL PRIMARY KEY,
    file_len   INTEGER,
    total_len  INTEGER
) STRICT, WITHOUT ROWID;

-- `ProjectName::likeness`: names that look alike have the same.
CREATE INDEX project_by_likeness ON project (
    replace(replace(replace(replace(name, '-', ''), 'l', '1'), 'i', '1'), 'o', '0')
);
