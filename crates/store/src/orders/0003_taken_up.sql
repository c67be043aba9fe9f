-- Whether the snapshot process is about to record it, or has: from then on it is not taken back.
ALTER TABLE ceremony ADD COLUMN taken_up INTEGER NOT NULL DEFAULT 0;
