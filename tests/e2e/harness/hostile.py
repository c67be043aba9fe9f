"""Parts of a hostile mirror that change what is said. `mirror.py` has the table of them all."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable

from .distributions import Distribution
from .mirror import EVERYTHING, JSON_PAGE, METADATA, PAGES, Answer, Part, Request, Rest, Tree, recorded


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Replay(Part):
    """An older state, correctly signed in its time."""

    def __init__(self, old: Tree, where: Iterable[str] = EVERYTHING) -> None:
        self._old, self.where = recorded(old), tuple(where)

    def attack(self, request: Request, rest: Rest) -> Answer:
        return self._old(request)


class Freeze(Part):
    """Every path goes on answering what it answered first, "not here" included."""

    def __init__(self, where: Iterable[str] = EVERYTHING) -> None:
        self.where = tuple(where)
        self._kept: dict[tuple[str, ...], Answer] = {}
        self._lock = threading.Lock()

    def attack(self, request: Request, rest: Rest) -> Answer:
        asked = (request.path, request.headers.get("accept", ""), request.headers.get("range", ""))
        with self._lock:
            if asked not in self._kept:
                self._kept[asked] = rest(request)
            kept = self._kept[asked]
        return Answer(kept.status, list(kept.headers), kept.body, list(kept.wire))


class Equivocate(Part):
    """Another state for the clients that `who` picks."""

    def __init__(self, other: Tree, who: Callable[[Request], bool]) -> None:
        self._other, self._who = recorded(other), who

    def attack(self, request: Request, rest: Rest) -> Answer:
        return self._other(request) if self._who(request) else rest(request)


class Mixed(Part):
    """Roles of an older state, handed out under the numbers that the newer one asks for.

    With `projects`, their unsigned pages are the older ones, too: what a plain tool reads.
    """

    where = (*METADATA, "simple/*")

    def __init__(self, old: Tree, roles: Iterable[str], projects: Iterable[str] = ()) -> None:
        self._tree, self._old = old, recorded(old)
        self._roles, self._projects = set(roles), set(projects)

    def attack(self, request: Request, rest: Rest) -> Answer:
        if request.path.startswith("simple/"):
            project = request.path.split("/")[1]
            return self._old(request) if project in self._projects else rest(request)
        role = role_of(request.path)
        if role not in self._roles:
            return rest(request)
        return self._old(request.at(newest(self._tree, role)))


def role_of(path: str) -> str | None:
    """`simple-3f` for `metadata/12.simple-3f.json`."""
    found = re.fullmatch(r"metadata/\d+\.(.+)\.json", path)
    return found[1] if found else None


def newest(tree: Tree, role: str) -> str:
    """The path of a role's highest version."""
    versions = [int(p.split("/")[1].split(".")[0]) for p in tree if role_of(p) == role]
    return f"metadata/{max(versions)}.{role}.json"


def bin_of(tree: Tree, target: str, family: str = "simple") -> str:
    """The bin that lists a target, in its highest version."""
    for role in {role_of(p) for p in tree if (role_of(p) or "").startswith(f"{family}-")}:
        if target in json.loads(tree[newest(tree, role)])["signed"]["targets"]:
            return role
    raise AssertionError(f"no {family} bin lists {target}")


def page_target(project: str) -> str:
    return f"simple/{project}/index.json"


class Edit(Part):
    """Whatever a function of the bytes can do. What is not there stays away."""

    def __init__(self, where: Iterable[str], change: Callable[[bytes], bytes]) -> None:
        self.where, self._change = tuple(where), change

    def attack(self, request: Request, rest: Rest) -> Answer:
        said = rest(request)
        return said if said.status >= 300 else said.with_content(self._change(said.content))


def flip(content: bytes) -> bytes:
    """One bit in the middle."""
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


class Substitute(Part):
    """Another file under the name of a published one; its page tells the other's digests."""

    def __init__(self, good: Distribution, evil: Distribution, pages: bool = True) -> None:
        assert good.filename == evil.filename
        self._good, self._evil, self._pages = good, evil, pages
        self.where = (f"*packages/{good.project}/*", f"*simple/{good.project}/*")

    def attack(self, request: Request, rest: Rest) -> Answer:
        if "packages/" in request.path:
            if request.path.endswith(self._good.filename):
                return Answer(200, [("Content-Type", "application/octet-stream")], self._evil.content)
            if request.path.endswith(f"{self._good.filename}.metadata"):
                return Answer(200, [("Content-Type", "application/octet-stream")], self._evil.metadata)
            return rest(request)
        said = rest(request.at(request.path))
        if said.status != 200 or not self._pages:
            return said
        content = said.content.replace(self._good.sha256.encode(), self._evil.sha256.encode())
        content = content.replace(sha256(self._good.metadata).encode(), sha256(self._evil.metadata).encode())
        size = re.compile(rb'"size":%d\b' % len(self._good.content))
        return said.with_content(size.sub(b'"size":%d' % len(self._evil.content), content))


class AddDependency(Part):
    """Core metadata that asks for one project more, and pages that vouch for it."""

    def __init__(self, dist: Distribution, requirement: str) -> None:
        self._dist = dist
        head, _, rest = dist.metadata.partition(b"\n\n")
        self._metadata = head + f"\nRequires-Dist: {requirement}\n\n".encode() + rest
        self.where = (f"*packages/{dist.project}/*.metadata", f"*simple/{dist.project}/*")

    def attack(self, request: Request, rest: Rest) -> Answer:
        if request.path.endswith(f"{self._dist.filename}.metadata"):
            return Answer(200, [("Content-Type", "application/octet-stream")], self._metadata)
        said = rest(request.at(request.path))
        if said.status != 200 or "packages/" in request.path:
            return said
        before, after = sha256(self._dist.metadata), sha256(self._metadata)
        return said.with_content(said.content.replace(before.encode(), after.encode()))


class Rename(Part):
    """A signed file under another name: the page lists it, and the name answers."""

    def __init__(self, dist: Distribution, filename: str) -> None:
        self._dist, self._filename = dist, filename
        self.where = (f"*packages/{dist.project}/*", f"*simple/{dist.project}/*")

    def attack(self, request: Request, rest: Rest) -> Answer:
        if "packages/" in request.path:
            return rest(request.at(request.path.replace(self._filename, self._dist.filename)))
        said = rest(request.at(request.path, accept=JSON_PAGE))
        if said.status != 200 or said.header("Content-Type") != JSON_PAGE:
            return said
        page = json.loads(said.content)
        (entry,) = (f for f in page["files"] if f["filename"] == self._dist.filename)
        url = entry["url"].replace(self._dist.filename, self._filename)
        page["files"].append(entry | {"filename": self._filename, "url": url})
        return said.with_content(json.dumps(page).encode())


class Exchange(Part):
    """One signed file for another of the same project; the page tells the other's digests."""

    def __init__(self, wanted: Distribution, given: Distribution) -> None:
        self._wanted, self._given = wanted, given
        self.where = (f"*packages/{wanted.project}/*", f"*simple/{wanted.project}/*")

    def attack(self, request: Request, rest: Rest) -> Answer:
        wanted, given = self._wanted, self._given
        if "packages/" in request.path:
            path = request.path.replace(wanted.filename, given.filename)
            path = path.replace(wanted.sha256, given.sha256).replace(sha256(wanted.metadata), sha256(given.metadata))
            return rest(request.at(path.replace(f"/{wanted.project}/", f"/{given.project}/")))
        said = rest(request.at(request.path, accept=JSON_PAGE))
        if said.status != 200 or said.header("Content-Type") != JSON_PAGE:
            return said
        page = json.loads(said.content)
        for entry in page["files"]:
            if entry["filename"] == wanted.filename:
                entry["hashes"], entry["size"] = {"sha256": given.sha256}, len(given.content)
                entry["core-metadata"] = {"sha256": sha256(given.metadata)}
        return said.with_content(json.dumps(page).encode())


class PageOf(Part):
    """Another project's page, signed as it is, where this project's is asked for."""

    def __init__(self, other: str, project: str) -> None:
        self._other = other
        self.where = (f"simple/{project}/*", f"targets/simple/{project}/*")

    def attack(self, request: Request, rest: Rest) -> Answer:
        accept = request.headers.get("accept", "") if request.path.startswith("simple/") else JSON_PAGE
        return rest(request.at(f"simple/{self._other}/", accept=accept))


class SwapBins(Part):
    """One role's metadata where another's is asked for, both ways."""

    where = METADATA

    def __init__(self, tree: Tree, one: str, other: str) -> None:
        self._instead = {one: newest(tree, other), other: newest(tree, one)}

    def attack(self, request: Request, rest: Rest) -> Answer:
        instead = self._instead.get(role_of(request.path) or "")
        return rest(request.at(instead)) if instead else rest(request)


class WithoutRole(Edit):
    """A snapshot that no longer lists a role. Its signature is that of the whole one."""

    def __init__(self, role: str) -> None:
        def change(content: bytes) -> bytes:
            snapshot = json.loads(content)
            del snapshot["signed"]["meta"][f"{role}.json"]
            return json.dumps(snapshot, separators=(",", ":")).encode()

        super().__init__(("metadata/*.snapshot.json",), change)


class StripSignatures(Edit):
    """Only the first `keep` signatures of each role."""

    def __init__(self, keep: int = 0, where: Iterable[str] = METADATA) -> None:
        def change(content: bytes) -> bytes:
            role = json.loads(content)
            role["signatures"] = role["signatures"][:keep]
            return json.dumps(role, separators=(",", ":")).encode()

        super().__init__(where, change)


class Downgrade(Part):
    """As though the index had never been signed: no metadata, no digests in pages."""

    where = (*METADATA, *PAGES)

    def attack(self, request: Request, rest: Rest) -> Answer:
        if request.is_in(METADATA):
            return Answer(404, [("Content-Type", "text/plain")], b"not here\n")
        said = rest(request.at(request.path))
        if said.status != 200:
            return said
        content = re.sub(rb"#sha256=[0-9a-f]{64}|(?: data-[a-z-]+metadata=\"[^\"]*\")", b"", said.content)
        if said.header("Content-Type") == JSON_PAGE and b'"files"' in content:
            page = json.loads(content)
            for entry in page["files"]:
                entry["hashes"] = {}
                for key in ("core-metadata", "_wheelmark"):
                    entry.pop(key, None)
            content = json.dumps(page).encode()
        return said.with_content(content)


class Says(Part):
    """A status instead of an answer."""

    def __init__(self, where: Iterable[str], status: int, body: bytes = b"said by the mirror\n") -> None:
        self.where, self._status, self._body = tuple(where), status, body

    def attack(self, request: Request, rest: Rest) -> Answer:
        return Answer(self._status, [("Content-Type", "text/plain")], self._body)
