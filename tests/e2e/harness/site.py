"""A small web server on a free loopback port: a hostile index, or a static copy of a tree."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .distributions import Distribution

# Path to content type and body, or None for 404.
Pages = Callable[[str], "tuple[str, bytes] | None"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is none of the tests' business."""


class Site:
    """Serves what `pages` answers and keeps the path of every request."""

    def __init__(self, pages: Pages, *, cacheable: bool = False) -> None:
        """`cacheable`: who has an answer is told not to ask again for it today."""
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = unquote(urlsplit(self.path).path)
                asked.append(path)
                found = pages(path)
                kind, body = found or ("text/plain", b"not here\n")
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if cacheable:
                    self.send_header("Cache-Control", "max-age=86400")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Site":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{path.lstrip('/')}"


def index_of(*dists: Distribution) -> Pages:
    """A simple index, unsigned and without hashes, as anybody can put up."""

    def pages(path: str) -> tuple[str, bytes] | None:
        parts = path.strip("/").split("/")
        if parts[0] == "simple" and len(parts) == 2:
            links = [d.filename for d in dists if d.project == parts[1]]
            if links:
                body = "".join(f'<a href="/files/{name}">{name}</a>\n' for name in links)
                return "text/html", f"<!DOCTYPE html><html><body>{body}</body></html>".encode()
        if parts[0] == "files" and len(parts) == 2:
            for dist in dists:
                if dist.filename == parts[1]:
                    return "application/octet-stream", dist.content
        return None

    return pages


def tree_at(root: Path) -> Pages:
    """A tree on the disk, as a plain web server would serve it."""

    def pages(path: str) -> tuple[str, bytes] | None:
        file = root / path.lstrip("/")
        if path.endswith("/"):
            file = file / "index.html"
        if ".." in Path(path).parts or not file.is_file():
            return None
        kind = "text/html" if file.suffix == ".html" else "application/octet-stream"
        return kind, file.read_bytes()

    return pages
