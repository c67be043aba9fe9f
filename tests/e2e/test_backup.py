"""`wheelmark index backup` and `restore`, while the index is used."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from harness.distributions import sdist, wheel
from harness.index import Index
from harness.openpgp import SIGNATURE
from harness.sandbox import Sandbox
from harness.upload import upload

MakeIndex = Callable[..., Index]

UPLOADS = 100
SIGNED = sdist("signed", "1.0")


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
