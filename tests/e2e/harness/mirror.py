"""A mirror that lies: it stands in front of an index and mounts attacks as parts.

A `Mirror` answers from a source: a running `Index`, or a recording of its tree. Each part
is a function of the request and of the rest of the mirror, so parts combine:

    Mirror(index, Replay(yesterday, where=TIMESTAMP), Slow(50_000))

The first part is the outermost. Everything goes over raw sockets, one answer for each
connection, so a part can lie at every level: what is said, how long it is said to be, how
it is coded, how fast it comes, where it breaks off.

What is said (`hostile.py`):

    Replay(old)                  an older state, correctly signed then
    Freeze()                     every path answers for good what it answered first
    Mixed(old, roles)            some roles of an older state under the numbers of the newer one
    Equivocate(other, who)       another state for some clients
    Substitute(good, evil)       another file, its digests in the page changed with it
    AddDependency(dist, name)    a dependency that the publisher did not name
    Rename(dist, filename)       a signed file under another name
    Exchange(dist, other)        one signed file for another
    PageOf(other, project)       another project's page
    SwapBins(a, b)               one bin for another
    WithoutRole(role)            a role removed from the snapshot
    StripSignatures(keep=0)      no signatures, or fewer
    Downgrade()                  as though the index had never been signed
    Edit(where, change)          anything else that a function of the bytes can do
    Says(where, status)          a status, 404 or other

How it is said (`wire.py`):

    Slow(rate)                   so many bytes a second; 1 is a trickle
    Silent(after)                not another byte, and no end
    Truncate(keep)               part of the body; the length told is the whole's, or the part's
    Endless(), EndlessWheel()    the body and then more, without an end
    Length(told), Header(…)      headers that lie about length, coding, range
    Bomb(coding, size)           a few bytes that decode to very many
    Redirect(to)                 elsewhere
    Reset(at)                    the connection is reset at this byte of the answer
    HeadWithoutEnd(), InterimWithoutEnd(), Garbage()   what is not quite HTTP

What has to be signed to be believed is made by `forge.py`.
"""

from __future__ import annotations

import fnmatch
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .index import Index
from .upload import request as fetch

EVERYTHING = ("*",)
TIMESTAMP = ("metadata/timestamp.json",)
METADATA = ("metadata/*",)
PAGES = ("simple/*", "targets/simple/*")
FILES = ("packages/*", "targets/packages/*")
JSON_PAGE = "application/vnd.pypi.simple.v1+json"

# A published tree: path, without a leading slash, to bytes.
Tree = Mapping[str, bytes]


def record(tree: Path) -> dict[str, bytes]:
    """A copy of a published tree, as a mirror would have made it at this moment."""
    return {
        str(path.relative_to(tree)): path.read_bytes()
        for top in ("metadata", "targets", "packages", "simple")
        for path in sorted((tree / top).rglob("*"))
        if path.is_file()
    }


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """By which name or address the client calls the mirror."""
        return self.headers.get("host", "").rsplit(":", 1)[0]

    def at(self, path: str, **headers: str) -> "Request":
        """The same client asking for something else, all of it."""
        kept = {k: v for k, v in self.headers.items() if k not in ("range", "if-range", "if-none-match")}
        return Request("GET", path, kept | headers)

    def is_in(self, where: Iterable[str]) -> bool:
        return any(fnmatch.fnmatchcase(self.path, pattern) for pattern in where)


class Line:
    """One connection, as far as it concerns how an answer is sent."""

    def __init__(self, stopped: threading.Event) -> None:
        self._stopped = stopped

    def pause(self, seconds: float) -> None:
        """Sleeps, unless the mirror is stopped."""
        if self._stopped.wait(seconds):
            raise HungUp


class HungUp(Exception):
    """Ends a connection with a reset."""


Wire = Callable[[Iterator[bytes], Line], Iterator[bytes]]


@dataclass
class Answer:
    """What is sent. `body` may go on for ever; `wire` sees every byte, the head's too."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | Iterable[bytes] = b""
    wire: list[Wire] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    def set(self, name: str, value: str | None) -> "Answer":
        self.headers = [(k, v) for k, v in self.headers if k.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))
        return self

    @property
    def content(self) -> bytes:
        """The whole body, for parts that change it."""
        assert isinstance(self.body, bytes), "a part that reads the body stands outside of one that has no end"
        return self.body

    def with_content(self, content: bytes) -> "Answer":
        self.body = content
        return self.set("Content-Length", None)

    def pieces(self, head_only: bool) -> Iterator[bytes]:
        lines = [f"HTTP/1.1 {self.status} Said by the mirror"]
        told = list(self.headers)
        if self.header("Content-Length") is None and self.header("Transfer-Encoding") is None:
            if isinstance(self.body, bytes):
                told.append(("Content-Length", str(len(self.body))))
        told.append(("Connection", "close"))
        lines += [f"{name}: {value}" for name, value in told]
        yield ("\r\n".join(lines) + "\r\n\r\n").encode()
        if head_only:
            return
        if isinstance(self.body, bytes):
            for start in range(0, len(self.body), 1 << 16):
                yield self.body[start : start + (1 << 16)]
        else:
            yield from self.body


Rest = Callable[[Request], Answer]
Source = Callable[[Request], Answer]


class Part:
    """An attack on the paths in `where`; everything else goes by it."""

    where: Iterable[str] = EVERYTHING

    def __call__(self, request: Request, rest: Rest) -> Answer:
        return self.attack(request, rest) if request.is_in(self.where) else rest(request)

    def attack(self, request: Request, rest: Rest) -> Answer:
        raise NotImplementedError


def live(index: Index) -> Source:
    """The running index itself, asked anew each time."""

    def answer(request: Request) -> Answer:
        passed = ("accept", "range", "if-range", "if-none-match")
        headers = {k: v for k, v in request.headers.items() if k in passed}
        said = fetch(request.method, index.url(request.path), headers=headers)
        kept = ("content-type", "content-range", "accept-ranges", "etag", "vary", "location", "cache-control")
        return Answer(said.status, [(k, v) for k, v in said.headers.items() if k.lower() in kept], said.body)

    return answer


def recorded(tree: Tree) -> Source:
    """A tree that does not change, served as `docs/layout.md` says."""

    def answer(request: Request) -> Answer:
        path = request.path
        if path.startswith("simple/") and path.endswith("/"):
            json = JSON_PAGE in request.headers.get("accept", "")
            path += "index.json" if json else "index.html"
        if path not in tree:
            return Answer(404, [("Content-Type", "text/plain")], b"not here\n")
        body = tree[path]
        if path.startswith(("simple/", "targets/simple/")):
            kind = JSON_PAGE if path.endswith(".json") else "text/html"
        else:
            kind = "application/json" if path.startswith("metadata/") else "application/octet-stream"
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if asked and int(asked[1]) < len(body):
            start, end = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
            told = [("Content-Type", kind), ("Content-Range", f"bytes {start}-{end}/{len(body)}")]
            return Answer(206, told, body[start : end + 1])
        return Answer(200, [("Content-Type", kind), ("Accept-Ranges", "bytes")], body)

    return answer


@dataclass
class Asked:
    """One request, and how many bytes the client took of its answer."""

    method: str
    path: str
    host: str
    taken: int = 0


class Mirror:
    """Serves `source` through `parts`, on every loopback address, until the block ends."""

    def __init__(self, source: Index | Tree, *parts: Part, port: int = 0) -> None:
        """`port`: where somebody answered before, such as the index itself."""
        self._port = port
        self._source = live(source) if isinstance(source, Index) else recorded(source)
        self._parts = parts
        self._stopped = threading.Event()
        self.asked: list[Asked] = []
        # What went wrong in the kit itself; a test that passes in spite of it would be worthless.
        self.broken: list[BaseException] = []

    def __enter__(self) -> "Mirror":
        self._sockets = [socket.create_server(("127.0.0.1", self._port), backlog=256)]
        self.port = self._sockets[0].getsockname()[1]
        # A second address, by which a test can tell two clients apart.
        self._sockets.append(socket.create_server(("127.0.0.2", self.port), backlog=256))
        for listening in self._sockets:
            threading.Thread(target=self._listen, args=(listening,), daemon=True).start()
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        self._stopped.set()
        for listening in self._sockets:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        if kind is None and self.broken:
            raise AssertionError("the mirror itself failed") from self.broken[0]

    # The attack, which a test may change while the mirror runs.

    def mount(self, *parts: Part) -> None:
        """From now on these parts, and no others."""
        self._parts = parts

    def end(self) -> None:
        """The attack is over: the source is served as it is."""
        self.mount()

    def answer(self, request: Request) -> Answer:
        rest: Rest = self._source
        for part in reversed(self._parts):
            rest = _before(part, rest)
        return rest(request)

    # Where it is, and what was asked.

    def url(self, path: str = "", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"

    @property
    def index_url(self) -> str:
        return self.url("simple/")

    @property
    def taken(self) -> int:
        """Bytes that clients took, all requests together."""
        return sum(asked.taken for asked in self.asked)

    def count(self, *where: str) -> int:
        """How many requests were for these paths."""
        return sum(Request(a.method, a.path).is_in(where) for a in self.asked)

    # The wire.

    def _listen(self, listening: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(60)
                request = _read_request(connection)
                if request is None:
                    return
                asked = Asked(request.method, request.path, request.host)
                self.asked.append(asked)
                try:
                    self._send(connection, request, asked)
                    connection.shutdown(socket.SHUT_WR)
                    # What the client still says is read, so that closing does not become a reset.
                    connection.settimeout(1)
                    while connection.recv(1 << 12):
                        pass
                except HungUp:
                    # Linger on, for no time: the kernel sends a reset and drops what is queued.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            """A client that hangs up is none of the mirror's business."""
        except Exception as error:
            self.broken.append(error)

    def _send(self, connection: socket.socket, request: Request, asked: Asked) -> None:
        answer = self.answer(request)
        pieces, line = answer.pieces(request.method == "HEAD"), Line(self._stopped)
        for wire in answer.wire:
            pieces = wire(pieces, line)
        for piece in pieces:
            if self._stopped.is_set():
                raise HungUp
            connection.sendall(piece)
            asked.taken += len(piece)


def _before(part: Part, rest: Rest) -> Rest:
    return lambda request: part(request, rest)


def _read_request(connection: socket.socket) -> Request | None:
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(1 << 14)
        if not more:
            return None
        head += more
    first, *lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = dict((k.strip().lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines))
    return Request(method, unquote(urlsplit(target).path).lstrip("/"), headers)
