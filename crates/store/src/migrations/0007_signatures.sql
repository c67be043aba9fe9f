-- The OpenPGP signature that came with a file. One that is taken in never gets another.
ALTER TABLE file ADD COLUMN gpg_signature_sha256 TEXT;
