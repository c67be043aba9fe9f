"""Archives that two readers read differently, and one of each kind of reader to show it."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

from .distributions import Distribution, sdist, wheel

WHEEL = wheel("odd-one", "1.0")
SDIST = sdist("odd-one", "1.0")
MODULE = "odd_one.py"


# Readers.


def by_directory(content: bytes) -> dict[str, bytes]:
    """A zip archive as Python's zipfile has it: by the central directory, from the end."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def by_headers(content: bytes) -> dict[str, bytes]:
    """A zip archive as one that streams has it: by the local headers, from the front."""
    found: dict[str, bytes] = {}
    at = 0
    while content[at : at + 4] == b"PK\3\4":
        method, packed, name_len, extra_len = struct.unpack("<8xH8xL4xHH", content[at : at + 30])
        name = content[at + 30 : at + 30 + name_len].decode()
        at += 30 + name_len + extra_len
        data = content[at : at + packed]
        found.setdefault(name, zlib.decompress(data, -15) if method == 8 else data)
        at += packed
    return found


def by_tarfile(content: bytes) -> dict[str, bytes]:
    """A source distribution as Python's tarfile has it, which reads one gzip stream after the other."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for member in archive:
            if member.isfile():
                found[member.name] = archive.extractfile(member).read()
    return found


def by_first_stream(content: bytes) -> dict[str, bytes]:
    """The same as one that ends with the first gzip stream has it, and takes no extended header."""
    plain = zlib.decompressobj(31).decompress(content)
    found, at = {}, 0
    while at + 512 <= len(plain) and any(plain[at : at + 512]):
        block = plain[at : at + 512]
        size = int(block[124:135].strip(b" \0") or b"0", 8)
        if block[156:157] == b"0":
            found[block[:100].split(b"\0")[0].decode()] = plain[at + 512 : at + 512 + size]
        at += 512 + (size + 511) // 512 * 512
    return found


# What is done to an archive.


def bent(dist: Distribution, content: bytes) -> Distribution:
    return Distribution(**{**dist.__dict__, "content": content})


def patched(content: bytes, signature: bytes, field: int, value: bytes) -> bytes:
    at = content.index(signature) + field
    return content[:at] + value + content[at + len(value) :]


def another_length_in_front() -> bytes:
    """Whoever reads from the front has the module without its last bytes, and nothing behind it."""
    return patched(WHEEL.content, b"PK\3\4", 18, struct.pack("<L", 4))


def hidden_in_front() -> bytes:
    """An archive before the archive, whose offsets have been moved: the directory does not know it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(MODULE, b"SAYS = 'evil'\n")
    front = out.getvalue()[: out.getvalue().index(b"PK\1\2")]
    directory = WHEEL.content.index(b"PK\1\2")
    moved = bytearray(front + WHEEL.content)
    at = len(front) + directory
    while moved[at : at + 4] == b"PK\1\2":
        name, extra, comment, offset = struct.unpack("<28xHHH8xL", moved[at : at + 46])
        moved[at + 42 : at + 46] = struct.pack("<L", offset + len(front))
        at += 46 + name + extra + comment
    moved[at + 16 : at + 20] = struct.pack("<L", directory + len(front))
    return bytes(moved)


def twice_in_the_directory() -> bytes:
    out = io.BytesIO(WHEEL.content)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(MODULE, b"SAYS = 'evil'\n")
    return out.getvalue()


def second_stream() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        entry = tarfile.TarInfo("odd_one-1.0/backend.py")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"evil\n"))
    plain = gzip.decompress(SDIST.content)
    end = plain.rindex(b"ustar") - 257
    size = int(plain[end + 124 : end + 135], 8)
    without_end = plain[: end + 512 + (size + 511) // 512 * 512]
    return gzip.compress(without_end) + gzip.compress(raw.getvalue())


def renamed_by_an_extended_header() -> bytes:
    """Twice the same path: whoever applies the extended header writes one file over the other."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in by_tarfile(SDIST.content).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        entry = tarfile.TarInfo("odd_one-1.0/notes.txt")
        entry.pax_headers = {"path": "odd_one-1.0/backend.py"}
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"evil\n"))
    return gzip.compress(raw.getvalue())


# The archive, the two readers, and a word of the rule that refuses it.
ODD: dict[str, tuple[Distribution, Callable, Callable, str]] = {
    "another length in the local header": (bent(WHEEL, another_length_in_front()), by_directory, by_headers, "local header"),
    "an archive in front": (bent(WHEEL, hidden_in_front()), by_directory, by_headers, "belong to no entry"),
    "a file that is there twice": (bent(WHEEL, twice_in_the_directory()), by_directory, lambda c: by_directory(WHEEL.content), "two entries"),
    "a second gzip stream": (bent(SDIST, second_stream()), by_tarfile, by_first_stream, "behind the end"),
    "a file under another's name": (bent(SDIST, renamed_by_an_extended_header()), by_tarfile, by_first_stream, "two entries"),
}
