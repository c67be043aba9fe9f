"""What is kept of a ceremony in a safe, and how it comes out again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.custody import Person, must
from harness.distributions import wheel
from harness.holders import Cast, PHRASE
from harness.sandbox import Sandbox
from test_ceremony import first, snapshot_of  # noqa: F401: `first` is a fixture

# A pair out of the examples of the age format; nobody has anything locked with it.
RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
SECRET = "many plain words that open a safe"


@pytest.fixture
def operator(first: Cast, tmp_path: Path) -> Person:  # noqa: F811
    return Person(first.index.binary, tmp_path / "operator", [], env=first.index.env)


def unpacked(person: Person, backup: Path, out: Path, *options: object, secret: str | None = None) -> dict[str, bytes]:
    done = person.run("ceremony", "unpack", backup, "--out", out, *options, secret=secret)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in out.rglob("*") if path.is_file())
    return snapshot_of(out)


def test_a_full_backup_has_the_key_and_the_record_and_the_index_goes_on_with_it(
    first: Cast, operator: Person, sandbox: Sandbox, tmp_path: Path  # noqa: F811
) -> None:
    index = first.index
    alice, public = first.new_holder("alice", tmp_path)
    ceremony, begun = first.operator.begin("custody", "--replace", f"1={public}")
    first.collect(ceremony, begun["words"], [*first.holders, alice])
    first.operator.told("ceremony", "finish", ceremony)
    first.operator.told("ceremony", "publish", ceremony, "--data", index.data)
    full = tmp_path / "full.age"
    done = operator.run("ceremony", "backup", ceremony, "--data", index.data, "--out", full)
    assert done.returncode == 0, done.stderr
    phrase = PHRASE.findall(done.stderr)[0]
    assert phrase not in done.stdout and full.stat().st_mode & 0o777 == 0o600
    key = (index.data / "online-key").read_bytes()
    assert key not in full.read_bytes()

    files = unpacked(operator, full, tmp_path / "out", secret=phrase)
    assert files["online-key"] == key
    kept = {name.split("/", 2)[2]: content for name, content in files.items() if name.startswith("ceremonies/")}
    assert kept == snapshot_of(ceremony)
    metadata = index.tree / "metadata"
    for name in ("1.root.json", "2.root.json", "2.targets.json", "2.claimed.json", "2.simple.json", "2.packages.json"):
        assert files[f"published/{name}"] == (metadata / name).read_bytes()
    assert "settings.json" in files and not any(b"AGE-SECRET" in content for content in files.values())

    # The machine lost its key; the one from the safe signs on.
    assert index.stop() == 0
    (index.data / "online-key").unlink()
    shutil.copy(tmp_path / "out" / "online-key", index.data / "online-key")
    (index.data / "online-key").chmod(0o600)
    index.start()
    index.publish(wheel("demo", "2.0"))
    sandbox.trust(index)
    assert sandbox.install("pip", sandbox.venv(), "demo==2.0").code == 0


def test_one_for_the_night_has_the_online_key_and_nothing_else(
    first: Cast, operator: Person, tmp_path: Path  # noqa: F811
) -> None:
    index = first.index
    night = tmp_path / "night.age"
    made = ("ceremony", "backup", "--data", index.data, "--out", night, "--online-only", "--recipient", RECIPIENT)
    done = operator.run(*made, "--json")
    assert done.returncode == 0, done.stderr
    assert not PHRASE.findall(done.stderr), "no phrase opens it"
    before = night.read_bytes()
    identity = tmp_path / "key.txt"
    identity.touch(mode=0o600)
    identity.write_text(f"# created: 2026\n{IDENTITY}\n")
    files = unpacked(operator, night, tmp_path / "out", "--identity", identity)
    assert set(files) == {"online-key", "published/1.root.json"}
    assert files["online-key"] == (index.data / "online-key").read_bytes()

    def refused(says: str, *words: object, secret: str | None = None) -> None:
        done = operator.run("ceremony", *words, secret=secret)
        assert done.returncode in (1, 2) and says in done.stderr, done.stderr
        assert not (tmp_path / "none").exists() and night.read_bytes() == before
        assert IDENTITY not in done.stderr and SECRET not in done.stderr

    nowhere = ("--out", tmp_path / "none")
    refused("is there already", *made[1:])
    refused("is there already", "unpack", night, "--out", tmp_path / "out", "--identity", identity)
    refused("locked for a recipient, not by a phrase", "unpack", night, *nowhere, secret=SECRET)
    refused("cannot be used with", "backup", tmp_path, "--data", index.data, *nowhere, "--online-only")
    refused("a recipient is written as age1", "backup", "--data", index.data, *nowhere, "--recipient", "ssh-ed25519")
    refused("fewer than 16 characters", "backup", "--data", index.data, *nowhere, secret="short")
    # A key that is not the index's would be found out too late.
    (tmp_path / "other").mkdir(mode=0o700)
    other = tmp_path / "other" / "key"
    must("openssl", "genpkey", "-algorithm", "ed25519", "-out", other, env=operator.env)
    other.chmod(0o600)
    refused("is not the online key", "backup", "--data", index.data, *nowhere, "--online-key", other)
    refused("there is no key file", "backup", "--data", index.data, *nowhere, "--online-key", tmp_path / "no")
    refused("is no ceremony", "backup", tmp_path, "--data", index.data, *nowhere)

    by_phrase = tmp_path / "phrase.age"
    done = operator.run("ceremony", "backup", "--data", index.data, "--out", by_phrase, secret=SECRET)
    assert done.returncode == 0, done.stderr
    refused("it is not opened by that", "unpack", by_phrase, *nowhere, secret="many other plain words")
    refused("locked by a phrase, not for a recipient", "unpack", by_phrase, *nowhere, "--identity", identity)
    damaged = tmp_path / "damaged.age"
    whole = by_phrase.read_bytes()
    for content, says in [
        (whole[:-20], "cut short"),
        (whole[:-40] + bytes_changed(whole[-40:]), "damaged"),
        (b"no age file", "is not an age file"),
    ]:
        damaged.write_bytes(content)
        refused(says, "unpack", damaged, *nowhere, secret=SECRET)
    identity.chmod(0o644)
    refused("open to others than its owner", "unpack", night, *nowhere, "--identity", identity)


def bytes_changed(some: bytes) -> bytes:
    return bytes([some[0] ^ 1]) + some[1:]
