"""SHA-256, then both, then SHA-512, and back: while pip, uv, python-tuf, a mirror and uploads go on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from test_gc import age, gc
from test_transitions import make_cast, served, tuf_client, under_load

from harness import forge
from harness.copying import Copy
from harness.distributions import Distribution, sdist, wheel
from harness.holders import Cast
from harness.index import Index
from harness.sandbox import Sandbox

SHA256, BOTH, SHA512 = ["sha256"], ["sha256", "sha512"], ["sha512"]

# What pip and python-tuf of the load go on asking for.
DEMO = wheel("demo", "1.0")


def hashes(cast: Cast, *words: object, code: int = 0) -> dict:
    return cast.operator.told("index", "hashes", *words, "--data", cast.index.data, code=code)


def refused(cast: Cast, *words: object) -> str:
    done = cast.operator.run("index", "hashes", *words, "--data", cast.index.data)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


def signed(tree: Path, role: str) -> dict:
    """The newest version of a role."""
    if role == "timestamp":
        path = tree / "metadata" / "timestamp.json"
    else:
        versions = (tree / "metadata").glob(f"*.{role}.json")
        path = max(versions, key=lambda path: int(path.name.split(".")[0]))
    return json.loads(path.read_bytes())["signed"]


def targets(tree: Path) -> dict[str, dict]:
    """Every target that the published bins list."""
    listed: dict[str, dict] = {}
    meta = signed(tree, "snapshot")["meta"]
    for name, entry in meta.items():
        if name.startswith(("simple-", "packages-")):
            path = tree / "metadata" / f"{entry['version']}.{name}"
            listed |= json.loads(path.read_bytes())["signed"]["targets"]
    return listed


def everything_lists(tree: Path, names: list[str]) -> None:
    """Every hash that is listed is right, and leads to the bytes; the pages say the same."""
    snapshot = signed(tree, "timestamp")["meta"]["snapshot.json"]
    assert sorted(snapshot["hashes"]) == names
    bytes_of = (tree / "metadata" / f"{snapshot['version']}.snapshot.json").read_bytes()
    for name, digest in snapshot["hashes"].items():
        assert hashlib.new(name, bytes_of).hexdigest() == digest
    for path, target in targets(tree).items():
        assert sorted(target["hashes"]) == names, path
        folder, _, filename = path.rpartition("/")
        for name, digest in target["hashes"].items():
            content = (tree / "targets" / folder / f"{digest}.{filename}").read_bytes()
            assert hashlib.new(name, content).hexdigest() == digest, path
        if filename == "index.json":
            for file in json.loads(content)["files"]:
                assert sorted(file["hashes"]) == names, path


def follows(tree: Path, names: list[str], seconds: float = 60) -> None:
    """The copies of a tree come to it in time."""
    deadline = time.monotonic() + seconds
    while sorted(signed(tree, "timestamp")["meta"]["snapshot.json"]["hashes"]) != names:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def large(name: str, version: str = "1.0") -> Distribution:
    """One that is verified by chunks."""
    return wheel(name, version, says=os.urandom(9_000_000).hex())


def test_each_hash_follows_on_the_other_and_nobody_notices(make_index, sandbox: Sandbox, tmp_path: Path) -> None:
    cast = make_cast(make_index, tmp_path)
    index, tree = cast.index, cast.index.tree
    index.publish(large("big"), sdist("source"), *(wheel(f"p{n}", "1.0") for n in range(12)))
    locked = tmp_path / "requirements.txt"
    locked.write_text(f"demo==1.0 --hash=sha256:{hashlib.sha256(DEMO.content).hexdigest()}\n")
    assert hashes(cast, "show")["listed"] == SHA256
    with under_load(cast, sandbox, tmp_path) as load:
        told = hashes(cast, "add", "sha512")
        assert told["done"] and told["listed"] == BOTH and told["projects_behind"] == 0
        load.go_on()
        told = hashes(cast, "drop", "sha256")
        assert told["done"] and told["listed"] == SHA512 and told["files_with_sha256"] == 0
        load.go_on()
        # Installers that verify nothing, and one that knows a file by its SHA-256.
        plain = sandbox.venv()
        sandbox.plain_pip(plain, index.index_url, "--require-hashes", "-r", locked).ok()
        sandbox.plain_uv(sandbox.venv(), index.index_url, "big", "p1").ok()
        sandbox.plain_uv(sandbox.venv(), index.index_url, "--require-hashes", "-r", locked).ok()
        for tool in ("pip", "uv"):
            sandbox.install(tool, sandbox.venv(), "big", "p2").ok()
            sandbox.install(tool, sandbox.venv(), "demo", "p3", options=("--strict",)).ok()
    everything_lists(tree, SHA512)
    everything_lists(tmp_path / "copying" / "copy", SHA512)
    page = json.loads((tree / "simple" / "demo" / "index.json").read_bytes())
    assert all(list(file["hashes"]) == SHA512 for file in page["files"])
    html = (tree / "simple" / "demo" / "index.html").read_text()
    assert "#sha512=" in html and "#sha256=" not in html.replace("core-metadata", "")
    assert cast.operator.told("index", "audit", "--data", index.data)["sound"] is True


def test_back_it_goes_in_the_same_way(make_index, sandbox: Sandbox, tmp_path: Path) -> None:
    cast = make_cast(make_index, tmp_path)
    index, tree = cast.index, cast.index.tree
    index.publish(large("big"), sdist("source"))
    before = targets(tree)
    for words, names in (
        (("add", "sha512"), BOTH),
        (("drop", "sha256"), SHA512),
        (("add", "sha256"), BOTH),
        (("drop", "sha512"), SHA256),
    ):
        assert hashes(cast, *words)["listed"] == names
        everything_lists(tree, names)
        assert hashes(cast, *words)["done"], "once more is the same"
        assert cast.operator.run("verify", tree, "--root", index.root_file).returncode == 0
        shown = cast.operator.told("index", "keys", "--data", index.data)["under_way"]
        assert shown == ([{"kind": "hashes", "listed": names}] if names == BOTH else [])
    assert targets(tree) == before
    # The names by SHA-512 go with the snapshots that have listed them.
    assert [path for path in (tree / "targets").rglob("*") if len(path.name.split(".")[0]) == 128]
    age(index)
    gc(index, "--snapshots", "1")
    assert not [path for path in (tree / "targets").rglob("*") if len(path.name.split(".")[0]) == 128]
    assert cast.operator.told("index", "audit", "--data", index.data)["sound"] is True
    sandbox.trust(index).ok()
    sandbox.install("pip", sandbox.venv(), "big", "source", "demo").ok()


def test_what_sha512_alone_says_can_be_collected_backed_up_and_rebuilt(
    make_index, sandbox: Sandbox, tmp_path: Path
) -> None:
    cast = make_cast(make_index, tmp_path)
    operator, index = cast.operator, cast.index
    index.publish(large("big"), wheel("gone", "1.0"), wheel("tool", "1.0"), wheel("tool", "2.0"))
    hashes(cast, "add", "sha512")
    hashes(cast, "drop", "sha256")
    for words in (("remove", "gone", "1.0", "--yes"), ("status", "tool", "quarantined")):
        assert operator.run("index", *words, "--data", index.data).returncode == 0
    age(index)
    gc(index, "--snapshots", "1")
    everything_lists(index.tree, SHA512)
    assert operator.told("index", "audit", "--data", index.data)["sound"] is True
    for words in (("unremove", "gone", "1.0", "--yes"), ("status", "tool", "active")):
        assert operator.run("index", *words, "--data", index.data).returncode == 0
    assert hashes(cast, "show")["projects_behind"] == 0
    everything_lists(index.tree, SHA512)

    backup = tmp_path / "backup"
    for place in (backup, tmp_path / "backup.tar"):
        done = operator.run("index", "backup", place, "--data", index.data)
        assert done.returncode == 0, done.stderr
        restored: Index = make_index(fresh=True)
        done = operator.run("index", "restore", place, "--data", restored.data)
        assert done.returncode == 0, done.stderr
        everything_lists(restored.tree, SHA512)
        audited = operator.run("index", "audit", "--data", restored.data)
        assert audited.returncode == 0, audited.stdout
    against = operator.run("index", "audit", "--data", index.data, "--against", backup)
    assert against.returncode == 0, against.stdout

    index.stop()
    new: Index = make_index(fresh=True)
    done = operator.run(
        "index", "rebuild", index.tree, "--data", new.data, "--trust", index.root_file, "--online-key", index.data / "online-key"
    )
    assert done.returncode == 0, done.stderr
    new.start()
    new.publish(wheel("tool", "3.0"))
    everything_lists(new.tree, SHA512)
    sandbox.trust(new).ok()
    sandbox.install("pip", sandbox.venv(), "big", "gone", "tool==3.0").ok()
    assert operator.told("index", "audit", "--data", new.data)["sound"] is True


def test_a_kill_on_the_way_is_made_good(make_index, sandbox: Sandbox, tmp_path: Path) -> None:
    cast = make_cast(make_index, tmp_path)
    index = cast.index
    index.publish(*(large(f"big{n}") for n in range(4)), *(wheel(f"p{n}", "1.0") for n in range(8)))

    def kill() -> None:
        while signed(index.tree, "timestamp").get("_wheelmark", {}).get("hashes") != BOTH:
            time.sleep(0.002)
        index.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    # Without a process that publishes, the command itself goes on.
    told = hashes(cast, "add", "sha512")
    killer.join()
    assert told["done"] and told["projects_behind"] == 0
    everything_lists(index.tree, BOTH)
    index.start()
    index.publish(wheel("demo", "2.0"))
    everything_lists(index.tree, BOTH)


def test_what_is_in_the_way_is_told(make_index, tmp_path: Path) -> None:
    cast = make_cast(make_index, tmp_path)
    index = cast.index
    assert "cannot be dropped" in refused(cast, "drop", "sha256")
    local = "a" * 110
    long = wheel("long", f"1.0+{local}")
    assert len(long.filename) > 126
    index.publish(long)
    dry = hashes(cast, "add", "sha512", "--dry-run")
    assert dry["dry_run"] and dry["projects_to_list"] == 2 and dry["names_too_long_for_sha512"] == [long.filename]
    assert hashes(cast, "show")["listed"] == SHA256, "nothing was done"
    hashes(cast, "add", "sha512")
    said = refused(cast, "drop", "sha256")
    assert long.filename in said and "126 bytes" in said and "hint:" in said
    done = cast.operator.run("index", "remove", "long", long.filename, "--yes", "--data", index.data)
    assert done.returncode == 0, done.stderr
    assert hashes(cast, "drop", "sha256")["listed"] == SHA512
    with pytest.raises(Exception, match="too long"):
        index.publish(wheel("long", f"2.0+{local}"))
    text = cast.operator.run("index", "hashes", "show", "--data", index.data).stdout
    assert text.startswith("listed: sha512\n"), text
    log = cast.operator.run("index", "audit-log", "--data", index.data).stdout
    assert "hashes-changed" in log, log


def test_python_tuf_goes_by_the_hash_that_is_left(make_index, tmp_path: Path) -> None:
    """Without the names by SHA-512 it would find nothing: what they are for."""
    cast = make_cast(make_index, tmp_path)
    index = cast.index
    root = index.root_file.read_bytes()
    hashes(cast, "add", "sha512")
    hashes(cast, "drop", "sha256")
    copy = tmp_path / "copy"
    shutil.copytree(index.tree, copy)

    def read(name: str) -> None:
        with served(copy) as base:
            client = tuf_client(base, root, tmp_path / name)
            client.refresh()
            info = client.get_targetinfo("simple/demo/index.json")
            assert info is not None and list(info.hashes) == SHA512
            assert client.download_target(info)

    read("whole")
    for path in (copy / "targets" / "simple" / "demo").iterdir():
        if len(path.name.split(".")[0]) == 128:
            path.unlink()
    with pytest.raises(Exception, match="404|not found|Not Found"):
        read("without")
    found = subprocess.run(
        [str(index.binary), "verify", str(copy), "--root", str(index.root_file)], env=index.env, capture_output=True, text=True
    )
    assert found.returncode != 0 and "is not there" in found.stdout, found.stdout


def write(tree: dict[str, bytes], folder: Path) -> Path:
    for path, content in tree.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.mark.parametrize("wrong", ["nothing", "page", "small", "large"])
def test_every_hash_that_is_listed_is_demanded(
    wrong: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if SHA-256 were broken: the bytes have the one that is signed, and another SHA-512 is signed."""
    small, big = wheel("small"), large("big")

    def sha512(what: str, content: bytes) -> str:
        return hashlib.sha512(content + b"!" * (what == wrong)).hexdigest()

    entry, listed = forge._entry, forge.Forge._list

    def entry_of(dist: Distribution) -> dict:
        what = "large" if dist is big else "small"
        made = entry(dist)
        return made | {"hashes": made["hashes"] | {"sha512": sha512(what, dist.content)}}

    def list_both(self: forge.Forge, family: str, path: str, content: bytes) -> None:
        listed(self, family, path, content)
        what = "page" if family == "simple" else "file"
        self._roles[self.bin_of(path)].targets[path].hashes["sha512"] = sha512(what, content)

    monkeypatch.setattr(forge, "_entry", entry_of)
    monkeypatch.setattr(forge.Forge, "_list", list_both)
    made = forge.Forge(small, big)
    tree = write(made.publish(), tmp_path / "tree")
    with served(tree) as base:
        sandbox.wheelmark("trust", "add", f"{base}/simple/", "--root", made.root_file(tmp_path)).ok()
        for project, whats in (("small", ("page", "small")), ("big", ("page", "large"))):
            done = sandbox.install("pip", sandbox.venv(), "--no-deps", project)
            if wrong in whats:
                assert done.failed() and "sha512 is not the signed one" in done.text, done
            else:
                done.ok()
        copying = Copy(Sandbox(tmp_path / "copying", sandbox.binary), f"{base}/simple/", made.root_file(tmp_path))
        copied = copying.run()
        if wrong == "nothing":
            copied.ok()
            assert copying.verify()
        else:
            assert copied.failed() and "sha512" in copied.text, copied
    found = sandbox.wheelmark("verify", tree, "--root", made.root_file(tmp_path))
    # The forge gives no names by SHA-512, which is one finding for each.
    assert ("sha512" in found.failed().out) == (wrong != "nothing"), found
