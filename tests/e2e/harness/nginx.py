"""A real nginx: in front of a directory, or as a caching proxy, with settings from our documents."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from .documents import Block, block
from .foreign import Daemon, nginx_program
from .index import Index
from .upload import Answer, request

class Nginx(Daemon):
    """One server whose settings are those of a document, with the document's own values replaced.

    `replaced` says what stands for what, besides the port.
    """

    def __init__(self, folder: Path, settings: Block, replaced: Mapping[str, object]) -> None:
        super().__init__(folder)
        self.settings, self.replaced = settings, dict(replaced)

    @classmethod
    def of_directory(cls, folder: Path, root: Path) -> "Nginx":
        """Serves the tree in `root` as docs/layout.md says."""
        return cls(folder, block("layout.md", "nginx", "root /srv/index;"), {"/srv/index": root})

    @classmethod
    def before(cls, folder: Path, index: Index) -> "Nginx":
        """A cache before an index, as docs/plain-mirrors.md says."""
        settings = block("plain-mirrors.md", "nginx", "proxy_cache_path")
        cache = folder / "cache"
        return cls(folder, settings, {"/var/cache/nginx/index": cache, "127.0.0.1:8000": f"127.0.0.1:{index.port}"})

    def command(self) -> Sequence[object]:
        return [nginx_program(), "-p", self.folder, "-c", self._write()]

    @property
    def index_url(self) -> str:
        return f"{self.url}simple/"

    def get(self, path: str, **headers: str) -> Answer:
        return request("GET", self.url + path.lstrip("/"), headers={k.replace("_", "-"): v for k, v in headers.items()})

    def _write(self) -> Path:
        settings = self.settings.replacing({"listen 8080;": f"listen 127.0.0.1:{self.port};", **self.replaced})
        # A folder of a test belongs to whoever runs it and to nobody else; so do the workers.
        user = "user root;\n" if os.geteuid() == 0 else ""
        scratch = "".join(
            f"{name}_temp_path {self.folder}/tmp/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        whole = (
            f"{user}daemon off;\nworker_processes 2;\npid {self.folder}/nginx.pid;\n"
            f"error_log {self.log} warn;\nevents {{ worker_connections 512; }}\n"
            f"http {{\naccess_log {self.access};\n{scratch}{settings}}}\n"
        )
        path = self.folder / "nginx.conf"
        path.write_text(whole)
        return path

    @property
    def access(self) -> Path:
        """One line for each request that was answered."""
        return self.folder / "access.log"
