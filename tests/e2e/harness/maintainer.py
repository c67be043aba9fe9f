"""Maintainers who sign with GnuPG: with keys that are good, were good once, or are taken back."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


class Maintainer:
    """Somebody with a key in a home of their own. To be used in a `with` block: GnuPG's agent ends with it.

    With `at`, all that they do happens at that time, such as `20241101T000000`.
    """

    def __init__(self, name: str, *, at: str | None = None, expires: str = "never") -> None:
        found = shutil.which("gpg")
        if found is None:
            pytest.skip("skipped: needs gpg")
        self._gpg, self.name, self._expires = found, name, expires
        self._time = ["--faked-system-time", f"{at}!"] if at else []

    def __enter__(self) -> "Maintainer":
        # A short path: the agent's socket lies there.
        self.home = Path(tempfile.mkdtemp(prefix="gpg-"))
        self._run(
            "--pinentry-mode", "loopback", "--passphrase", "",
            "--quick-generate-key", f"{self.name} <{self.name}@example.org>", "ed25519", "sign", self._expires,
        )
        return self

    def __exit__(self, *_rest: object) -> None:
        command = ["gpgconf", "--homedir", self.home, "--kill", "all"]
        subprocess.run(command, capture_output=True, check=False, timeout=30)
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, *args: object, given: bytes | None = None) -> bytes:
        words = [str(word) for word in (self._gpg, "--batch", "--quiet", *self._time, *args)]
        env = os.environ | {"GNUPGHOME": str(self.home)}
        done = subprocess.run(words, input=given, capture_output=True, env=env, check=False, timeout=60)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def sign(self, content: bytes) -> bytes:
        """A detached signature, armoured."""
        return self._run("--armor", "--detach-sign", given=content)

    def sign_and_spoil(self, content: bytes) -> bytes:
        """The same with its last bit turned, in armour that is whole."""
        raw = bytearray(self._run("--detach-sign", given=content))
        raw[-1] ^= 1
        data = base64.encodebytes(bytes(raw))
        return b"-----BEGIN PGP SIGNATURE-----\n\n" + data + b"-----END PGP SIGNATURE-----\n"

    def certificate(self) -> bytes:
        """What others verify with, armoured."""
        return self._run("--armor", "--export")

    def private_key(self) -> bytes:
        """What must not leave its owner, armoured."""
        return self._run("--armor", "--export-secret-keys")

    def fingerprint(self) -> str:
        lines = self._run("--list-keys", "--with-colons").decode().splitlines()
        return next(line.split(":")[9] for line in lines if line.startswith("fpr:"))

    def revoke(self) -> None:
        """Takes the certificate back, by the revocation that GnuPG has made beforehand."""
        prepared = self.home / "openpgp-revocs.d" / f"{self.fingerprint()}.rev"
        self._run("--import", given=prepared.read_bytes().replace(b"\n:-----BEGIN", b"\n-----BEGIN"))


def known_to_gnupg(certificates: bytes) -> str:
    """The fingerprints that GnuPG sees in a file of certificates."""
    with Maintainer("reader") as reader:
        return reader._run("--with-colons", "--show-keys", given=certificates).decode()
