"""An index by https, as in the field: a front that speaks TLS, and an authority to believe it.

The certificates are made by the `openssl` program. The front passes requests on to an index
on this machine, and can lie about what it gets back.
"""

from __future__ import annotations

import http.client
import select
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# A host that no resolver knows: it is reached through a proxy or not at all.
FAR = "pkg.test"

# Path and body to the body that is sent.
Lie = Callable[[str, bytes], bytes]


@dataclass(frozen=True)
class Certificates:
    """An authority and, signed by it, a certificate for `localhost` and `FAR`."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def env(self) -> Mapping[str, str]:
        """Makes programs believe the authority, each by its own variable."""
        file = str(self.authority)
        return {"SSL_CERT_FILE": file, "REQUESTS_CA_BUNDLE": file, "PIP_CERT": file}


def make_certificates(folder: Path) -> Certificates:
    folder.mkdir(parents=True, exist_ok=True)

    def openssl(*words: object) -> None:
        done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    openssl(
        "req", "-x509", *key, "-keyout", folder / "authority.key", "-out", folder / "authority.pem", "-days", 2,
        "-subj", "/CN=the tests", "-addext", "keyUsage=critical,keyCertSign",
    )
    openssl("req", *key, "-keyout", folder / "server.key", "-out", folder / "server.csr", "-subj", "/CN=an index")
    extensions = folder / "server.ext"
    extensions.write_text(
        f"subjectAltName=DNS:localhost,DNS:{FAR}\nbasicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    openssl(
        "x509", "-req", "-in", folder / "server.csr", "-CA", folder / "authority.pem",
        "-CAkey", folder / "authority.key", "-CAcreateserial", "-out", folder / "server.pem", "-days", 2,
        "-extfile", extensions,
    )
    return Certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not believe us hangs up: none of the tests' business."""


class Front:
    """Passes GET and HEAD on to the index at `port`; with `certificates`, speaks TLS."""

    def __init__(self, port: int, certificates: Certificates | None = None) -> None:
        self.asked: list[str] = []
        self.lie: Lie = lambda _path, body: body
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                front.asked.append(self.path)
                onward = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                kept = {k: v for k, v in self.headers.items() if k.lower() in ("accept", "range", "if-none-match")}
                # As it was signed: what is lied about is not to be unpacked first.
                onward.request(self.command, self.path, headers=kept | {"Accept-Encoding": "identity"})
                answer = onward.getresponse()
                body = answer.read()
                if answer.status == 200:
                    body = front.lie(self.path, body)
                self.send_response(answer.status)
                for name in ("Content-Type", "ETag", "Location", "Vary", "Content-Range", "Accept-Ranges", "Cache-Control"):
                    if value := answer.getheader(name):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(body))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)
                onward.close()

            do_HEAD = do_GET

            def log_message(self, *_args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.certificate, certificates.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Front":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"localhost:{self._server.server_address[1]}"

    @property
    def base(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def index_url(self) -> str:
        return f"{self.base}/simple/"


class Upstream:
    """The proxy of a network from which nothing is reached without it: CONNECT alone."""

    def __init__(self, hosts: Mapping[str, str]) -> None:
        """`hosts` leads from `host:port` as it is asked for to the `host:port` where that is."""
        self.asked: list[str] = []
        asked = self.asked

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                method, to, _ = self.rfile.readline().decode().split(" ", 2)
                while self.rfile.readline().strip():
                    pass
                asked.append(to)
                if method != "CONNECT" or to not in hosts:
                    self.wfile.write(b"HTTP/1.1 502 unknown\r\nContent-Length: 0\r\n\r\n")
                    return
                host, port = hosts[to].rsplit(":", 1)
                with socket.create_connection((host, int(port))) as there:
                    self.wfile.write(b"HTTP/1.1 200 go on\r\n\r\n")
                    _relay(self.connection, there)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up in the middle is none of the tests' business."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Upstream":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def env(self) -> Mapping[str, str]:
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return {"HTTP_PROXY": url, "HTTPS_PROXY": url, "http_proxy": url, "https_proxy": url}


def _relay(one: socket.socket, other: socket.socket) -> None:
    ends = {one: other, other: one}
    while ends:
        for readable in select.select(list(ends), [], [], 60)[0]:
            data = readable.recv(65536)
            if data:
                (other if readable is one else one).sendall(data)
            else:
                (other if readable is one else one).shutdown(socket.SHUT_WR)
                del ends[readable]
