"""Wheels and sdists made here: the same arguments always give the same bytes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import re
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

WORDS = "read write open close index value name path file line page entry field list state error".split()
MOMENT = (2024, 1, 1, 0, 0, 0)


def normalised(name: str) -> str:
    """The project's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Distribution:
    """One file to publish, with what its upload form has to say about it."""

    name: str
    version: str
    filename: str
    content: bytes = field(repr=False)
    metadata: bytes = field(repr=False)

    @property
    def project(self) -> str:
        return normalised(self.name)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.filename
        path.write_bytes(self.content)
        return path


def core_metadata(name: str, version: str, *extra: str, version_of_metadata: str = "2.1") -> bytes:
    lines = [
        f"Metadata-Version: {version_of_metadata}",
        f"Name: {name}",
        f"Version: {version}",
        "Summary: made by the tests",
        *extra,
    ]
    return ("\n".join(lines) + "\n\nMade by the tests.\n").encode()


def read_wheel(path: Path) -> Distribution:
    """A wheel that somebody else has built."""
    with zipfile.ZipFile(path) as archive:
        metadata = next(archive.read(name) for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    name, version = path.name.split("-")[:2]
    return Distribution(name, version, path.name, path.read_bytes(), metadata)


def source(seed: str, functions: int = 64) -> bytes:
    """Some 10 kB of Python that nobody wrote: names out of a small vocabulary, numbers, strings."""
    random = Random(seed)
    words = [random.choice(WORDS) + str(random.randrange(100)) for _ in range(40)]
    lines = []
    for number in range(functions):
        first, second, third = random.choices(words, k=3)
        lines += [
            f"def {first}_{number}({second}, {third}={random.randrange(1 << 16)}):",
            f'    """{" ".join(random.choices(WORDS, k=5))}."""',
            f"    if {second} > {random.randrange(1 << 10)}:",
            f"        return [{third}, {random.randrange(1 << 24)!r}]",
            f"    return {second}",
            "",
        ]
    return "\n".join(lines).encode()


def wheel(
    name: str,
    version: str = "1.0",
    *,
    says: str = "good",
    metadata: bytes | None = None,
    extra: tuple[str, ...] = (),
    payload: int = 0,
    modules: int = 0,
    tag: str = "py3-none-any",
    filename: str | None = None,
    script: str | None = None,
    more: dict[str, bytes] | None = None,
) -> Distribution:
    """A wheel with one module that says `says`, and `payload` bytes that do not compress.

    With `modules`, a package of so many modules beside it, each some 10 kB of source that compresses
    as source does. With `script`, a program of the project's name that prints it. `more`: further
    members, by path.
    """
    stem = normalised(name).replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    metadata = metadata or core_metadata(name, version, *extra)
    members = {
        f"{stem}.py": f"SAYS = {says!r}\n".encode(),
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": (
            f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
        ).encode(),
    }
    if script is not None:
        members[f"{stem}.py"] += f"def main():\n    print({script!r})\n".encode()
        members[f"{info}/entry_points.txt"] = f"[console_scripts]\n{name} = {stem}:main\n".encode()
    if payload:
        # The sayings share their seed's length only: another saying is another payload.
        members[f"{stem}_payload.bin"] = Random(f"{name} {version}").randbytes(payload)
    for number in range(modules):
        members[f"{stem}_package/module_{number}.py"] = source(f"{name} {version} {number}")
    members |= more or {}
    record = f"{info}/RECORD"
    quoted = {path: f'"{path}"' if "," in path else path for path in members}
    rows = [f"{quoted[path]},{_record_digest(data)},{len(data)}" for path, data in members.items()]
    members[record] = ("\n".join([*rows, f"{record},,"]) + "\n").encode()

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, data in members.items():
            entry = zipfile.ZipInfo(path, MOMENT)
            entry.external_attr = (0o100755 if ".data/scripts/" in path else 0o100644) << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED if modules else zipfile.ZIP_STORED)
    return Distribution(
        name, version, filename or f"{stem}-{version}-{tag}.whl", out.getvalue(), metadata
    )


# A build backend that lies in the sdist itself, so that building needs nothing from an index.
BACKEND = '''\
import base64, hashlib, os, zipfile

NAME, VERSION, SAYS = {name!r}, {version!r}, {says!r}


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    info = NAME + "-" + VERSION + ".dist-info"
    members = {{
        NAME + ".py": "SAYS = " + repr(SAYS) + "\\n",
        info + "/METADATA": open("PKG-INFO").read(),
        info + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    rows = []
    for path, text in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        rows.append(path + ",sha256=" + digest.decode() + "," + str(len(text.encode())))
    members[info + "/RECORD"] = "\\n".join(rows + [info + "/RECORD,,"]) + "\\n"
    filename = NAME + "-" + VERSION + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as archive:
        for path, text in members.items():
            archive.writestr(path, text)
    return filename
'''


def sdist(name: str, version: str = "1.0", *, says: str = "good", metadata: bytes | None = None) -> Distribution:
    """A source distribution with its own build backend inside."""
    stem = normalised(name).replace("-", "_")
    top = f"{stem}-{version}"
    metadata = metadata or core_metadata(name, version, version_of_metadata="2.2")
    members = {
        f"{top}/PKG-INFO": metadata,
        f"{top}/pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        f"{top}/backend.py": BACKEND.format(name=stem, version=version, says=says).encode(),
    }
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in members.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime, entry.mode = len(data), 1_700_000_000, 0o644
            archive.addfile(entry, io.BytesIO(data))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as out:
        out.write(raw.getvalue())
    return Distribution(name, version, f"{top}.tar.gz", packed.getvalue(), metadata)


def _record_digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"
