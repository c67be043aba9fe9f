"""A Sigstore of a test's own: attestations by whomever a test wants, and the root that they hold by.

The program that makes them is built with the workspace and lies beside the binary that is tested.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest


def program() -> Path:
    given = os.environ.get("WHEELMARK_BIN")
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[3] / "target"))
    folders = [target / "debug"]
    if given:
        folders[:0] = [Path(given).absolute().parent, Path(given).absolute().parent.parent / "debug"]
    for folder in folders:
        if (folder / "private-sigstore").is_file():
            return folder / "private-sigstore"
    pytest.fail(f"no private-sigstore in {folders[0]}: cargo build --workspace --all-features")


class PrivateSigstore:
    """Keys of its own, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run("new", folder)

    @property
    def trusted_root(self) -> Path:
        return self.folder / "trusted_root.json"

    def _run(self, *words: object) -> None:
        command = [str(program()), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    def _attest(self, file: Path, publishers: list[str], words: list[object]) -> None:
        who = [word for publisher in publishers for word in ("--publisher", publisher)]
        self._run("attest", self.folder, file, *who, *words)

    def attest(self, file: Path, publisher: str = "github:o/r@release.yml", *, ref: str = "refs/tags/v1.0", slsa: bool = False, options: tuple[object, ...] = ()) -> Path:
        """Writes the attestation beside the file, as `twine upload --attestations` and `uv publish`
        pick it up."""
        words: list[object] = ["--ref", ref, *(["--slsa"] if slsa else []), *options]
        self._attest(file, [publisher], words)
        return file.with_name(f"{file.name}.{'slsa' if slsa else 'publish'}.attestation")

    def provenance(self, file: Path, *publishers: str, ref: str = "refs/tags/v1.0", options: tuple[object, ...] = ()) -> Path:
        """Writes a provenance object beside the file, with a bundle for each publisher."""
        who = list(publishers) or ["github:o/r@release.yml"]
        self._attest(file, who, ["--provenance", "--ref", ref, *options])
        return file.with_name(f"{file.name}.provenance")


class Services:
    """Authority and transparency log of a private Sigstore over HTTP, as the real ones speak it.

    `issuers` are whose tokens it takes: `github=URL` for jobs, `email=URL` for people.
    """

    def __init__(self, sigstore: PrivateSigstore, *issuers: str, env: Mapping[str, str]) -> None:
        self.sigstore = sigstore
        words = [word for issuer in issuers for word in ("--issuer", issuer)]
        command = [str(program()), "serve", str(sigstore.folder), *words]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | dict(env))
        assert self._process.stdout is not None
        self.url: str = json.loads(self._process.stdout.readline())["url"]

    @property
    def options(self) -> tuple[object, ...]:
        """What leads `wheelmark attest` here."""
        return ("--fulcio", self.url, "--rekor", self.url, "--trusted-root", self.sigstore.trusted_root)

    def __enter__(self) -> "Services":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.communicate()
