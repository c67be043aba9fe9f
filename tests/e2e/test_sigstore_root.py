"""`wheelmark trust sigstore`: the public trusted root, from a TUF repository as Sigstore runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.plain_index import Entry, PlainIndex
from harness.sandbox import Outcome, Sandbox
from harness.sigstore import PrivateSigstore
from harness.sigstore_repository import NAME, SigstoreRepository

FIXTURES = Path(__file__).parents[2] / "crates" / "provenance" / "tests" / "fixtures"
REAL = "abi3info-2024.10.8-py3-none-any.whl"
PUBLISHER = "release@demo.example+https://ci.demo.example"
GITHUB = "github:o/r@release.yml"


@pytest.fixture
def repository() -> Iterator[SigstoreRepository]:
    with SigstoreRepository() as repository:
        yield repository


@pytest.fixture
def sigstore(tmp_path: Path) -> PrivateSigstore:
    return PrivateSigstore(tmp_path / "sigstore")


def refresh(sandbox: Sandbox, repository: SigstoreRepository, *words: object) -> Outcome:
    return sandbox.wheelmark("trust", "sigstore", "refresh", "--url", repository.url, *words)


def begin(sandbox: Sandbox, repository: SigstoreRepository) -> Outcome:
    first = sandbox.work / "1.root.json"
    first.write_bytes(repository.first_root)
    return refresh(sandbox, repository, "--root", first)


def shown(sandbox: Sandbox) -> dict:
    return json.loads(sandbox.wheelmark("trust", "sigstore", "show", "--json").ok().out)


def holds(sandbox: Sandbox, file: Path, provenance: Path) -> bool:
    done = sandbox.wheelmark("verify", file, "--provenance", provenance)
    assert done.code in (0, 1), f"{done}"
    return done.code == 0


def test_what_sigstore_signs_next_counts(repository: SigstoreRepository, sigstore: PrivateSigstore, sandbox: Sandbox) -> None:
    file = wheel("demo", "1.0").write(sandbox.work)
    provenance = sigstore.provenance(file, PUBLISHER)
    real = (FIXTURES / REAL, FIXTURES / f"{REAL}.provenance")
    assert shown(sandbox)["in_force"] == "built-in"
    assert (holds(sandbox, *real), holds(sandbox, file, provenance)) == (True, False)
    told = sandbox.wheelmark("verify", file, "--provenance", provenance).out
    assert "wheelmark trust sigstore refresh" in told

    repository.publish(sigstore.trusted_root.read_text())
    done = begin(sandbox, repository).ok()
    assert "in force     refreshed" in done.out and "not the one that is built in" in done.out, f"{done}"
    assert (holds(sandbox, *real), holds(sandbox, file, provenance)) == (True, True)
    # It is not the public one: it does not speak for jobs of GitHub.
    assert not holds(sandbox, file, sigstore.provenance(file, GITHUB))
    provenance = sigstore.provenance(file, PUBLISHER)
    found = shown(sandbox)
    assert (found["in_force"], found["root"]["version"], found["targets"]["version"]) == ("refreshed", 1, 1)
    assert Path(found["trusted_root"]).read_bytes() == sigstore.trusted_root.read_bytes()
    # Where the system's administrator says something, a person does not add whom to believe.
    system = sandbox.folder / "system"
    system.mkdir(mode=0o755)
    (system / "wheelmark.toml").write_text("strict = false\n")
    words = ("verify", file, "--provenance", provenance)
    assert sandbox.wheelmark(*words, env={"WHEELMARK_SYSTEM_DIR": str(system)}).code == 1

    # Its keys change, and it hands out another one.
    other = PrivateSigstore(sandbox.folder / "other")
    repository.rotate()
    repository.publish(other.trusted_root.read_text())
    refresh(sandbox, repository).ok()
    assert (shown(sandbox)["root"]["version"], holds(sandbox, file, provenance)) == (2, False)
    assert holds(sandbox, file, other.provenance(file, PUBLISHER))
    # Once more, with nothing new.
    refresh(sandbox, repository).ok()

    sandbox.wheelmark("trust", "sigstore", "forget").ok()
    assert shown(sandbox)["in_force"] == "built-in" and holds(sandbox, *real)
    assert "built in" in sandbox.wheelmark("trust", "sigstore", "forget").ok().out


def test_installing_goes_by_it(repository: SigstoreRepository, sigstore: PrivateSigstore, sandbox: Sandbox) -> None:
    made = wheel("demo", "1.0")
    provenance = sigstore.provenance(made.write(sandbox.work), PUBLISHER).read_bytes()
    with PlainIndex(Entry(made, provenance=provenance)) as index:
        sandbox.wheelmark("trust", "add", index.index_url, "--unsigned").ok()
        done = sandbox.install("pip", sandbox.venv(), "demo")
        assert "attested as" not in done.text, f"{done}"
        repository.publish(sigstore.trusted_root.read_text())
        begin(sandbox, repository).ok()
        done = sandbox.install("pip", sandbox.venv(), "demo").ok()
        assert f"demo attested as {PUBLISHER}" in done.err, f"{done}"


def test_what_is_expired_rolled_back_or_not_signed_is_refused(
    repository: SigstoreRepository, sigstore: PrivateSigstore, sandbox: Sandbox
) -> None:
    root = sigstore.trusted_root.read_text()
    file = wheel("demo", "1.0").write(sandbox.work)
    provenance = sigstore.provenance(file, PUBLISHER)
    repository.publish(root)
    repository.publish(root)
    begin(sandbox, repository).ok()
    old = dict(repository.files)
    repository.publish(root)
    refresh(sandbox, repository).ok()
    before = shown(sandbox)
    assert before["targets"]["version"] == 3

    def refused(why: str) -> None:
        done = refresh(sandbox, repository).failed()
        assert why in done.text and "goes on counting" in done.text, f"{why}: {done}"
        assert shown(sandbox) == before and holds(sandbox, file, provenance), why

    good = dict(repository.files)
    # An older state, all of it signed.
    repository.files["timestamp.json"] = old["timestamp.json"]
    refused("goes back from version 3 to 2")
    # A new state of somebody who has none of the keys; and one who has the online key alone.
    stranger = SigstoreRepository()
    stranger.version = 3
    stranger.publish(PrivateSigstore(sandbox.folder / "stranger").trusted_root.read_text())
    repository.files = good | {name: body for name, body in stranger.files.items() if "root" not in name or "targets/" in name}
    refused("signed by 0 of the")
    repository.files = dict(good)
    repository.publish(root, signers=stranger.holders)
    refused("signed by 0 of the 2")
    # Too old to be of now.
    repository.files, repository.version = dict(good), 4
    repository.publish(root, days=-1)
    refused("expired")
    # Another content than what is signed.
    repository.files, repository.version = dict(good), 5
    other = json.dumps(json.loads(root) | {"timestampAuthorities": []}) + "\n"
    repository.publish(other)
    for name in repository.files:
        if name.startswith("targets/"):
            repository.files[name] = root.encode()
    refused("is refused")
    # Signed as it should be, and nothing that this program can read.
    repository.files, repository.version = dict(good), 6
    repository.publish("{}")
    refused("cannot be used by this program")
    repository.publish(b" " * (2 * 1024 * 1024))
    refused("are read")
    # Nothing there at all, and nobody.
    repository.files = {}
    refused("missing")


def test_it_begins_with_sigstores_own_root_alone(repository: SigstoreRepository, sigstore: PrivateSigstore, sandbox: Sandbox) -> None:
    """The root that is built in is Sigstore's: another repository's metadata is nothing to it."""
    repository.publish(sigstore.trusted_root.read_text())
    done = refresh(sandbox, repository).failed()
    assert "signed by 0 of the" in done.text, f"{done}"
    assert shown(sandbox)["in_force"] == "built-in"
    # Once it has begun, no other root is begun with.
    done = begin(sandbox, repository).failed()
    assert "has begun already" in done.text, f"{done}"
    sandbox.wheelmark("trust", "sigstore", "forget").ok()
    begin(sandbox, repository).ok()
    broken = sandbox.work / "broken.json"
    broken.write_text("{}")
    sandbox.wheelmark("trust", "sigstore", "forget").ok()
    refresh(sandbox, repository, "--root", broken).failed()


def test_what_is_kept_is_verified_each_time(repository: SigstoreRepository, sigstore: PrivateSigstore, sandbox: Sandbox) -> None:
    """Whoever can put files there is no Sigstore by that."""
    file = wheel("demo", "1.0").write(sandbox.work)
    provenance = sigstore.provenance(file, PUBLISHER)
    repository.publish(sigstore.trusted_root.read_text())
    begin(sandbox, repository).ok()
    kept = Path(shown(sandbox)["trusted_root"])
    assert kept.name == NAME
    folder = kept.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    stranger = SigstoreRepository()
    stranger.publish(sigstore.trusted_root.read_text())
    record = json.loads((folder / "record.json").read_text())

    def refused(path: Path, content: str | bytes) -> None:
        before = path.read_bytes()
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        done = sandbox.wheelmark("verify", file, "--provenance", provenance)
        assert done.code == 2 and "wheelmark trust sigstore refresh" in done.text, f"{path}: {done}"
        path.write_bytes(before)
        assert holds(sandbox, file, provenance)

    refused(kept, "{}")
    refused(kept, PrivateSigstore(sandbox.folder / "another").trusted_root.read_bytes())
    refused(folder / "targets.json", stranger.files["1.targets.json"])
    refused(folder / "root.json", stranger.first_root)
    refused(folder / "first.root.json", stranger.first_root)
    # To be the public one, it has to follow on Sigstore's own root, which is built in.
    refused(folder / "record.json", json.dumps(record | {"own": False}))
    # Keys that change all at once are followed by a newer program, and within one refresh.
    kept.write_text("{}")
    refresh(sandbox, repository).ok()
    assert holds(sandbox, file, provenance)
