"""Projects whose own people sign for them: claimed, published, installed, and defended (PEP 480)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Metadata, MetaFile, Snapshot, TargetFile, Targets

from harness.developer import Developer
from harness.distributions import Distribution, sdist, wheel
from harness.index import Index
from harness.sandbox import Outcome, Sandbox, Venv
from harness.tuf_reader import TufReader

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])


@pytest.fixture
def index(make_index) -> Index:
    """One whose owners may claim their projects."""
    return make_index(env={"WHEELMARK_INDEX_CLAIMS": "on"}).start()


@pytest.fixture
def developer(index: Index, tmp_path: Path, binary: Path) -> Developer:
    return Developer(tmp_path / "developer", binary, index)


def explained(sandbox: Sandbox, project: str) -> dict:
    return json.loads(sandbox.wheelmark("explain", project, "--json").out)


def role_of(index: Index, project: str, version: int) -> Metadata[Targets]:
    return Metadata[Targets].from_file(str(index.tree / "metadata" / f"{version}.project-{project}.json"))


@BOTH
def test_claimed_published_and_installed(
    index: Index, developer: Developer, sandbox: Sandbox, tmp_path: Path, tool: str
) -> None:
    before = [wheel("acme-tools", "1.0", says="1.0"), sdist("acme-tools", "0.9")]
    index.publish(*before, wheel("other", "1.0"))
    told = json.loads(developer.claim("acme-tools", "--compare", developer.copies(before[0]), "--json").ok().out)
    assert told == {"project": "acme-tools", "keys": [developer.keyid], "threshold": 1, "files": 2, "adopted": 1}

    # What nobody signed for the project is not published, and says so (test_staging.py: it waits).
    late = wheel("acme-tools", "3.0", says="by twine")
    waits = developer.sandbox.twine(index, late.write(tmp_path / "late"), "--verbose").ok()
    words = " ".join(waits.text.split())
    assert "acme-tools is claimed" in words and "wheelmark release adopt acme-tools==3.0" in words, waits
    assert late.filename not in index.get("simple/acme-tools/").body.decode()

    new = [wheel("acme-tools", "2.0", says="2.0"), sdist("acme-tools", "2.0")]
    done = developer.publish(*new).ok()
    for dist in new:
        assert dist.sha256 in done.out, "each hash is shown before it is signed"
    # Once more is no harm.
    assert "published already" in developer.publish(*new).ok().out

    sandbox.trust(index)
    venv, report = sandbox.venv(), tmp_path / "report.json"
    sandbox.install(tool, venv, "acme-tools", "other", options=("--report", report)).ok()
    assert venv.says("acme_tools") == "2.0"
    chains = {entry["project"]: entry["chain"] for entry in json.loads(report.read_text())["files"]}
    assert chains == {"acme-tools": "developer-signed (provisional)", "other": "index-signed"}
    shown = explained(sandbox, "acme-tools")
    assert shown["answers"]["chain"] == "developer-signed (provisional)"
    assert shown["answers"]["claim"]["keys"] == {developer.keyid: "operator"}
    assert (shown["answers"]["claim"]["threshold"], shown["answers"]["claim"]["sealed"]) == (1, False)
    # What was taken over unseen is not called the developers'.
    old = json.loads(sandbox.wheelmark("explain", "acme-tools==0.9", "--json").out)
    assert [file["adopted"] for file in old["files"]] == [True]
    old = json.loads(sandbox.wheelmark("explain", "acme-tools==1.0", "--json").out)
    assert [file["adopted"] for file in old["files"]] == [False]


def test_python_tuf_follows_the_project_role(index: Index, developer: Developer, tmp_path: Path) -> None:
    first, second = wheel("acme-tools", "1.0"), wheel("acme-tools", "2.0")
    index.publish(first)
    developer.claim("acme-tools").ok()
    developer.publish(second).ok()
    reader = TufReader(index, tmp_path / "reader")
    page = json.loads(reader.page("acme-tools"))
    assert [file["filename"] for file in page["files"]] == [first.filename, second.filename]
    for dist in (first, second):
        assert reader.file("acme-tools", dist.filename) == dist.content
    # It came by the project's own role, which alone lists it.
    recently = sorted((index.tree / "metadata").glob("*.recently-claimed.json"), key=lambda p: int(p.name.split(".")[0]))
    delegations = Metadata[Targets].from_file(str(recently[-1])).signed.delegations
    role = delegations.roles["project-acme-tools"]
    assert role.paths == ["simple/acme-tools/*", "packages/acme-tools/*"] and role.terminating
    assert list(delegations.keys) == [developer.keyid]
    listed = role_of(index, "acme-tools", 2).signed.targets
    assert sorted(listed) == sorted(
        ["simple/acme-tools/index.json", *(f"packages/acme-tools/{dist.filename}" for dist in (first, second))]
    )
    bins = [Metadata[Targets].from_file(str(path)).signed.targets for path in newest_bins(index)]
    assert not any("acme-tools" in path for targets in bins for path in targets)


def newest(index: Index) -> dict[str, int]:
    metadata = index.tree / "metadata"
    timestamp = Metadata.from_file(str(metadata / "timestamp.json")).signed
    snapshot = Metadata.from_file(str(metadata / f"{timestamp.snapshot_meta.version}.snapshot.json")).signed
    return {name.removesuffix(".json"): meta.version for name, meta in snapshot.meta.items()}


def newest_bins(index: Index) -> list[Path]:
    versions = newest(index).items()
    named = [(role, version) for role, version in versions if role.startswith(("simple-", "packages-"))]
    return [index.tree / "metadata" / f"{version}.{role}.json" for role, version in named]


def test_a_second_machine_names_the_keys_and_two_publish_at_once(
    index: Index, developer: Developer, tmp_path: Path, binary: Path
) -> None:
    index.publish(wheel("acme-tools", "1.0"))
    stranger = Developer(tmp_path / "stranger", binary, index)
    second = Developer(tmp_path / "second", binary, index)
    both = ("--signer", f"file:{developer.key}", "--signer", f"file:{second.key}")
    developer.claim("acme-tools", "--signer", f"file:{second.key}").failed()  # one phrase opens one file
    developer.claim("acme-tools").ok()
    assert both

    two = wheel("acme-tools", "2.0")
    refused = stranger.publish(two).failed()
    assert "nobody on this machine has said" in refused.err and developer.keyid in refused.err, refused
    refused = stranger.publish(two, options=("--key", stranger.keyid)).failed()
    assert "not those that sign" in refused.err, refused
    refused = stranger.publish(two, options=("--key", developer.keyid)).failed()
    assert "none of these keys signs" in refused.err, refused
    # The same key on another machine, its page of before somebody else's release.
    second.key = developer.key
    second.publish(two, options=("--key", developer.keyid)).ok()
    developer.publish(wheel("acme-tools", "3.0")).ok()
    names = index.get("simple/acme-tools/").body.decode()
    assert all(f"acme_tools-{version}" in names for version in ("1.0", "2.0", "3.0"))


def test_copies_that_differ_stop_a_claim(index: Index, developer: Developer) -> None:
    index.publish(wheel("acme-tools", "1.0", says="the index's"))
    mine = wheel("acme-tools", "1.0", says="mine")
    refused = developer.claim("acme-tools", "--compare", developer.copies(mine)).failed()
    assert "is not" in refused.err and "nothing was signed" in refused.err, refused
    assert "project-acme-tools" not in newest(index)


class Thief:
    """Has every online key, the database and the disk, and publishes what an honest index would not."""

    def __init__(self, index: Index) -> None:
        self.index, self.metadata = index, index.tree / "metadata"
        root = Metadata.from_file(str(self.metadata / "1.root.json")).signed
        (keyid,) = root.roles["timestamp"].keyids
        private = load_pem_private_key((index.data / "online-key").read_bytes(), None)
        self.signer = CryptoSigner(private, root.keys[keyid])
        self.own = CryptoSigner.generate_ed25519()

    def _write(self, name: str, metadata: Metadata, signer: CryptoSigner | None = None) -> bytes:
        metadata.sign(signer or self.signer)
        content = metadata.to_bytes()
        (self.metadata / name).write_bytes(content)
        return content

    def publish(
        self,
        roles: dict[str, Callable[[Targets], None]],
        own: dict[str, Metadata[Targets]] | None = None,
        shown: dict[str, int] | None = None,
    ) -> None:
        """The next versions of roles, in the next snapshot; `own` are signed with the thief's own key, and
        of roles in `shown` that version is named."""
        versions, raised = newest(self.index), {}
        for name, change in roles.items():
            role = Metadata[Targets].from_file(str(self.metadata / f"{versions[name]}.{name}.json"))
            change(role.signed)
            role.signed.version += 1
            self._write(f"{role.signed.version}.{name}.json", role)
            raised[name] = role.signed.version
        for name, role in (own or {}).items():
            role.signed.version = versions.get(name, 0) + 1
            self._write(f"{role.signed.version}.{name}.json", role, self.own)
            raised[name] = role.signed.version
        raised |= shown or {}
        timestamp = Metadata.from_file(str(self.metadata / "timestamp.json"))
        version = timestamp.signed.snapshot_meta.version
        snapshot: Metadata[Snapshot] = Metadata.from_file(str(self.metadata / f"{version}.snapshot.json"))
        snapshot.signed.meta.update({f"{name}.json": MetaFile(version) for name, version in raised.items()})
        snapshot.signed.version += 1
        written = self._write(f"{version + 1}.snapshot.json", snapshot)
        digest = hashlib.sha256(written).hexdigest()
        timestamp.signed.snapshot_meta = MetaFile(version + 1, len(written), {"sha256": digest})
        timestamp.signed.version += 1
        self._write("timestamp.json", timestamp)

    def page_with(self, dist: Distribution) -> tuple[str, bytes]:
        """The project's page with one file more, placed in the tree with it."""
        page = json.loads((self.index.tree / "simple" / dist.project / "index.json").read_text())
        (metadata := hashlib.sha256(dist.metadata)).hexdigest()
        page["files"] = [file for file in page["files"] if file["filename"] != dist.filename] + [
            {
                "filename": dist.filename,
                "url": f"../../packages/{dist.project}/{dist.filename}",
                "hashes": {"sha256": dist.sha256},
                "size": len(dist.content),
                "upload-time": "2026-01-01T00:00:00Z",
                "core-metadata": {"sha256": metadata.hexdigest()},
                "yanked": False,
            }
        ]
        page["versions"] = sorted({*page["versions"], dist.version})
        content = json.dumps(page).encode()
        files = self.index.tree / "targets" / "packages" / dist.project
        (files / f"{dist.sha256}.{dist.filename}").write_bytes(dist.content)
        (files / f"{metadata.hexdigest()}.{dist.filename}.metadata").write_bytes(dist.metadata)
        pages = self.index.tree / "targets" / "simple" / dist.project
        (pages / f"{hashlib.sha256(content).hexdigest()}.index.json").write_bytes(content)
        return f"simple/{dist.project}/index.json", content

    def bin_of(self, path: str) -> str:
        bits = (len([name for name in newest(self.index) if name.startswith("simple-")]) - 1).bit_length()
        number = int(hashlib.sha256(path.encode()).hexdigest(), 16) >> (256 - bits)
        return next(n for n in newest(self.index) if n.startswith("simple-") and int(n.split("-")[1], 16) == number)

    def into_bin(self, dist: Distribution) -> dict[str, Callable[[Targets], None]]:
        path, content = self.page_with(dist)
        target = TargetFile.from_data(path, content, ["sha256"])
        return {self.bin_of(path): lambda role: role.targets.update({path: target})}

    def without_claim(self, project: str) -> dict[str, Callable[[Targets], None]]:
        return {"recently-claimed": lambda role: role.delegations.roles.pop(f"project-{project}") and None}

    def with_own_key(self, dist: Distribution) -> None:
        """The project's delegation with another key, and a role that this key signs."""
        name, (path, content) = f"project-{dist.project}", self.page_with(dist)

        def change(role: Targets) -> None:
            key = self.own.public_key
            role.delegations.keys[key.keyid] = key
            role.delegations.roles[name].keyids = [key.keyid]

        forged = Metadata(Targets(expires=Metadata.from_file(str(self.metadata / "1.targets.json")).signed.expires))
        forged.signed.targets[path] = TargetFile.from_data(path, content, ["sha256"])
        forged.signed.unrecognized_fields["_wheelmark"] = {"role": name}
        self.publish({"recently-claimed": change}, {name: forged})


def installs(sandbox: Sandbox, tool: str, project: str) -> tuple[Outcome, Venv]:
    venv = sandbox.venv()
    return sandbox.install(tool, venv, project), venv


@BOTH
def test_whoever_has_all_online_keys_cannot_speak_for_a_claimed_project(
    index: Index, developer: Developer, sandbox: Sandbox, tmp_path: Path, binary: Path, tool: str
) -> None:
    index.publish(wheel("open-one", "1.0", says="good"), wheel("acme-tools", "1.0", says="good"))
    developer.claim("acme-tools").ok()
    sandbox.trust(index)
    for project in ("open-one", "acme-tools"):
        done, venv = installs(sandbox, tool, project)
        done.ok()
        assert venv.says(project.replace("-", "_")) == "good"
    thief = Thief(index)
    index.stop()

    # An unclaimed project is theirs, also for those who know it: this is what claims are for.
    thief.publish(thief.into_bin(wheel("open-one", "99.0", says="evil")))
    index.start()
    done, venv = installs(sandbox, tool, "open-one")
    assert done.ok() and venv.says("open_one") == "evil"

    # The same to the claimed one: its own role answers, and the bin is not asked.
    index.stop()
    evil = wheel("acme-tools", "99.0", says="evil")
    thief.publish(thief.into_bin(evil))
    index.start()
    done, venv = installs(sandbox, tool, "acme-tools")
    assert done.ok() and venv.says("acme_tools") == "good"

    # The claim is left out.
    index.stop()
    kept = {path: path.read_bytes() for path in thief.metadata.glob("*.recently-claimed.json")}
    thief.publish(thief.without_claim("acme-tools"))
    index.start()
    done, venv = installs(sandbox, tool, "acme-tools")
    assert not venv.installed() and "own people signed for it until now" in done.failed().text, done
    refused = developer.publish(wheel("acme-tools", "2.0")).failed()
    assert "own people signed for it until now" in refused.text, "what was planted is not signed over"

    # A fresh client sees no claim: that much stands in docs/claims.md.
    fresh = Sandbox(tmp_path / "fresh", binary)
    fresh.trust(index)
    done, venv = installs(fresh, tool, "acme-tools")
    assert done.ok() and venv.says("acme_tools") == "evil"
    index.stop()
    assert kept


def test_other_keys_in_the_place_of_the_project_s_own_are_refused(
    index: Index, developer: Developer, sandbox: Sandbox
) -> None:
    index.publish(wheel("acme-tools", "1.0", says="good"))
    developer.claim("acme-tools").ok()
    sandbox.trust(index)
    installs(sandbox, "pip", "acme-tools")[0].ok()
    thief = Thief(index)
    thief.with_own_key(wheel("acme-tools", "99.0", says="evil"))
    done, venv = installs(sandbox, "pip", "acme-tools")
    assert not venv.installed() and "other keys than before" in done.failed().text, done
    shown = sandbox.wheelmark("explain", "acme-tools").failed()
    assert "other keys than before" in shown.text and "trust claims forget" in shown.text, shown
    refused = developer.publish(wheel("acme-tools", "2.0")).failed()
    assert "other keys than before" in refused.text

    # A person can say that it is right, having asked the project.
    known = json.loads(sandbox.wheelmark("trust", "claims", "list", "--json").ok().out)
    assert [(claim["project"], claim["keys"]) for claim in known] == [("acme-tools", [developer.keyid])]
    sandbox.wheelmark("trust", "claims", "forget", "acme-tools").ok()
    done, venv = installs(sandbox, "pip", "acme-tools")
    assert done.ok() and venv.says("acme_tools") == "evil"


def test_an_index_takes_claims_if_it_says_so(make_index, tmp_path: Path, binary: Path) -> None:
    index: Index = make_index().start()
    index.publish(wheel("acme-tools", "1.0"))
    refused = Developer(tmp_path / "developer", binary, index).claim("acme-tools").failed()
    assert "this index takes no claims" in refused.err, refused
    index.publish(wheel("acme-tools", "2.0"))
