-- When it was answered; none in rows of before.
ALTER TABLE ceremony ADD COLUMN answered_at TEXT;
