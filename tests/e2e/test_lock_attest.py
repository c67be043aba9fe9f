"""`wheelmark lock attest`: who attests to the files of a lock, verified, shown, and written down."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.locked import EVIL, OURS, World, add, attested_index, believe, identity
from harness.plain_index import Entry, PlainIndex
from harness.sandbox import Outcome, Sandbox
from harness.sigstore import PrivateSigstore

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])

AS_TABLE = {"kind": "OIDC", "subject": OURS.split("+")[0], "issuer": OURS.split("+")[1]}


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> PrivateSigstore:
    return PrivateSigstore(tmp_path_factory.mktemp("sigstore"))


@pytest.fixture(scope="module")
def stored(_make, sigstore: PrivateSigstore, tmp_path_factory: pytest.TempPathFactory, binary: Path) -> Iterator[Index]:
    with attested_index(_make, sigstore, Sandbox(tmp_path_factory.mktemp("owner"), binary)) as index:
        yield index


@pytest.fixture
def world(stored: Index, sandbox: Sandbox, sigstore: PrivateSigstore) -> World:
    sandbox.trust(stored)
    believe(sandbox, sigstore)
    return World(stored, sandbox, sigstore)


def attest(world: World, lock: Path, *options: object) -> Outcome:
    return world.sandbox.wheelmark("lock", "attest", lock, *options)


def told(world: World, lock: Path, *options: object) -> tuple[int, dict[str, dict]]:
    done = attest(world, lock, "--json", *options)
    return done.code, {package["project"]: package for package in json.loads(done.out)["packages"]}


@BOTH
def test_what_is_found_is_shown_written_and_asked(tool: str, world: World) -> None:
    lock = world.lock(tool, "demo", "bare")
    before = lock.read_text()
    done = attest(world, lock, "--check")
    assert done.code == 1 and "nothing was written" in done.out and lock.read_text() == before, f"{done}"
    done = attest(world, lock).ok()
    assert "of 2 packages 1 attested by somebody whom it did not name, 1 attested by nobody" in done.out, f"{done}"
    assert OURS in done.out and "SEEN HERE FOR THE FIRST TIME" in done.out and "compare them" in done.out
    packages = {package["name"]: package for package in tomllib.loads(lock.read_text())["packages"]}
    assert packages["demo"].pop("attestation-identities") == [AS_TABLE]
    assert packages == {package["name"]: package for package in tomllib.loads(before)["packages"]}
    assert lock.read_text().replace(identity_block(), "") == before, "nothing else was touched"
    # It is no installation: nobody is remembered by it.
    assert OURS not in world.sandbox.wheelmark("trust", "identities", "list").ok().text

    done, venv, report = world.install(tool, lock)
    done.ok()
    assert venv.installed() == {"demo": "1.0", "bare": "1.0"}
    assert {file["project"]: file.get("identity_from") for file in report["files"]} == {"demo": "lock-file", "bare": None}
    written = lock.read_bytes()
    assert "1 attested as the lock says" in attest(world, lock).ok().out
    attest(world, lock, "--check").ok()
    assert lock.read_bytes() == written
    # What was seen before is told apart from what is new.
    again = world.lock(tool, "demo")
    assert told(world, again)[1]["demo"]["what"] == "seen-before"


def identity_block() -> str:
    lines = "".join(f"{name} = {json.dumps(AS_TABLE[name])}\n" for name in sorted(AS_TABLE))
    return f"\n[[packages.attestation-identities]]\n{lines}"


def test_somebody_else_is_told_and_not_written(world: World) -> None:
    lock = world.lock("uv", "demo")
    plain = lock.read_text()
    add(lock, identity(EVIL))
    before = lock.read_bytes()
    done = attest(world, lock)
    assert done.code == 1 and lock.read_bytes() == before, f"{done}"
    assert f"the lock names {EVIL}, and {OURS} attests to it now" in done.out and "--accept demo" in done.out
    assert told(world, lock, "--check")[1]["demo"]["what"] == "wrong"
    attest(world, lock, "--accept", "demo").ok()
    assert lock.read_text() == plain.rstrip("\n") + "\n" + identity_block()

    # Those that were seen before count here as they do at an installation.
    lock.write_text(plain)
    world.sandbox.wheelmark("trust", "identities", "accept", "demo", EVIL).ok()
    done = attest(world, lock)
    assert done.code == 1 and "changed hands" in done.out and lock.read_text() == plain, f"{done}"
    world.sandbox.wheelmark("trust", "identities", "accept", "demo", OURS).ok()
    code, found = told(world, lock)
    assert code == 0 and found["demo"]["what"] == "seen-before"


def test_all_files_or_none(world: World) -> None:
    lock = world.lock("uv", "torn")
    before = lock.read_bytes()
    code, found = told(world, lock)
    assert code == 0 and lock.read_bytes() == before
    assert (found["torn"]["what"], found["torn"]["attested"], found["torn"]["files"]) == ("partly", 1, 2)
    add(lock, identity(OURS))
    done = attest(world, lock)
    assert done.code == 1 and "nobody attests to 1 of 2 files" in done.out, f"{done}"
    # A file that is another one than the index has is nobody's to attest.
    lock = world.lock("uv", "demo")
    text = lock.read_text()
    digest = tomllib.loads(text)["packages"][0]["wheels"][0]["hashes"]["sha256"]
    lock.write_text(text.replace(digest, "0" * 64))
    done = attest(world, lock)
    assert done.code == 1 and "is not what its index lists" in done.out and "attestation-identities" not in lock.read_text()


def test_the_word_of_an_index_counts_for_nothing(world: World, tmp_path: Path) -> None:
    made = wheel("demo", "1.0", says="other")
    file = made.write(tmp_path)
    good = Path(world.sigstore.provenance(file, OURS)).read_bytes()
    said = json.loads(good)
    said["attestation_bundles"][0]["publisher"]["subject"] = EVIL.split("+")[0]
    lies = json.dumps(said).encode()
    with PlainIndex(Entry(made, provenance=good)) as index:
        other = World(index, Sandbox(tmp_path / "other", world.sandbox.binary), world.sigstore)
        other.sandbox.wheelmark("trust", "add", index.index_url, "--unsigned").ok()
        believe(other.sandbox, world.sigstore)
        lock = other.lock("uv", "demo")
        before = lock.read_bytes()
        index.entries[:] = [Entry(made, provenance=lies)]
        done = attest(other, lock)
        assert done.code == 1 and "its provenance does not hold" in done.out and lock.read_bytes() == before, f"{done}"
        # Nor does a Sigstore that nobody named.
        index.entries[:] = [Entry(made, provenance=good)]
        settings = Path(other.sandbox.env["WHEELMARK_HOME"]) / "wheelmark.toml"
        settings.unlink()
        done = attest(other, lock)
        assert done.code == 1 and "its provenance does not hold" in done.out and lock.read_bytes() == before, f"{done}"
        # The page of an index that nobody signs, and what does hold: the hash is that of the lock.
        believe(other.sandbox, world.sigstore)
        attest(other, lock).ok()
        assert tomllib.loads(lock.read_text())["packages"][0]["attestation-identities"] == [AS_TABLE]
        index.entries[:] = [Entry(made)]
        done = attest(other, lock)
        assert done.code == 1 and "nobody attests to 1 of 1 files" in done.out


def test_whoever_joins_those_who_attest_is_not_named(world: World, tmp_path: Path) -> None:
    """Anybody can attest to anybody's bytes, and an index can serve that beside what is right."""
    made = wheel("demo", "1.0", says="demo")
    both = Path(world.sigstore.provenance(made.write(tmp_path), OURS, EVIL)).read_bytes()
    with PlainIndex(Entry(made, provenance=both)) as index:
        other = World(index, Sandbox(tmp_path / "other", world.sandbox.binary), world.sigstore)
        other.sandbox.wheelmark("trust", "add", index.index_url, "--unsigned").ok()
        believe(other.sandbox, world.sigstore)
        lock = other.lock("uv", "demo")
        before = lock.read_bytes()
        done = attest(other, lock)
        assert done.code == 1 and lock.read_bytes() == before, f"{done}"
        assert "attest to its files, and anybody can" in done.out and OURS in done.out and EVIL in done.out
        assert attest(other, lock, "--accept", "demo").code == 1 and lock.read_bytes() == before

        # Whom a lock names is remembered, and nobody who comes with them.
        named = other.lock("uv", "demo")
        add(named, identity(OURS))
        other.install("pip", named)[0].ok()
        listed = other.sandbox.wheelmark("trust", "identities", "list").ok().out
        assert OURS in listed and EVIL not in listed

        done = attest(other, lock).ok()
        assert "NOT the others" in done.out, f"{done}"
        assert tomllib.loads(lock.read_text())["packages"][0]["attestation-identities"] == [AS_TABLE]


def test_beside_a_link(world: World) -> None:
    folder = world.sandbox.work / "linked"
    (folder / "real").mkdir(parents=True)
    (folder / "in.txt").write_text("demo\n")
    real, link = folder / "real" / "prod.txt", folder / "requirements.txt"
    words = ("--default-index", world.index.index_url, "--generate-hashes", folder / "in.txt", "-o", real)
    world.sandbox.run("uv", "pip", "compile", *words).ok()
    link.symlink_to(real)
    attest(world, link).ok()
    assert (folder / "requirements.txt.identities.toml").is_file() and link.is_symlink()
    done, _, report = world.install("pip", link)
    assert done.ok() and report["files"][0]["identity_from"] == "lock-file"
    assert told(world, link)[1]["demo"]["what"] == "as-named"


def test_beside_a_uv_lock(world: World) -> None:
    folder = world.sandbox.work / "project"
    folder.mkdir()
    head = '[project]\nname = "mine"\nversion = "0"\nrequires-python = ">=3.10"\n'
    (folder / "pyproject.toml").write_text(head + 'dependencies = ["moved<2", "bare"]\n')
    env = {"UV_DEFAULT_INDEX": world.index.index_url, "UV_NO_CACHE": "1"}
    world.sandbox.run("uv", "lock", cwd=folder, env=env).ok()
    lock, beside = folder / "uv.lock", folder / "uv.lock.identities.toml"
    before = lock.read_bytes()
    done = attest(world, lock).ok()
    assert f"{beside}: written" in done.out and lock.read_bytes() == before
    kept = tomllib.loads(beside.read_text())
    assert kept == {"identities-version": "1.0", "packages": [{"name": "moved", "attestation-identities": [AS_TABLE]}]}
    assert beside.stat().st_mode == lock.stat().st_mode
    attest(world, lock, "--check").ok()

    def sync(*words: str) -> tuple[Outcome, str]:
        done = world.sandbox.wheelmark("exec", "--", "uv", "sync", *words, cwd=folder)
        said = world.sandbox.run(folder / ".venv" / "bin" / "python", "-c", "import moved; print(moved.__file__)")
        return done, said.out

    done, _ = sync("--frozen")
    assert "uv.lock.identities.toml says who has to have attested the files of 1 project" in done.ok().err
    assert f"moved attested as {OURS}" in done.err and "as the lock file asks" in done.err
    assert world.verify(lock)[0] == 0

    # The next version is by somebody else: the lock follows, and what stands beside it holds.
    (folder / "pyproject.toml").write_text(head + 'dependencies = ["moved", "bare"]\n')
    world.sandbox.run("uv", "sync", "--upgrade", cwd=folder, env=env).ok()
    assert 'version = "2.0"' in lock.read_text()
    world.sandbox.run("rm", "-r", folder / ".venv").ok()
    done, _ = sync("--frozen")
    done.failed()
    assert f"{EVIL} attests to it, and not one of those asked for" in done.text and "line 8 of uv.lock.identities.toml" in done.text
    code, found = world.verify(lock)
    assert code == 1 and any("lacks" in file for package in found["packages"] for file in package["files"])
    done = attest(world, lock)
    assert done.code == 1 and "changed hands" in done.out and "trust identities accept moved" in done.out, f"{done}"
    world.sandbox.wheelmark("trust", "identities", "accept", "moved", EVIL).ok()
    done = attest(world, lock)
    assert done.code == 1 and f"the lock names {OURS}, and {EVIL} attests to it now" in done.out, f"{done}"

    # What is damaged asks for nothing that is known, so nothing is run.
    beside.write_text(beside.read_text().replace('"1.0"', '"9.0"', 1))
    done, _ = sync("--frozen")
    assert done.code == 1 and "it is of version 9.0" in done.err


def test_beside_requirements(world: World) -> None:
    folder = world.sandbox.work / "requirements"
    (folder / "more").mkdir(parents=True)
    (folder / "in.txt").write_text("demo\n")
    url = world.index.index_url
    compiled = folder / "more" / "requirements.txt"
    world.sandbox.run("uv", "pip", "compile", "--default-index", url, "--generate-hashes", folder / "in.txt", "-o", compiled).ok()
    top = folder / "all.txt"
    top.write_text("-r more/requirements.txt\n")
    attest(world, compiled).ok()
    beside = compiled.with_name("requirements.txt.identities.toml")
    assert tomllib.loads(beside.read_text())["packages"] == [{"name": "demo", "attestation-identities": [AS_TABLE]}]
    for tool in ("pip", "uv"):
        done, venv, report = world.install(tool, top)
        done.ok()
        assert venv.says("demo") == "demo" and report["files"][0]["identity_from"] == "lock-file"
    beside.write_text(beside.read_text().replace("release@demo.example", "release@evil.example"))
    for tool in ("pip", "uv"):
        assert world.plain(tool, top).says("demo") == "demo", "installers do not look"
        done, venv, _ = world.install(tool, top)
        assert "not one of those asked for" in done.failed().text and venv.installed() == {}
    assert world.verify(top)[0] == 1
    # Who is not locked any more is taken out.
    compiled.write_text("")
    done = attest(world, compiled).ok()
    assert "demo is not locked any more" in done.out and "packages" not in tomllib.loads(beside.read_text())


def test_locks_that_have_no_such_place(world: World) -> None:
    for name in ("poetry.lock", "pdm.lock", "uv.toml"):
        file = world.sandbox.work / name
        file.write_text("")
        done = attest(world, file)
        assert done.code == 1 and "no lock file that identities can be kept with" in done.err
    assert attest(world, world.sandbox.work / "pylock.toml").code == 1
