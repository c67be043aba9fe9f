"""Whoever runs an index, and the holders of its offline keys: two files of a first run, or more people."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from .index import Index

PHRASE = re.compile(r"^\s*([0-9a-z]{4}(?:-[0-9a-z]{4}){6})\s*$", re.MULTILINE)
OFFLINE = ["root", "targets", "claimed", "simple", "packages"]


class Holder:
    """Somebody with a file of keys, and a directory of their own."""

    def __init__(self, binary: Path, folder: Path, keys: Path, phrase: str, env: dict[str, str]) -> None:
        folder.mkdir()
        self.binary, self.folder, self.phrase, self.env = binary, folder, phrase, env
        self.keys = folder / "keys.age"
        shutil.copy(keys, self.keys)

    def take(self, ceremony: Path) -> Path:
        """A copy of what travels, in a directory that nobody else has."""
        mine = self.folder / ceremony.name
        shutil.rmtree(mine, ignore_errors=True)
        shutil.copytree(ceremony, mine)
        return mine

    def sign(
        self, ceremony: Path, trust: str, words: str, *options: str, phrase: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        reader, writer = os.pipe()
        os.write(writer, (phrase or self.phrase).encode() + b"\n")
        os.close(writer)
        command = [self.binary, "ceremony", "sign", ceremony, "--trust", trust, "--signer", f"file:{self.keys}"]
        command += ["--passphrase-fd", str(reader), "--words", words, *options, "--json"]
        try:
            return subprocess.run(
                [str(word) for word in command], capture_output=True, text=True, env=self.env, pass_fds=[reader]
            )
        finally:
            os.close(reader)


class Operator:
    """Whoever runs the index."""

    def __init__(self, index: Index, folder: Path) -> None:
        self.index, self.folder = index, folder

    def run(self, *words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(self.index.binary), *(str(word) for word in words)]
        return subprocess.run(command, capture_output=True, text=True, env=self.index.env | (env or {}))

    def told(self, *words: object, code: int = 0, env: dict[str, str] | None = None) -> dict:
        done = self.run(*words, "--json", env=env)
        assert done.returncode == code, done.stderr + done.stdout
        return json.loads(done.stdout)

    def begin(self, name: str, *options: object, env: dict[str, str] | None = None) -> tuple[Path, dict]:
        out = self.folder / name
        told = self.told("ceremony", "begin", "--data", self.index.data, "--out", out, *options, env=env)
        return out, told

    @property
    def fingerprint(self) -> str:
        return str(self.index.ready["root_fingerprint"])

    def version(self, role: str) -> int:
        names = (self.index.tree / "metadata").glob(f"*.{role}.json")
        return max(int(path.name.split(".")[0]) for path in names)

    def signed(self, role: str) -> dict:
        path = self.index.tree / "metadata" / f"{self.version(role)}.{role}.json"
        return json.loads(path.read_bytes())["signed"]


class Cast:
    """An index in its first run, whoever runs it, and the two holders of its first keys."""

    def __init__(self, index: Index, tmp_path: Path) -> None:
        self.index, self.operator = index, Operator(index, tmp_path)
        phrase = PHRASE.findall(index.log_text())[0]
        first = Path(f"{index.data}-offline-keys")
        self.holders = [
            Holder(index.binary, tmp_path / f"holder-{n}", first / f"custodian-{n}.age", phrase, index.env)
            for n in (1, 2)
        ]
        shutil.rmtree(first)

    def collect(self, ceremony: Path, words: str, holders: list[Holder] | None = None) -> None:
        """Every holder signs a copy; the signatures come back."""
        for holder in holders or self.holders:
            mine = holder.take(ceremony)
            shutil.rmtree(mine / "signatures")
            (mine / "signatures").mkdir()
            done = holder.sign(mine, self.operator.fingerprint, words)
            assert done.returncode == 0, done.stderr
            for file in (mine / "signatures").iterdir():
                shutil.copy(file, ceremony / "signatures")

    def hold(self, name: str, *options: object, also: tuple[Holder, ...] = ()) -> None:
        """An ordinary ceremony, while the index runs; `also`: whoever is new."""
        operator = self.operator
        ceremony, begun = operator.begin(name, *options)
        self.collect(ceremony, begun["words"], [*self.holders, *also])
        operator.told("ceremony", "finish", ceremony)
        operator.told("ceremony", "publish", ceremony, "--data", self.index.data)

    def new_holder(self, name: str, tmp_path: Path) -> tuple[Holder, Path]:
        """Somebody who makes keys of their own."""
        made = tmp_path / f"{name}.age"
        public = tmp_path / f"{name}.json"
        done = self.operator.run("ceremony", "keygen", "--name", name, "--out", made, "--public", public)
        assert done.returncode == 0, done.stderr
        phrase = PHRASE.findall(done.stderr)[0]
        holder = Holder(self.index.binary, tmp_path / f"holder-{name}", made, phrase, self.index.env)
        made.unlink()
        return holder, public
