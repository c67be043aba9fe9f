"""Somebody who signs for a project of an index, on a machine of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from .distributions import Distribution
from .index import Index
from .sandbox import Outcome, Sandbox

PHRASE = "a phrase for the tests alone"


class Developer:
    """Somebody with a machine of their own, a key and a token of the index."""

    def __init__(self, folder: Path, binary: Path, index: Index, clock: dict[str, str] | None = None) -> None:
        self.sandbox = Sandbox(folder, binary, clock)
        self.sandbox.trust(index)
        credentials = folder / "credentials"
        credentials.mkdir()
        (credentials / "phrase").write_text(PHRASE)
        (folder / "token").write_text(index.token)
        self.env = {"CREDENTIALS_DIRECTORY": str(credentials)}
        self.key = folder / "me.age"
        self.token = folder / "token"
        made = self._signing("project", "keygen", "--out", self.key, "--json").ok()
        self.keyid = json.loads(made.out)["keyid"]

    def _signing(self, *words: object, env: Mapping[str, str] | None = None) -> Outcome:
        env = self.env | dict(env or {})
        return self.sandbox.wheelmark(*words, "--passphrase-credential", "phrase", env=env)

    def signs(self, *words: object, env: Mapping[str, str] | None = None) -> Outcome:
        """A command that signs with this key and sends what it has signed, unasked."""
        signer = ("--signer", f"file:{self.key}", "--token-file", self.token)
        return self._signing(*words, *signer, "--yes", env=env)

    def claim(self, project: str, *options: object, env: Mapping[str, str] | None = None) -> Outcome:
        return self.signs("project", "claim", project, *options, env=env)

    def publish(self, *dists: Distribution, options: tuple[object, ...] = ()) -> Outcome:
        files = [dist.write(self.sandbox.folder / "dist") for dist in dists]
        signer = ("--signer", f"file:{self.key}", "--token-file", self.token)
        return self._signing("publish", *files, *signer, "--yes", *options)

    def copies(self, *dists: Distribution) -> Path:
        """A directory with these files."""
        folder = self.sandbox.folder / "copies"
        for dist in dists:
            dist.write(folder)
        return folder
