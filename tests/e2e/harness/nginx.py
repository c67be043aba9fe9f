"""A real nginx: in front of a directory, or as a caching proxy, with settings from our documents."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from .foreign import Daemon, nginx_program

DOCS = Path(__file__).resolve().parents[3] / "docs"


def documented(document: str, mark: str = "") -> str:
    """The first block of nginx settings in `docs/DOCUMENT` that contains `mark`."""
    blocks = re.findall(r"^```nginx\n(.*?)^```$", (DOCS / document).read_text(), re.MULTILINE | re.DOTALL)
    found = [block for block in blocks if mark in block]
    assert found, f"docs/{document} has no nginx settings with {mark!r}"
    return found[0]


class Nginx(Daemon):
    """One server whose settings are those of a document, with the document's own values replaced.

    `replaced` says what stands for what: the port and the folders of this machine. Each must
    occur, so that a document that has changed does not pass unnoticed.
    """

    def __init__(self, folder: Path, settings: str, replaced: Mapping[str, object]) -> None:
        super().__init__(folder)
        self.settings, self.replaced = settings, dict(replaced)

    @classmethod
    def of_directory(cls, folder: Path, root: Path) -> "Nginx":
        """Serves the tree in `root` as docs/layout.md says."""
        return cls(folder, documented("layout.md", "root /srv/index;"), {"/srv/index": root})

    def command(self) -> Sequence[object]:
        return [nginx_program(), "-p", self.folder, "-c", self._write()]

    @property
    def index_url(self) -> str:
        return f"{self.url}simple/"

    def _write(self) -> Path:
        block = self.settings
        for old, new in {"listen 8080;": f"listen 127.0.0.1:{self.port};", **self.replaced}.items():
            assert old in block, f"the settings do not say {old!r}:\n{block}"
            block = block.replace(old, str(new))
        # A folder of a test belongs to whoever runs it and to nobody else; so do the workers.
        user = "user root;\n" if os.geteuid() == 0 else ""
        scratch = "".join(
            f"{name}_temp_path {self.folder}/tmp/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        whole = (
            f"{user}daemon off;\nworker_processes 2;\npid {self.folder}/nginx.pid;\n"
            f"error_log {self.log} warn;\nevents {{ worker_connections 512; }}\n"
            f"http {{\naccess_log {self.access};\n{scratch}{block}}}\n"
        )
        path = self.folder / "nginx.conf"
        path.write_text(whole)
        return path

    @property
    def access(self) -> Path:
        """One line for each request that was answered."""
        return self.folder / "access.log"
