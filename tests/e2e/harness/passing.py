"""An HTTP proxy that passes on whatever it is asked to, and writes down where to."""

from __future__ import annotations

import socket
import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is none of the tests' business."""


class Passing:
    """Answers CONNECT alone; `asked` holds each `host:port`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        passing = self

        class Handler(StreamRequestHandler):
            rbufsize = 0

            def handle(self) -> None:
                method, target, _version = self.rfile.readline().decode().split()
                while self.rfile.readline().strip():
                    pass
                passing.asked.append(target)
                assert method == "CONNECT"
                host, _, port = target.rpartition(":")
                with socket.create_connection((host, int(port)), timeout=60) as there:
                    self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                    back = threading.Thread(target=_pump, args=(there, self.connection), daemon=True)
                    back.start()
                    _pump(self.connection, there)
                    back.join()

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Passing":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
