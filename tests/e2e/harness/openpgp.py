"""An author's OpenPGP key, made by GnuPG in a home of its own, and a packager who uses uscan."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from .sandbox import Outcome, Sandbox


# Of some file, by some key: right by its form, for those who do not verify it.
SIGNATURE = """\
-----BEGIN PGP SIGNATURE-----

iHUEABYIAB0WIQQO02PL5n2O9Am5eL1Qu6iAGlhuiQUCawHbGgAKCRBQu6iAGlhu
iVYKAQC67giD1tqtPIVTrY2Gxyu76qbPVYgdKiZ0nW/hHkLeYQD8CrvzgHoh31Mi
KMwEO1BhQDIJZ8TFgTknfVfyUmPZLg8=
=lPzA
-----END PGP SIGNATURE-----
"""


def program(name: str) -> Path:
    """A program of the system; the test is skipped where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"skipped: needs {name}")
    return Path(found)


class Author:
    """Somebody with a key. To be used in a `with` block: GnuPG's agent ends with it."""

    def __init__(self, name: str = "author") -> None:
        self._gpg = program("gpg")
        self.name = name

    def __enter__(self) -> "Author":
        # A short path: the agent's socket lies there.
        self.home = Path(tempfile.mkdtemp(prefix="gpg-"))
        self._run(
            "--pinentry-mode", "loopback", "--passphrase", "",
            "--quick-generate-key", f"{self.name} <{self.name}@example.org>", "ed25519", "sign", "never",
        )
        return self

    def __exit__(self, *_rest: object) -> None:
        subprocess.run(
            ["gpgconf", "--homedir", self.home, "--kill", "all"], capture_output=True, check=False, timeout=30
        )
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def env(self) -> dict[str, str]:
        return {"GNUPGHOME": str(self.home)}

    def _run(self, *args: object, given: bytes | None = None) -> bytes:
        words = [str(word) for word in (self._gpg, "--batch", "--quiet", *args)]
        done = subprocess.run(words, input=given, capture_output=True, env=os.environ | self.env, timeout=60)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def sign(self, content: bytes) -> bytes:
        """A detached signature, armoured."""
        return self._run("--armor", "--detach-sign", given=content)

    def certificate(self) -> bytes:
        """What others verify with, armoured."""
        return self._run("--armor", "--export")

    def keyring(self, path: Path) -> Path:
        """The same as `gpgv` reads it."""
        path.write_bytes(self._run("--export"))
        return path


class Packager:
    """A Debian source package of one project, at a version older than any, with one author's key."""

    def __init__(self, sandbox: Sandbox, project: str, watch: str, author: Author | None) -> None:
        self._sandbox, self._uscan = sandbox, program("uscan")
        self.folder = Path(tempfile.mkdtemp(prefix="package-", dir=sandbox.work)) / project
        debian = self.folder / "debian"
        (debian / "upstream").mkdir(parents=True)
        (debian / "watch").write_text(watch)
        (debian / "changelog").write_text(
            f"{project} (0.1-1) unstable; urgency=medium\n\n  * For the tests.\n\n"
            " -- A Packager <packager@example.org>  Sat, 21 Nov 2026 10:00:00 +0000\n"
        )
        if author is not None:
            (debian / "upstream" / "signing-key.asc").write_bytes(author.certificate())

    def uscan(self) -> Outcome:
        """Downloads the newest archive, and verifies it as the watch file says."""
        return self._sandbox.run(self._uscan, "--no-conf", "--verbose", cwd=self.folder)

    def archives(self) -> dict[str, bytes]:
        """The source archives that a build would take, by name."""
        return {path.name: path.read_bytes() for path in self.folder.parent.glob("*.orig.tar.gz")}
