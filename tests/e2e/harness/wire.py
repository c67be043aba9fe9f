"""Parts of a hostile mirror that change how it is said. `mirror.py` has the table of them all."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator

from .mirror import EVERYTHING, Answer, HungUp, Line, Part, Request, Rest

CRLF = b"\r\n"


class OnTheWire(Part):
    """A part that changes the bytes of the whole answer, the head's included."""

    def __init__(self, where: Iterable[str] = EVERYTHING) -> None:
        self.where = tuple(where)

    def attack(self, request: Request, rest: Rest) -> Answer:
        said = rest(request)
        said.wire = [*said.wire, self.wire]
        return said

    def wire(self, pieces: Iterator[bytes], line: Line) -> Iterator[bytes]:
        raise NotImplementedError


class Slow(OnTheWire):
    """So many bytes a second, steadily. The head comes at once unless `head` says otherwise."""

    def __init__(self, rate: float, where: Iterable[str] = EVERYTHING, head: bool = False) -> None:
        super().__init__(where)
        self._rate, self._head = rate, head

    def wire(self, pieces: Iterator[bytes], line: Line) -> Iterator[bytes]:
        step = max(1, int(self._rate / 10))
        if not self._head:
            yield next(pieces)
        for piece in pieces:
            for start in range(0, len(piece), step):
                line.pause(step / self._rate)
                yield piece[start : start + step]


class Silent(OnTheWire):
    """After so many bytes of the answer nothing more comes, and no end either."""

    def __init__(self, after: int, where: Iterable[str] = EVERYTHING) -> None:
        super().__init__(where)
        self._after = after

    def wire(self, pieces: Iterator[bytes], line: Line) -> Iterator[bytes]:
        yield from first_bytes(pieces, self._after)
        line.pause(3600)


class Reset(OnTheWire):
    """The connection is reset when so many bytes of the answer are out."""

    def __init__(self, at: int, where: Iterable[str] = EVERYTHING, times: int | None = None) -> None:
        super().__init__(where)
        self._at, self._left = at, times

    def attack(self, request: Request, rest: Rest) -> Answer:
        if self._left is not None:
            if self._left == 0:
                return rest(request)
            self._left -= 1
        return super().attack(request, rest)

    def wire(self, pieces: Iterator[bytes], line: Line) -> Iterator[bytes]:
        yield from first_bytes(pieces, self._at)
        # The client gets to read what is out, so that every position is one of its own.
        line.pause(0.002)
        raise HungUp


def first_bytes(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    for piece in pieces:
        if count <= 0:
            return
        yield piece[:count]
        count -= len(piece)


class Truncate(Part):
    """A part of the body. Told is the length of the whole, or honestly that of the part."""

    def __init__(self, keep: float, where: Iterable[str], honest: bool = False) -> None:
        self._keep, self.where, self._honest = keep, tuple(where), honest

    def attack(self, request: Request, rest: Rest) -> Answer:
        said = rest(request)
        if said.status >= 300:
            return said
        whole = said.content
        said.with_content(whole[: int(len(whole) * self._keep)])
        return said if self._honest else said.set("Content-Length", str(len(whole)))


class Endless(Part):
    """The body, and then more without an end: without a length, in chunks, or with a large one."""

    def __init__(self, where: Iterable[str], told: str = "nothing", filler: bytes = b" " * (1 << 16)) -> None:
        self.where, self._told, self._filler = tuple(where), told, filler

    def attack(self, request: Request, rest: Rest) -> Answer:
        said = rest(request)
        if said.status >= 300:
            return said
        body = itertools.chain([self.begin(said)], itertools.repeat(self._filler))
        said.set("Content-Length", None)
        if self._told == "chunks":
            said.set("Transfer-Encoding", "chunked")
            said.body = (b"%x\r\n" % len(piece) + piece + CRLF for piece in body)
            return said
        if self._told == "huge":
            said.set("Content-Length", str(1 << 50))
        said.body = body
        return said

    def begin(self, said: Answer) -> bytes:
        return said.content


class EndlessWheel(Endless):
    """A wheel whose first member never ends, for tools that unpack while they download."""

    def __init__(self, where: Iterable[str], told: str = "nothing") -> None:
        packer = zlib.compressobj(0, zlib.DEFLATED, -15)
        super().__init__(where, told, packer.compress(bytes(1 << 16)) + packer.flush(zlib.Z_FULL_FLUSH))

    def begin(self, said: Answer) -> bytes:
        name = b"victim.py"
        # Deflated, its sizes to follow after the data (APPNOTE 4.3.7, 4.4.4).
        return struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 8, 8, 0, 0, 0, 0, 0, len(name), 0) + name


class Header(Part):
    """Headers set to something else; `None` leaves one out. Given twice, it is sent twice."""

    def __init__(self, where: Iterable[str], *headers: tuple[str, str | None]) -> None:
        self.where, self._headers = tuple(where), headers

    def attack(self, request: Request, rest: Rest) -> Answer:
        said = rest(request)
        if said.status >= 300:
            return said
        for name, _ in self._headers:
            said.set(name, None)
        said.headers += [(name, value) for name, value in self._headers if value is not None]
        return said


class Length(Part):
    """A `Content-Length` that is off by so many bytes."""

    def __init__(self, where: Iterable[str], off_by: int) -> None:
        self.where, self._off_by = tuple(where), off_by

    def attack(self, request: Request, rest: Rest) -> Answer:
        said = rest(request)
        return said if said.status >= 300 else said.set("Content-Length", str(len(said.content) + self._off_by))


class Bomb(Part):
    """A body of spaces that is very short on the wire. `size` counts decoded bytes."""

    def __init__(self, where: Iterable[str], coding: str, size: int = 4 << 30, declare: bool = True) -> None:
        self.where, self._coding, self._size, self._declare = tuple(where), coding, size, declare

    def attack(self, request: Request, rest: Rest) -> Answer:
        said = rest(request)
        if said.status >= 300:
            return said
        if self._declare:
            said.set("Content-Encoding", self._coding)
        said.set("Content-Length", None)
        said.body = {"gzip": gzip_bomb, "zstd": zstd_bomb}[self._coding](self._size)
        return said


def gzip_bomb(size: int) -> Iterator[bytes]:
    """One member; its blocks do not refer to each other, so one is made and repeated."""
    block_of = 1 << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * block_of) + packer.flush(zlib.Z_FULL_FLUSH)
    yield b"\x1f\x8b\x08\0\0\0\0\0\0\x03"
    yield from itertools.repeat(block, size // block_of)


def zstd_bomb(size: int, window_log: int = 27) -> Iterator[bytes]:
    """One frame with a large window, of blocks that say: this byte, 128 Ki times (RFC 8878)."""
    block_of = 128 << 10
    yield b"\x28\xb5\x2f\xfd" + bytes([0b0000_0000, (window_log - 10) << 3])
    block = ((block_of << 3) | (1 << 1)).to_bytes(3, "little") + b" "
    yield from itertools.repeat(block * 64, size // (64 * block_of))


class Redirect(Part):
    """Elsewhere. With `{path}` in it, to the same path there."""

    def __init__(self, where: Iterable[str], to: str, status: int = 302) -> None:
        self.where, self._to, self._status = tuple(where), to, status

    def attack(self, request: Request, rest: Rest) -> Answer:
        return Answer(self._status, [("Location", self._to.format(path=request.path))], b"")


class HeadWithoutEnd(OnTheWire):
    """Header after header, and never an empty line."""

    def wire(self, pieces: Iterator[bytes], line: Line) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        for number in itertools.count():
            yield b"X-More-%d: %s\r\n" % (number, b"x" * 1000)


class InterimWithoutEnd(OnTheWire):
    """`100 Continue`, over and over, and never the answer."""

    def __init__(self, where: Iterable[str] = EVERYTHING, pause: float = 0.0) -> None:
        super().__init__(where)
        self._pause = pause

    def wire(self, pieces: Iterator[bytes], line: Line) -> Iterator[bytes]:
        while True:
            yield b"HTTP/1.1 100 Continue\r\n\r\n"
            line.pause(self._pause)


class Garbage(OnTheWire):
    """Bytes instead of HTTP."""

    def __init__(self, where: Iterable[str], said: bytes) -> None:
        super().__init__(where)
        self._said = said

    def wire(self, pieces: Iterator[bytes], line: Line) -> Iterator[bytes]:
        yield self._said

