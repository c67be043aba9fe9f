"""Somebody who has the online key of a real index, and the disk on which its tree lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets

from .index import Index


class OnlineKey:
    """Signs what no honest index would, with the online key of one."""

    def __init__(self, index: Index) -> None:
        self.tree, self.metadata = index.tree, index.tree / "metadata"
        root = Metadata.from_file(str(self.metadata / "1.root.json")).signed
        (keyid,) = root.roles["timestamp"].keyids
        private = load_pem_private_key((index.data / "online-key").read_bytes(), None)
        self.signer = CryptoSigner(private, root.keys[keyid])
        self._bits: dict[str, int] = {}

    def _write(self, name: str, metadata: Metadata) -> bytes:
        metadata.sign(self.signer)
        content = metadata.to_bytes()
        (self.metadata / name).write_bytes(content)
        return content

    def publish(self, change: Callable[[Snapshot], None], *, above: int = 1) -> None:
        """The next snapshot, with a change, and its timestamp; both `above` those that are published."""
        timestamp = Metadata.from_file(str(self.metadata / "timestamp.json"))
        version = timestamp.signed.snapshot_meta.version
        snapshot = Metadata.from_file(str(self.metadata / f"{version}.snapshot.json"))
        change(snapshot.signed)
        version = snapshot.signed.version = version + above
        written = self._write(f"{version}.snapshot.json", snapshot)
        digest = hashlib.sha256(written).hexdigest()
        timestamp.signed.snapshot_meta = MetaFile(version, len(written), {"sha256": digest})
        timestamp.signed.version += above
        self._write("timestamp.json", timestamp)

    def publish_bin(self, path: Path, change: Callable[[Targets], None]) -> None:
        """The next version of a bin, in the next snapshot."""
        version, name = path.name.split(".")[:2]
        role = Metadata.from_file(str(path))
        change(role.signed)
        role.signed.version = int(version) + 1
        self._write(f"{int(version) + 1}.{name}.json", role)
        self.publish(lambda snapshot: snapshot.meta.update({f"{name}.json": MetaFile(int(version) + 1)}))

    def bin_of(self, path: str) -> str:
        """The name of the bin that answers for a target path."""
        family = path.split("/")[0]
        if family not in self._bits:
            version = self.published().signed.meta[f"{family}.json"].version
            self._bits[family] = self.role(family, version).signed.delegations.succinct_roles.bit_length
        bits = self._bits[family]
        width = -(-bits // 4)
        number = int.from_bytes(hashlib.sha256(path.encode()).digest()[:4]) >> (32 - bits)
        return f"{family}-{number:0{width}x}"

    def published(self) -> Metadata[Snapshot]:
        timestamp = Metadata.from_file(str(self.metadata / "timestamp.json"))
        return Metadata.from_file(str(self.metadata / f"{timestamp.signed.snapshot_meta.version}.snapshot.json"))

    def role(self, name: str, version: int) -> Metadata[Targets]:
        return Metadata.from_file(str(self.metadata / f"{version}.{name}.json"))

    def page(self, project: str) -> dict:
        """The page that is published of a project."""
        path = f"simple/{project}/index.json"
        name = self.bin_of(path)
        role = self.role(name, self.published().signed.meta[f"{name}.json"].version)
        digest = role.signed.targets[path].hashes["sha256"]
        return json.loads((self.tree / "targets" / "simple" / project / f"{digest}.index.json").read_bytes())

    def rewrite(
        self, pages: Iterable[dict], targets: dict[str, bytes | None] | None = None, *, above: int = 1
    ) -> None:
        """Publishes these pages in one snapshot, and lists these files by their target paths; none goes.

        Roles, snapshot and timestamp come `above` those that are published.
        """
        entries: dict[str, TargetFile | None] = {}
        for page in pages:
            content = json.dumps(page, sort_keys=True, separators=(",", ":")).encode()
            folder = self.tree / "targets" / "simple" / page["name"]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{hashlib.sha256(content).hexdigest()}.index.json").write_bytes(content)
            path = f"simple/{page['name']}/index.json"
            entries[path] = TargetFile.from_data(path, content, ["sha256"])
        for path, content in (targets or {}).items():
            _, project, filename = path.split("/")
            entries[path] = None if content is None else TargetFile.from_data(path, content, ["sha256"])
            if content is not None:
                folder = self.tree / "targets" / "packages" / project
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{hashlib.sha256(content).hexdigest()}.{filename}").write_bytes(content)
        by_bin: dict[str, dict[str, TargetFile | None]] = {}
        for path, entry in entries.items():
            by_bin.setdefault(self.bin_of(path), {})[path] = entry
        raised = {}
        meta = self.published().signed.meta
        for name, listed in by_bin.items():
            version = meta[f"{name}.json"].version
            role = self.role(name, version)
            for path, entry in listed.items():
                if entry is None:
                    del role.signed.targets[path]
                else:
                    role.signed.targets[path] = entry
            role.signed.version = version + above
            self._write(f"{version + above}.{name}.json", role)
            raised[f"{name}.json"] = MetaFile(version + above)
        self.publish(lambda snapshot: snapshot.meta.update(raised), above=above)
