-- The OpenPGP certificates that a snapshot has bound into a project's page last, as armoured
-- text, and whether a new file needs a signature by one of them. The web process judges by this.
ALTER TABLE project ADD COLUMN certificates TEXT;
ALTER TABLE project ADD COLUMN signature_required INTEGER NOT NULL DEFAULT 0;
