-- A file that a snapshot has taken away keeps its row, for its name never takes other bytes.
-- What is asked for of a file that is there stands in the journal alone until a snapshot has it.
ALTER TABLE file ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;

-- The reason for which it is yanked (PEP 592), empty where none was given.
ALTER TABLE file ADD COLUMN yanked TEXT;

-- Whether it was there before the index was first signed.
ALTER TABLE file ADD COLUMN back_signed INTEGER NOT NULL DEFAULT 0;
