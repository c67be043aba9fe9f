"""Somebody who has the online key of a real index and can write its tree, and what they sign and hand out."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterable

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Metadata, MetaFile, Snapshot, TargetFile, Targets

from .distributions import Distribution
from .index import Index
from .online_key import OnlineKey


class Burglar(OnlineKey):
    """Leaves what plain tools read as it would be, too: the page of a project without its signature."""

    def __init__(self, index: Index) -> None:
        super().__init__(index)
        self.own = CryptoSigner.generate_ed25519()

    def publishes(self, *evil: Distribution, above: int = 1) -> None:
        """Files of projects that nobody has claimed: new ones, or others in the place of those that are there."""
        pages = {dist.project: self.page(dist.project) for dist in evil}
        for dist in evil:
            put(pages[dist.project], dist)
        self.rewrite(pages.values(), {target(dist): dist.content for dist in evil}, above=above)
        self._shows_plainly(pages.values(), evil)

    def claims(self, *evil: Distribution, above: int = 1) -> None:
        """Projects for the thief's own key, claimed by others or by nobody, and a file of each that it signs."""
        meta = self.published().signed.meta
        listed = Metadata[Targets].from_file(
            str(self.metadata / f"{meta['recently-claimed.json'].version}.recently-claimed.json")
        )
        own, raised = self.own.public_key, {}
        # As the roles do that an honest index publishes.
        expires = listed.signed.expires
        listed.signed.delegations.keys[own.keyid] = own
        pages = []
        for dist in evil:
            name, project = f"project-{dist.project}", dist.project
            page = json.loads((self.tree / "simple" / project / "index.json").read_bytes())
            put(page, dist)
            pages.append(page)
            made = Metadata(Targets(expires=expires, unrecognized_fields={"_wheelmark": {"role": name}}))
            content = self._page(page)
            path = f"simple/{project}/index.json"
            made.signed.targets[path] = TargetFile.from_data(path, content, ["sha256"])
            for file in page["files"]:
                listed_as = f"packages/{project}/{file['filename']}"
                made.signed.targets[listed_as] = TargetFile(file["size"], file["hashes"], listed_as)
            before = meta.get(f"{name}.json")
            made.signed.version = (before.version if before else 0) + above
            made.sign(self.own)
            written = made.to_bytes()
            (self.metadata / f"{made.signed.version}.{name}.json").write_bytes(written)
            raised[f"{name}.json"] = MetaFile(
                made.signed.version, hashes={"sha256": hashlib.sha256(written).hexdigest()}
            )
            paths = [f"simple/{project}/*", f"packages/{project}/*"]
            listed.signed.delegations.roles[name] = DelegatedRole(name, [own.keyid], 1, True, paths)
            self._file(dist)
        listed.signed.version += above
        self._write(f"{listed.signed.version}.recently-claimed.json", listed)
        raised["recently-claimed.json"] = MetaFile(listed.signed.version)
        self.publish(lambda snapshot: snapshot.meta.update(raised), above=above)
        self._shows_plainly(pages, evil)

    def shows_again(self, *pages: dict) -> None:
        """Old pages, signed as the newest; what they do not list is gone without a trace."""
        gone = {
            f"packages/{page['name']}/{file['filename']}": None
            for page in pages
            for file in self.page(page["name"])["files"]
            if file["filename"] not in {kept["filename"] for kept in page["files"]}
        }
        self.rewrite(pages, gone)
        self._shows_plainly(pages, ())

    def takes_numbers(self, above: int) -> dict[str, int]:
        """So far above what is published, each number of a role has the thief's file already: the numbers, by role."""
        listed = self.published()
        taken = {}
        for name in self._own_roles(listed.signed):
            role = self.role(name, listed.signed.meta[f"{name}.json"].version)
            role.signed.version += above
            taken[name] = role.signed.version
            self._write(f"{role.signed.version}.{name}.json", role)
        listed.signed.version += above
        self._write(f"{listed.signed.version}.snapshot.json", listed)
        return taken | {"snapshot": listed.signed.version}

    def _own_roles(self, snapshot: Snapshot) -> list[str]:
        """What the online key signs besides snapshot and timestamp."""
        return [
            name.removesuffix(".json")
            for name in snapshot.meta
            if re.match(r"(simple|packages)-|recently-claimed|status", name)
        ]

    def drives_up(self, version: int) -> None:
        """All that the online key signs, in this version."""
        listed = self.published().signed.meta
        own = self._own_roles(self.published().signed)
        for name in own:
            role = self.role(name, listed[f"{name}.json"].version)
            role.signed.version = version
            self._write(f"{version}.{name}.json", role)
        raised = {f"{name}.json": MetaFile(version) for name in own}
        timestamp = Metadata.from_file(str(self.metadata / "timestamp.json")).signed
        assert timestamp.version == timestamp.snapshot_meta.version
        self.publish(lambda snapshot: snapshot.meta.update(raised), above=version - timestamp.version)

    def _page(self, page: dict) -> bytes:
        content = json.dumps(page, sort_keys=True, separators=(",", ":")).encode()
        folder = self.tree / "targets" / "simple" / page["name"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{hashlib.sha256(content).hexdigest()}.index.json").write_bytes(content)
        return content

    def _file(self, dist: Distribution) -> None:
        folder = self.tree / "targets" / "packages" / dist.project
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{dist.sha256}.{dist.filename}").write_bytes(dist.content)

    def _shows_plainly(self, pages: Iterable[dict], evil: Iterable[Distribution]) -> None:
        for page in pages:
            folder = self.tree / "simple" / page["name"]
            links = "".join(
                f'<a href="{file["url"]}#sha256={file["hashes"]["sha256"]}">{file["filename"]}</a>\n'
                for file in page["files"]
            )
            html = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
            for name, content in {"index.json": json.dumps(page).encode(), "index.html": html}.items():
                (folder / name).unlink(missing_ok=True)
                (folder / name).write_bytes(content)
        for dist in evil:
            place = self.tree / "packages" / dist.project / dist.filename
            # The file of before may be the same one as under `targets`.
            place.unlink(missing_ok=True)
            place.write_bytes(dist.content)


def target(dist: Distribution) -> str:
    return f"packages/{dist.project}/{dist.filename}"


def put(page: dict, dist: Distribution) -> None:
    """The entry of a file, in the place of what there was under its name."""
    entry = copy.deepcopy(page["files"][0])
    entry |= {"filename": dist.filename, "hashes": {"sha256": dist.sha256}, "size": len(dist.content)}
    entry["url"] = f"../../{target(dist)}"
    for about in ("core-metadata", "provenance"):
        entry.pop(about, None)
    page["files"] = [file for file in page["files"] if file["filename"] != dist.filename] + [entry]
    page["versions"] = sorted({*page["versions"], dist.version})
