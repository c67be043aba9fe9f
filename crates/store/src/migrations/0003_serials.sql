-- The last change of each project that a snapshot published, for mirrors that ask what is new.
ALTER TABLE project ADD COLUMN serial INTEGER NOT NULL DEFAULT 0;

UPDATE project SET serial = coalesce(
    (SELECT max(seq) FROM file WHERE file.project = project.name AND published), 0);

CREATE INDEX project_by_serial ON project (serial);
