"""A small signed tree made with python-tuf by the test's own keys.

It has the roles and paths of `docs/layout.md`, with two bins in each family. A test holds
every key, so it can sign what no honest index would: expired roles, a root signed by one
key of two, a bin by another key, a snapshot without a role.

    forge = Forge(wheel("victim"))
    honest = forge.publish()               path to bytes, for a `Mirror`
    forge.role("timestamp").expires = LONG_AGO
    forge.release()                        new versions of what is online
    forge.claim("victim", sealed=True)     from then on the project's own key signs for it
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from .distributions import Distribution

FAMILIES = ("simple", "packages")
BINS = tuple(f"{family}-{number}" for family in FAMILIES for number in (0, 1))
ONLINE = (*BINS, "recently-claimed", "status")
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


def new_key() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


class Forge:
    """Keys, roles and files of one index. `online` keys sign bins, snapshot and timestamp.

    `apart`: every role has a key of its own, timestamp, snapshot and the bins of each family included.
    """

    def __init__(self, *dists: Distribution, threshold: int = 2, online: int = 1, apart: bool = False) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        self.expires = now + timedelta(days=1)
        later = now + timedelta(days=365)
        self.dists: list[Distribution] = []
        # Who signs what; a test may put other keys here, or fewer.
        self.signers: dict[str, list[Signer]] = {
            name: [new_key() for _ in range(threshold)] for name in ("root", "targets", "claimed", *FAMILIES)
        }
        shared = [new_key() for _ in range(online)]
        for name in ("timestamp", "snapshot", *ONLINE):
            self.signers[name] = [new_key()] if apart else list(shared)
        # The project role that answers for a project.
        self.claimed: dict[str, str] = {}
        # Targets roles that the snapshot does not list although it should.
        self.unlisted: set[str] = set()
        # Roles of which the version that is listed is one that was published, and is not written again.
        self.older: set[str] = set()
        self._instead: dict[str, TargetFile] = {}
        self._tree: dict[str, bytes] = {}
        self._roles: dict[str, Signed] = {
            "root": Root(expires=later),
            "timestamp": Timestamp(expires=self.expires),
            "snapshot": Snapshot(expires=self.expires),
            "targets": self._targets("targets", later, self._top_delegations()),
            "claimed": self._targets("claimed", later, Delegations({}, {})),
            "recently-claimed": self._targets("recently-claimed", self.expires, Delegations({}, {})),
            "status": self._targets("status", self.expires, None),
        }
        for family in FAMILIES:
            signers = [new_key()] if apart else list(shared)
            self.signers |= {name: list(signers) for name in BINS if name.startswith(family)}
            keys = {s.public_key.keyid: s.public_key for s in signers}
            bins = SuccinctRoles(list(keys), len(signers), 1, family)
            self._roles[family] = self._targets(family, later, Delegations(keys, succinct_roles=bins))
        for name in BINS:
            self._roles[name] = self._targets(name, self.expires, None)
        self._set_root_keys()
        self.add(*dists)

    # What a test changes.

    def role(self, name: str):
        """The part of a role that gets signed."""
        return self._roles[name]

    def add(self, *dists: Distribution) -> None:
        """Files that the next `publish` lists. A file of the same name takes the other's place."""
        names = {dist.filename for dist in dists}
        self.dists = [dist for dist in self.dists if dist.filename not in names] + list(dists)

    def rotate(self, name: str, keys: Iterable[Signer]) -> None:
        """Other keys for a top-level role: the root that says so is the next version."""
        self.signers[name] = list(keys)
        self._roles["root"].version += 1
        self._set_root_keys()

    def release(self, *dists: Distribution) -> dict[str, bytes]:
        """Publishes with new versions of all that is online."""
        self.add(*dists)
        own = {self.claimed[dist.project] for dist in dists if dist.project in self.claimed}
        for name in ("timestamp", "snapshot", *ONLINE, *sorted(own)):
            self._roles[name].version += 1
        return self.publish()

    def claim(self, project: str, *, sealed: bool = False) -> None:
        """From the next `publish` on a project is signed for by a key of its own (PEP 480)."""
        name, key = f"project-{project}", new_key()
        self.signers[name], self.claimed[project] = [key], name
        self._roles[name] = self._targets(name, self.expires + timedelta(days=365), None)
        delegating = self._roles["claimed" if sealed else "recently-claimed"]
        delegating.delegations.keys[key.public_key.keyid] = key.public_key
        paths = [f"simple/{project}/*", f"packages/{project}/*"]
        delegating.delegations.roles[name] = DelegatedRole(name, [key.public_key.keyid], 1, True, paths)
        delegating.version += 1

    def list_instead(self, project: str, entry: TargetFile) -> None:
        """From the next `publish` on, the page of a project is what another's entry describes."""
        self._instead[f"simple/{project}/index.json"] = entry

    def copy(self) -> "Forge":
        """The same index with the same keys, going its own way from here."""
        twin = copy.copy(self)
        twin.dists, twin._tree, twin.unlisted = list(self.dists), dict(self._tree), set(self.unlisted)
        twin.signers = {name: list(keys) for name, keys in self.signers.items()}
        twin._roles, twin.claimed = copy.deepcopy(self._roles), dict(self.claimed)
        twin._instead, twin.older = dict(self._instead), set(self.older)
        return twin

    # What it makes.

    def publish(self) -> dict[str, bytes]:
        """Signs everything as it is now; older versions stay in the tree."""
        self._place_files()
        every = ("targets", "claimed", *FAMILIES, *ONLINE, *self.claimed.values())
        for name in every:
            if name not in self.older:
                self._write(name)
        snapshot, timestamp = self._roles["snapshot"], self._roles["timestamp"]
        listed = [name for name in every if name not in self.unlisted]
        snapshot.meta = {f"{name}.json": self._listed(name) for name in listed}
        written = self._write("snapshot")
        timestamp.snapshot_meta = MetaFile(
            snapshot.version, len(written), {"sha256": hashlib.sha256(written).hexdigest()}
        )
        self._tree["metadata/timestamp.json"] = self._sign("timestamp")
        self._write("root")
        return dict(self._tree)

    def signed_by(self, name: str, keys: Iterable[Signer]) -> dict[str, bytes]:
        """The tree with one role signed by these keys; all that lists it stays as it is."""
        self.signers[name] = list(keys)
        self._write(name)
        return dict(self._tree)

    def root_file(self, folder: Path) -> Path:
        """The first root, as a person would be given it."""
        path = folder / "root.json"
        path.write_bytes(self._tree["metadata/1.root.json"])
        return path

    def _place_files(self) -> None:
        for name in (*BINS, *self.claimed.values()):
            self._roles[name].targets = {}
        for project in {dist.project for dist in self.dists}:
            files = [dist for dist in self.dists if dist.project == project]
            self._place_page(project, files)
            for dist in files:
                folder = f"packages/{project}"
                self._tree[f"targets/{folder}/{dist.sha256}.{dist.filename}"] = dist.content
                self._tree[f"{folder}/{dist.filename}"] = dist.content
                digest = hashlib.sha256(dist.metadata).hexdigest()
                self._tree[f"targets/{folder}/{digest}.{dist.filename}.metadata"] = dist.metadata
                self._tree[f"{folder}/{dist.filename}.metadata"] = dist.metadata
                self._list("packages", f"{folder}/{dist.filename}", dist.content)
        for path, entry in self._instead.items():
            self._roles[self.bin_of(path)].targets[path] = entry

    def _place_page(self, project: str, files: list[Distribution]) -> None:
        page = json.dumps(
            {
                "files": [_entry(dist) for dist in files],
                "meta": {"api-version": "1.4"},
                "name": project,
                "versions": sorted({dist.version for dist in files}),
            },
            separators=(",", ":"),
            sort_keys=True,
        ).encode()
        digest = hashlib.sha256(page).hexdigest()
        self._tree[f"targets/simple/{project}/{digest}.index.json"] = page
        self._tree[f"simple/{project}/index.json"] = page
        links = "".join(
            f'<a href="../../packages/{project}/{d.filename}#sha256={d.sha256}">{d.filename}</a>\n' for d in files
        )
        self._tree[f"simple/{project}/index.html"] = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        self._list("simple", f"simple/{project}/index.json", page)

    def bin_of(self, target: str) -> str:
        """The bin that a target path belongs to: with two bins, its hash's first bit says."""
        return f"{target.split('/')[0]}-{hashlib.sha256(target.encode()).digest()[0] >> 7}"

    def role_of(self, target: str) -> str:
        """The role that answers for a target path."""
        return self.claimed.get(target.split("/")[1]) or self.bin_of(target)

    def _list(self, family: str, path: str, content: bytes) -> None:
        entry = TargetFile(len(content), {"sha256": hashlib.sha256(content).hexdigest()}, path)
        self._roles[self.role_of(path)].targets[path] = entry

    def _write(self, name: str) -> bytes:
        content = self._sign(name)
        self._tree[f"metadata/{self._roles[name].version}.{name}.json"] = content
        return content

    def _listed(self, name: str) -> MetaFile:
        """What the snapshot says of a role: the digest as well, if other keys sign it than the snapshot's."""
        version = self._roles[name].version
        if self.signers[name] == self.signers["snapshot"]:
            return MetaFile(version)
        written = self._tree[f"metadata/{version}.{name}.json"]
        return MetaFile(version, hashes={"sha256": hashlib.sha256(written).hexdigest()})

    def _sign(self, name: str) -> bytes:
        made = Metadata(self._roles[name])
        for signer in self.signers[name]:
            made.sign(signer, append=True)
        return made.to_bytes(JSONSerializer(compact=True))

    def _own_role(self, name: str) -> Role:
        keys = [s.public_key.keyid for s in self.signers[name]]
        return Role(keys, len(keys))

    def _set_root_keys(self) -> None:
        root = self._roles["root"]
        root.keys = {}
        for name in ("root", "timestamp", "snapshot", "targets"):
            root.roles[name] = self._own_role(name)
            root.keys |= {s.public_key.keyid: s.public_key for s in self.signers[name]}

    def _targets(self, name: str, expires: datetime, delegations: Delegations | None) -> Targets:
        said = {"_wheelmark": {"role": name}}
        return Targets(expires=expires, targets={}, delegations=delegations, unrecognized_fields=said)

    def _top_delegations(self) -> Delegations:
        every = ["simple/*/*", "packages/*/*"]
        paths = {
            "claimed": every,
            "recently-claimed": every,
            "simple": ["simple/*/*"],
            "packages": ["packages/*/*"],
            "status": ["status/*"],
        }
        roles, keys = {}, {}
        for name, patterns in paths.items():
            own = {s.public_key.keyid: s.public_key for s in self.signers[name]}
            keys |= own
            roles[name] = DelegatedRole(name, list(own), len(own), "claimed" not in name, patterns)
        return Delegations(keys, roles)


def _entry(dist: Distribution) -> dict:
    return {
        "_wheelmark": {"signed": "at-upload", "signed-at": "2026-01-01T00:00:00Z"},
        "core-metadata": {"sha256": hashlib.sha256(dist.metadata).hexdigest()},
        "filename": dist.filename,
        "hashes": {"sha256": dist.sha256},
        "size": len(dist.content),
        "upload-time": "2026-01-01T00:00:00.000Z",
        "url": f"../../packages/{dist.project}/{dist.filename}",
        "yanked": False,
    }
