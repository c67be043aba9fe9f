"""`wheelmark index backup` and `restore`, while the index is used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.developer import Developer
from harness.distributions import sdist, wheel
from harness.index import Index
from harness.openpgp import SIGNATURE
from harness.sandbox import Sandbox
from harness.signed_tree import SignedTree
from harness.upload import upload

MakeIndex = Callable[..., Index]

UPLOADS = 100
SIGNED = sdist("signed", "1.0")
CLAIMS = {"WHEELMARK_INDEX_CLAIMS": "on"}


def run(index: Index, *words: object) -> subprocess.CompletedProcess[str]:
    command = [index.binary, "index", "--data", index.data, *words]
    return subprocess.run(list(map(str, command)), env=index.env, capture_output=True, text=True, timeout=120)


def backup(index: Index, to: Path, *options: str) -> dict:
    done = run(index, "backup", to, "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def restored(make_index: MakeIndex, index: Index, of: Path) -> Index:
    """Another index, restored from a backup, with the secrets of the one that it is of."""
    other = make_index(fresh=True)
    done = run(other, "restore", of)
    assert done.returncode == 0, done.stderr
    for secret in ("online-key", "token"):
        shutil.copy(index.data / secret, other.data / secret)
    return other


def verify(index: Index, tree: Path) -> subprocess.CompletedProcess[str]:
    root = tree / "metadata" / "1.root.json"
    command = [index.binary, "verify", tree, "--root", root]
    return subprocess.run(list(map(str, command)), env=index.env, capture_output=True, text=True, timeout=120)


def published(files: dict[str, str]) -> dict[str, str]:
    """Without what belongs to a process: its lock, its unfinished files."""
    return {name: sha for name, sha in files.items() if "/." not in name}


def uploads(index: Index, first: int, count: int) -> None:
    for number in range(first, first + count):
        index.publish(wheel(f"p{number % 10}", f"1.{number}"))


def test_a_backup_during_uploads_is_one_state(
    make_index: MakeIndex, index: Index, sandbox: Sandbox, tmp_path: Path
) -> None:
    target = tmp_path / "backup"
    index.publish(wheel("first", "1.0"))
    signed = upload(index.upload_url, index.token, SIGNED, change={"gpg_signature": SIGNATURE})
    assert signed.status == 200, f"{signed}"
    uploading = threading.Thread(target=uploads, args=(index, 0, UPLOADS))
    uploading.start()
    made = []
    while uploading.is_alive():
        made.append(backup(index, target))
        good = verify(index, target / "repository")
        assert good.returncode == 0, good.stdout + good.stderr
    uploading.join()
    assert len(made) > 1, "the uploads were over before a second backup"
    # What was there already is not copied again.
    last = backup(index, target)
    assert last["files_copied"] < made[-1]["files_copied"] + UPLOADS
    again = backup(index, target)
    assert again["snapshot_version"] == last["snapshot_version"]
    assert again["files_copied"] <= 2, again

    other = restored(make_index, index, target).start()
    good = verify(other, other.tree)
    assert good.returncode == 0, good.stdout + good.stderr
    assert other.get(f"packages/signed/{SIGNED.filename}.asc").body.decode() == SIGNATURE
    sandbox.trust(other)
    venv = sandbox.venv()
    sandbox.install("pip", venv, "first", "p3").ok()
    assert venv.installed() == {"first": "1.0", "p3": f"1.{UPLOADS - 7}"}
    uploads(other, UPLOADS, 3)
    sandbox.install("pip", venv, "--upgrade", "p0").ok()
    assert venv.installed()["p0"] == f"1.{UPLOADS}"


def test_every_backup_of_a_busy_index_starts(make_index: MakeIndex, index: Index, tmp_path: Path) -> None:
    uploading = threading.Thread(target=uploads, args=(index, 0, 40))
    uploading.start()
    targets = []
    while uploading.is_alive() and len(targets) < 4:
        targets.append(tmp_path / f"backup{len(targets)}")
        backup(index, targets[-1], *(["--link"] if len(targets) % 2 else []))
    uploading.join()
    for target in targets:
        other = restored(make_index, index, target).start()
        # What was recorded and not published yet, and what comes anew.
        uploads(other, 1000, 2)
        good = verify(other, other.tree)
        assert good.returncode == 0, good.stdout + good.stderr
        other.stop()


def test_keys_come_along_only_if_asked_for(make_index: MakeIndex, index: Index, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    backup(index, target)
    kept = {path.name for path in target.rglob("*") if path.is_file()}
    assert not {name for name in kept if "key" in name or name in ("token", "custodian-1.age")}, kept
    done = run(index, "backup", target, "--with-online-key")
    assert done.returncode == 0, done.stderr
    secret = (index.data / "online-key").read_bytes()
    assert all(secret not in path.read_bytes() for path in target.rglob("*") if path.is_file())
    [phrase] = [line.strip() for line in done.stderr.splitlines() if line.startswith("  ")]
    (tmp_path / "phrase").write_text(phrase)
    assert target.stat().st_mode & 0o077 == 0
    other = make_index(fresh=True)
    done = run(other, "restore", target, "--online-key-phrase", tmp_path / "phrase")
    assert done.returncode == 0, done.stderr
    assert (other.data / "online-key").read_bytes() == secret
    assert (other.data / "online-key").stat().st_mode & 0o777 == 0o600
    assert other.data.stat().st_mode & 0o777 == 0o700
    other.start()


def test_a_backup_of_one_file(make_index: MakeIndex, index: Index, sandbox: Sandbox, tmp_path: Path) -> None:
    index.publish(wheel("first", "1.0"))
    uploading = threading.Thread(target=uploads, args=(index, 0, 30))
    uploading.start()
    made = tmp_path / "index.tar.zst"
    said = backup(index, made, "--with-online-key")
    uploading.join()
    assert said["contents"]["entries"] > 20 and said["with_online_key"]
    assert made.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob(".wheelmark*")), "nothing else stays"
    assert not list(index.data.glob(".wheelmark-backup-*"))
    again = run(index, "backup", made)
    assert again.returncode == 1 and "is there already" in again.stderr
    done = run(index, "backup", made, "--overwrite", "--with-online-key")
    assert done.returncode == 0, done.stderr
    [phrase] = [line.strip() for line in done.stderr.splitlines() if line.startswith("  ")]
    (tmp_path / "phrase").write_text(phrase)

    other = make_index(fresh=True)
    done = run(other, "restore", made, "--online-key-phrase", tmp_path / "phrase")
    assert done.returncode == 0, done.stderr
    assert (other.data / "online-key").read_bytes() == (index.data / "online-key").read_bytes()
    assert other.data.stat().st_mode & 0o777 == 0o700
    [plain] = (other.tree / "packages/first").glob("*.whl")
    assert plain.stat().st_nlink == 2, "a second name stays one"
    shutil.copy(index.data / "token", other.data / "token")
    other.start()
    good = verify(other, other.tree)
    assert good.returncode == 0, good.stdout + good.stderr
    sandbox.trust(other)
    venv = sandbox.venv()
    sandbox.install("pip", venv, "first").ok()
    uploads(other, 1000, 2)


def test_a_backup_goes_through_a_pipe_and_tar_unpacks_it(make_index: MakeIndex, index: Index, tmp_path: Path) -> None:
    index.publish(wheel("first", "1.0"))
    command = [index.binary, "index", "--data", index.data, "backup", "-"]
    done = subprocess.run(list(map(str, command)), env=index.env, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert b"standard output: snapshot" in done.stderr
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-x", "-C", unpacked], input=done.stdout, check=True, timeout=60)
    assert (unpacked / "catalogue.sqlite").stat().st_mode & 0o777 == 0o600
    assert unpacked.stat().st_mode & 0o777 == 0o700
    restored(make_index, index, unpacked).start().stop()
    other = make_index(fresh=True)
    command = [other.binary, "index", "--data", other.data, "restore", "-"]
    back = subprocess.run(list(map(str, command)), env=other.env, input=done.stdout, capture_output=True, timeout=120)
    assert back.returncode == 0, back.stderr
    good = verify(other, other.tree)
    assert good.returncode == 0, good.stdout + good.stderr


def test_what_was_cut_off_or_changed_restores_nothing(make_index: MakeIndex, index: Index, tmp_path: Path) -> None:
    index.publish(wheel("first", "1.0", payload=1 << 16))
    good = tmp_path / "good.tar"
    backup(index, good)
    whole = good.read_bytes()
    at = whole.index(b"first-1.0-py3-none-any.whl") + 2000
    files = {
        "half": whole[: len(whole) // 2],
        "end": whole[: whole.rindex(b"backup.json")],
        "changed": whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],
        "empty": b"",
        "other": b"no archive at all" * 1000,
    }
    other = make_index(fresh=True)
    for name, content in files.items():
        bad = tmp_path / f"{name}.tar"
        bad.write_bytes(content)
        done = run(other, "restore", bad)
        assert done.returncode == 1 and "is no complete backup" in done.stderr, (name, done.stderr)
        assert not other.data.exists() or not list(other.data.iterdir()), name
        assert not list(other.data.parent.glob(".wheelmark-restore-*")), name
    # In a directory, a file is held against its name.
    folder = tmp_path / "folder"
    backup(index, folder)
    [kept] = (folder / "repository/targets/packages/first").glob("*.whl")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    done = run(other, "restore", folder)
    assert done.returncode == 1 and "is damaged: its SHA-256 is" in done.stderr, done.stderr
    for name in ("x.tar.gz", "x.zip"):
        done = run(index, "backup", tmp_path / name)
        assert done.returncode == 1 and ".tar.zst" in done.stderr
    inside = run(other, "restore", good, "--tree", tmp_path / "tree")
    assert inside.returncode == 1 and "leave --tree out" in inside.stderr
    done = run(other, "restore", good)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_what_was_put_into_the_tree_is_left_out(make_index: MakeIndex, index: Index, tmp_path: Path, name: str) -> None:
    """The web process's user can write there, and must not read by it what it cannot read itself."""
    index.publish(wheel("first", "1.0"))
    folder = index.tree / "targets/packages/first"
    key = (index.data / "online-key").read_bytes()
    (folder / f"{'a' * 64}.first-2.0.tar.gz").symlink_to(index.data / "online-key")
    (folder / f"{'b' * 64}.first-3.0.tar.gz").symlink_to(tmp_path)
    (index.tree / "targets/packages/second").symlink_to(index.data)
    os.mkfifo(folder / f"{'c' * 64}.first-4.0.tar.gz")
    (folder / "a\\b").write_bytes(b"x")
    (index.data / "other.sqlite").symlink_to(index.data / "online-key")
    target = tmp_path / name
    backup(index, target)
    files = [target] if target.is_file() else [path for path in target.rglob("*") if path.is_file()]
    assert files and all(key not in path.read_bytes() for path in files)
    other = make_index(fresh=True)
    done = run(other, "restore", target)
    assert done.returncode == 0, done.stderr
    assert len(list((other.tree / "targets/packages/first").iterdir())) == 2, "the file and its metadata"
    good = verify(other, other.tree)
    assert good.returncode == 0, good.stdout + good.stderr


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_what_sign_tree_made_comes_back(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    source = tmp_path / "source"
    for version in ("1.0", "2.0"):
        wheel("demo", version).write(source)
    tree = SignedTree(sandbox, source).run()
    assert tree.counts == {"back_signed": 2}

    def said(data: Path, *words: object, code: int = 0) -> str:
        done = sandbox.wheelmark("index", "--data", data, *words)
        assert done.code == code, done
        return done.text

    def verified(at: Path) -> None:
        sandbox.wheelmark("verify", at, "--root", at / "metadata/1.root.json").ok()

    said(tree.data, "backup", tmp_path / name)
    assert "is there already" in said(tree.data, "restore", tmp_path / name, code=1)
    for lost in (tree.out, tree.data):
        shutil.move(lost, tmp_path / f"lost-{lost.name}")
    said(tree.data, "restore", tmp_path / name)
    shutil.copy(tmp_path / "lost-signed-data/online-key", tree.data / "online-key")
    verified(tree.out)
    assert tree.out.stat().st_mode & 0o777 == 0o755
    assert tree.run().counts.get("back_signed") is None, "what was signed is remembered"
    (source / "demo-1.0-py3-none-any.whl").unlink()
    assert tree.run().counts["removed"] == 1
    # Elsewhere, and over a tree that is newer.
    elsewhere = tmp_path / "elsewhere"
    said(tmp_path / "other-data", "restore", tmp_path / name, "--tree", elsewhere)
    verified(elsewhere)
    assert "is newer than the backup" in said(tree.data, "restore", tmp_path / name, "--replace", code=1)
    said(tree.data, "restore", tmp_path / name, "--replace", "--accept-rollback")
    assert len(list(tree.out.parent.glob("signed*.before-restore-*"))) == 2
    verified(tree.out)


def test_nothing_newer_is_replaced_unasked(index: Index, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    index.publish(wheel("six", "1.0"))
    backup(index, target)
    in_use = run(index, "restore", target, "--replace")
    assert in_use.returncode == 1 and "is in use" in in_use.stderr
    index.publish(wheel("six", "2.0"))
    index.stop()
    before = index.files()
    there = run(index, "restore", target)
    assert there.returncode == 1 and "is there already" in there.stderr
    newer = run(index, "restore", target, "--replace")
    assert newer.returncode == 1 and "is newer than the backup" in newer.stderr
    assert "--accept-rollback" in newer.stderr and "refuse" in newer.stderr
    assert published(index.files()) == published(before)
    done = run(index, "restore", target, "--replace", "--accept-rollback")
    assert done.returncode == 0, done.stderr
    [aside] = index.data.parent.glob("data.before-restore-*")
    assert (aside / "repository/packages/six/six-2.0-py3-none-any.whl").exists()
    shutil.copy(aside / "online-key", index.data / "online-key")
    shutil.copy(aside / "token", index.data / "token")
    index.start()
    index.publish(wheel("six", "3.0"))


def test_what_was_cut_off_is_no_backup_and_is_taken_up_again(index: Index, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    index.publish(wheel("six", "1.0", payload=1 << 20))
    backup(index, target)
    (target / "backup.json").unlink()
    incomplete = run(index, "restore", target)
    assert incomplete.returncode == 1 and "no complete backup" in incomplete.stderr
    [kept] = (target / "repository/targets/packages/six").glob("*.whl")
    kept.write_bytes(kept.read_bytes()[:1000])
    backup(index, target)
    good = verify(index, target / "repository")
    assert good.returncode == 0, good.stdout + good.stderr
    other = tmp_path / "full"
    other.mkdir()
    (other / "mine").write_text("x")
    refused = run(index, "backup", other)
    assert refused.returncode == 1 and "no backup" in refused.stderr


def test_claimed_projects_come_back_and_their_people_go_on(
    make_index: MakeIndex, binary: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Backups are made while releases are signed, sent and published; each of them starts."""
    index = make_index(env=CLAIMS).start()
    index.publish(wheel("acme-tools", "1.0"), wheel("other", "1.0"))
    developer = Developer(tmp_path / "developer", binary, index)
    developer.claim("acme-tools").ok()

    def releases() -> None:
        for number in range(4):
            dists = [wheel("acme-tools", f"2.{number}"), sdist("acme-tools", f"2.{number}")]
            developer.publish(*dists).ok()

    releasing = threading.Thread(target=releases)
    releasing.start()
    targets = []
    while releasing.is_alive() and len(targets) < 4:
        targets.append(tmp_path / f"backup{len(targets)}")
        backup(index, targets[-1])
    releasing.join()
    targets.append(tmp_path / "last")
    backup(index, targets[-1])
    for number, target in enumerate(targets):
        other = restored(make_index, index, target)
        other.env.update(CLAIMS)
        other.start()
        again = Developer(tmp_path / f"again{number}", binary, other)
        late = wheel("acme-tools", "9.0", says="by twine")
        waits = again.sandbox.twine(other, late.write(tmp_path / "late"), "--verbose").ok()
        assert "acme-tools is claimed" in " ".join(waits.text.split()), waits
        assert late.filename not in other.get("simple/acme-tools/").body.decode()
        again.key = developer.key
        third = wheel("acme-tools", "3.0", says="three")
        again.publish(third, options=("--key", developer.keyid)).ok()
        venv = again.sandbox.venv()
        again.sandbox.install("pip", venv, "acme-tools", "other").ok()
        assert venv.says("acme_tools") == "three"
        good = verify(other, other.tree)
        assert good.returncode == 0, good.stdout + good.stderr
        audit = run(other, "audit", "--json")
        assert json.loads(audit.stdout)["sound"] is True, audit.stdout
        other.stop()
