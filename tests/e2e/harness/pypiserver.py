"""A real pypiserver: a directory of files, served as a simple index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .foreign import Daemon, program


class Pypiserver(Daemon):
    """Serves what lies in `files`, whoever puts it there; without an answer for anything else."""

    def __init__(self, folder: Path, files: Path | None = None, *options: object) -> None:
        super().__init__(folder)
        self.files = files or folder / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        self._options = options

    def command(self) -> Sequence[object]:
        return [
            program("venv-devpi", "pypi-server"), "run", "--interface", "127.0.0.1", "--port", self.port,
            "--authenticate", ".", "--passwords", ".", "--disable-fallback", *self._options, self.files,
        ]

    @property
    def simple_url(self) -> str:
        return f"{self.url}simple/"
