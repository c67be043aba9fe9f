-- What state a project is in (PEP 792), as far as a snapshot has published it.
ALTER TABLE project ADD COLUMN status TEXT NOT NULL DEFAULT 'active';
ALTER TABLE project ADD COLUMN status_reason TEXT;
