"""A web server in front of an index that counts, can lie, can be closed, and speaks TLS.

Unlike a `Mirror` it keeps connections alive, as a real web server does.
"""

from __future__ import annotations

import http.client
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .distributions import Distribution
from .index import Index

PASSED_ON = ("content-type", "etag", "cache-control", "content-range", "accept-ranges", "vary", "location")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is none of the tests' business."""


class Front:
    """Passes requests on to `index`; from `evil` on, it serves that distribution instead."""

    def __init__(self, index: Index, certificate: "Certificate | None" = None, port: int = 0) -> None:
        self.asked: list[str] = []
        self.evil: Distribution | None = None
        self.scheme = "https" if certificate else "http"
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = unquote(urlsplit(self.path).path)
                front.asked.append(path)
                status, headers, body = front._lie(path) or front._ask(index, self)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.chain, certificate.key)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def _lie(self, path: str) -> tuple[int, list[tuple[str, str]], bytes] | None:
        if self.evil is None:
            return None
        name, project = self.evil.filename, self.evil.project
        if path == f"/simple/{project}/":
            return 200, [("Content-Type", "text/html")], f'<a href="/packages/{project}/{name}">{name}</a>'.encode()
        if path.endswith(name):
            return 200, [("Content-Type", "application/octet-stream")], self.evil.content
        return None

    @staticmethod
    def _ask(index: Index, asked: BaseHTTPRequestHandler) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", index.port, timeout=60)
        try:
            wanted = {k: v for k, v in asked.headers.items() if k.lower() in ("accept", "range", "if-none-match")}
            connection.request(asked.command, asked.path, headers=wanted)
            answer = connection.getresponse()
            body = answer.read()
        except OSError:
            return 502, [], b"nobody there\n"
        finally:
            connection.close()
        return answer.status, [(k, v) for k, v in answer.getheaders() if k.lower() in PASSED_ON], body

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/"

    @property
    def index_url(self) -> str:
        return f"{self.url}simple/"

    def count(self, path: str) -> int:
        return sum(1 for asked in self.asked if asked == path)

    def __enter__(self) -> "Front":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Certificate:
    """A certificate of 127.0.0.1, by an authority that only whoever is given `root` knows."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.root, self.chain, self.key = folder / "root.pem", folder / "chain.pem", folder / "key.pem"
        root_key, request = folder / "root-key.pem", folder / "request.pem"
        names = folder / "names"
        names.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self._openssl("req", "-x509", *new_key, "-keyout", root_key, "-out", self.root, "-days", "2", "-subj", "/CN=test root",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self._openssl("req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=test server")
        self._openssl("x509", "-req", "-in", request, "-CA", self.root, "-CAkey", root_key, "-CAcreateserial",
                      "-out", self.chain, "-days", "2", "-extfile", names)

    @staticmethod
    def _openssl(*words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
