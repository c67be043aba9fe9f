"""An index that nobody signs: PEP 691 pages with digests, sizes, times and provenance, or plain links."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from .distributions import Distribution
from .site import Site

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class Entry:
    """A file as the index shows it, and as it serves it."""

    dist: Distribution
    uploaded: str | None = "2026-01-02T03:04:05Z"
    provenance: bytes | None = None
    # What is served in place of the file.
    instead: bytes | None = None
    # An OpenPGP signature beside it.
    signature: bytes | None = None
    # More for its entry on the page.
    says: dict = field(default_factory=dict)

    def on_page(self, url: Callable[[str], str]) -> dict:
        entry = {
            "filename": self.dist.filename,
            "url": f"../../files/{self.dist.filename}",
            "hashes": {"sha256": self.dist.sha256},
            "size": len(self.dist.content),
        }
        if self.uploaded:
            entry["upload-time"] = self.uploaded
        if self.provenance is not None:
            entry["provenance"] = url(f"integrity/{self.dist.filename}/provenance")
        return entry | self.says


class PlainIndex:
    """A context in which the index is served; its entries may be changed meanwhile."""

    def __init__(self, *entries: Entry, html: bool = False) -> None:
        self.entries, self.html = list(entries), html
        self._site = Site(self._pages)

    def __enter__(self) -> "PlainIndex":
        self._site.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._site.__exit__(*exc)

    @property
    def index_url(self) -> str:
        return self._site.url("simple/")

    @property
    def asked(self) -> list[str]:
        return self._site.asked

    def _pages(self, path: str) -> tuple[str, bytes] | None:
        parts = path.strip("/").split("/")
        if parts[0] == "simple" and len(parts) == 2:
            entries = [entry for entry in self.entries if entry.dist.project == parts[1]]
            return self._page(parts[1], entries) if entries else None
        for entry in self.entries:
            if parts == ["files", entry.dist.filename]:
                return "application/octet-stream", entry.instead or entry.dist.content
            if parts == ["files", f"{entry.dist.filename}.asc"] and entry.signature is not None:
                return "application/pgp-signature", entry.signature
            if parts == ["integrity", entry.dist.filename, "provenance"] and entry.provenance is not None:
                return "application/vnd.pypi.integrity.v1+json", entry.provenance
        return None

    def _page(self, project: str, entries: list[Entry]) -> tuple[str, bytes]:
        files = [entry.on_page(self._site.url) for entry in entries]
        if self.html:
            digest = lambda file: "".join(f"#{name}={value}" for name, value in file["hashes"].items())  # noqa: E731
            links = "".join(f'<a href="{file["url"]}{digest(file)}">{file["filename"]}</a>\n' for file in files)
            return "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        page = {"meta": {"api-version": "1.4"}, "name": project, "versions": [], "files": files}
        return JSON, json.dumps(page).encode()
