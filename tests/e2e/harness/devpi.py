"""A real devpi-server: indexes that take uploads, and mirrors of another index."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import requests

from .foreign import Daemon, program
from .sandbox import TOOLS

PASSWORD = "of-this-test"

# By default the server spends seconds of both cores on the key that its login tokens are made with.
QUICK_SECRET = ("--argon2-memory-cost", "8", "--argon2-parallelism", "1", "--argon2-time-cost", "1")


class Devpi(Daemon):
    """One server without the built-in mirror of the public index; `root` is its only user."""

    def __init__(self, folder: Path, *options: object) -> None:
        super().__init__(folder)
        self._options = options
        self._data = folder / "data"
        self._session = requests.Session()
        self._session.trust_env = False

    def command(self) -> Sequence[object]:
        return [
            program("venv-devpi", "devpi-server"), "--serverdir", self._data,
            "--host", "127.0.0.1", "--port", self.port, *QUICK_SECRET, *self._options,
        ]

    def start(self) -> "Devpi":
        if not self._data.exists():
            self.run(
                program("venv-devpi", "devpi-init"), "--serverdir", self._data,
                "--no-root-pypi", "--root-passwd", PASSWORD,
            )
        super().start()
        said = self._ask("POST", "+login", {"user": "root", "password": PASSWORD})
        word = base64.b64encode(f"root:{said['result']['password']}".encode()).decode()
        self._session.headers["X-Devpi-Auth"] = word
        return self

    def _ask(self, method: str, path: str, body: dict[str, object]) -> dict:
        answer = self._session.request(method, self.url + path, json=body, timeout=60)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}\n{self.log_text()}"
        return answer.json()

    def make_index(self, name: str = "dev") -> str:
        """An index that takes uploads, `root/NAME`; its simple URL."""
        self._ask("PUT", f"root/{name}", {"type": "stage", "bases": [], "volatile": True})
        return self.simple_url(name)

    def make_mirror(self, name: str, of: str, **settings: object) -> str:
        """A mirror of the simple URL `of`, `root/NAME`; its own simple URL."""
        self._ask("PUT", f"root/{name}", {"type": "mirror", "mirror_url": of, "volatile": True, **settings})
        return self.simple_url(name)

    def simple_url(self, name: str = "dev") -> str:
        return f"{self.url}root/{name}/+simple/"

    def upload(self, *files: Path, index: str = "dev") -> None:
        """Uploads with the real twine; every file must be taken."""
        self.run(
            TOOLS / "twine", "upload", "--non-interactive", "--disable-progress-bar",
            "--repository-url", f"{self.url}root/{index}/", "-u", "root", "-p", PASSWORD, *files,
        )

    def remove(self, project: str, version: str, index: str = "dev") -> None:
        """Takes a whole version out of an index."""
        self._ask("DELETE", f"root/{index}/{project}/{version}", {})
