"""The wall between web process and snapshot process, as the operating system keeps it.

The two run as two users, by the owners and modes that `wheelmark index permissions` sets. Whoever
takes over the web process is a program here, that runs as the web's user and tries everything.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.sandbox import Sandbox
from harness.tuf_reader import TufReader
from harness.two_users import PUBLISHES, WEB, TwoUsers, why_not

GOOD = wheel("victim", "1.0", says="good")
OTHER = wheel("victim", "2.0", says="good")
EVIL = wheel("victim", "1.0", says="evil")

# What the web's user tries; every line that it prints is something it could do.
PROBE = """
import os, sys
from pathlib import Path
data = Path(sys.argv[1])
tree = data / "repository"

def attempt(what, act):
    try:
        act()
    except (PermissionError, FileNotFoundError, FileExistsError):
        return
    except OSError as error:
        print(what, error)
        return
    print(what)

for key in [data / "online-key", data / "token", data / "operator" / "orders.sqlite", *sys.argv[2:]]:
    key = Path(key)
    attempt(f"reads {key}", lambda: key.read_bytes())
    attempt(f"writes {key}", lambda: key.open("r+b"))
    attempt(f"takes {key} away", lambda: os.unlink(key))
    attempt(f"renames {key}", lambda: os.rename(key, data / "web" / "loot"))
attempt("lists operator", lambda: os.listdir(data / "operator"))
attempt("makes orders", lambda: (data / "operator" / "more").write_text(""))
for name in ("settings.json", "index.toml", "online-key", "first-tree", "offline-keys"):
    attempt(f"makes {name}", lambda: (data / name).open("xb"))
    attempt(f"writes {name}", lambda: (data / name).open("r+b"))
for folder in (data, tree, tree / "metadata", tree / "targets", tree / "simple", tree / "targets/simple",
               tree / "packages", tree / "packages/victim", tree / "targets/simple/victim", tree / "simple/victim"):
    attempt(f"makes a file in {folder}", lambda: (folder / "mine").open("xb"))
    attempt(f"renames in {folder}", lambda: os.rename(next(folder.iterdir()), folder / "renamed"))
    attempt(f"changes the mode of {folder}", lambda: os.chmod(folder, 0o777))
for part in ("metadata", "simple", "targets/simple", "packages"):
    for path in [p for p in (tree / part).rglob("*") if p.is_file()]:
        attempt(f"writes {path}", lambda: path.open("r+b"))
        attempt(f"takes {path} away", lambda: os.unlink(path))
        attempt(f"replaces {path}", lambda: os.replace(data / "web" / "catalogue.sqlite-shm", path))
attempt("takes the lock away", lambda: os.unlink(tree / ".lock"))
attempt("opens the lock", lambda: (tree / ".lock").open())
"""

# Overwrites every plain file that it can, the database aside; prints which.
RAMPAGE = """
import os, sys
from pathlib import Path
data, evil = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
for root, folders, files in os.walk(data):
    for name in files:
        path = Path(root) / name
        if name.startswith("catalogue.sqlite"):
            continue
        try:
            try:
                os.chmod(path, 0o666)
            except PermissionError:
                pass
            path.write_bytes(evil)
            print(path)
        except (PermissionError, OSError):
            pass
"""

# Makes every row of the catalogue speak for other bytes, and asks for what is not the web's.
ROWS = """
import json, sqlite3, sys
database, filename, project, sha256, size = sys.argv[1:]
at = sqlite3.connect(database, timeout=20)
for seq, text in at.execute("select seq, change from journal").fetchall():
    row = json.loads(text)
    if row.get("filename") == filename:
        row |= {"sha256": sha256, "size": int(size)}
        at.execute("update journal set change = ? where seq = ?", (json.dumps(row), seq))
        at.execute("insert into journal (change) values (?)", (json.dumps(row),))
at.execute("update file set sha256 = ?, size = ? where filename = ?", (sha256, int(size), filename))
for row in (
    {"kind": "file-removed", "project": project, "filename": filename},
    {"kind": "file-yanked", "project": project, "filename": filename, "yanked": "mine"},
    {"kind": "status-set", "project": project, "status": "quarantined"},
):
    at.execute("insert into journal (change) values (?)", (json.dumps(row),))
at.commit()
"""


@pytest.fixture
def two_users(first_run: Index) -> Iterator[TwoUsers]:
    if reason := why_not():
        pytest.skip(f"skipped: {reason}")
    index = TwoUsers(first_run)
    yield index.start()
    index.remove()


def test_they_do_together_what_one_does(two_users: TwoUsers, sandbox: Sandbox) -> None:
    two_users.publish(GOOD)
    began = time.monotonic()
    two_users.publish(*(wheel(f"other-{n}") for n in range(20)))
    # Neither side looks more than four times a second by itself: one wakes the other.
    assert time.monotonic() - began < 20 * 0.25 * 2
    sandbox.trust(two_users)
    venv = sandbox.venv()
    sandbox.install("pip", venv, "victim").ok()
    assert venv.says("victim") == "good"
    order = [two_users.binary, "index", "yank", "victim", "1.0", "--data", two_users.data, "--json"]
    told = two_users.as_user(PUBLISHES, *order, timeout=60)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["waiting"] == 0
    refused = two_users.as_user(WEB, *order, timeout=60)
    assert refused.returncode == 1 and "belongs to" in refused.stderr
    # Each survives the other's absence.
    assert two_users.stop_publisher() == 0
    assert two_users.get("simple/victim/").status == 200
    two_users.start_publisher()
    two_users.publish(OTHER)
    two_users.stop()
    two_users.permit()
    two_users.start()
    two_users.publish(wheel("after", "1.0"))


def test_both_give_names_by_sha512_to_what_either_has_placed(two_users: TwoUsers, sandbox: Sandbox) -> None:
    two_users.publish(GOOD)
    folder = two_users.tree / "targets" / "packages" / "victim"
    # As a version before this one has made it.
    folder.chmod(0o755)

    def add() -> tuple[int, dict]:
        order = [two_users.binary, "index", "hashes", "add", "sha512", "--data", two_users.data, "--json"]
        told = two_users.as_user(PUBLISHES, *order, timeout=150)
        return told.returncode, json.loads(told.stdout)

    code, told = add()
    assert code == 3 and told["names_missing"] == 1 and told["projects_behind"] == 0, told
    assert "cannot be given" in two_users.log_text()
    # What nobody can name so far holds up nothing else.
    two_users.publish(wheel("newer", "1.0"))
    newer = two_users.tree / "targets" / "packages" / "newer"
    assert any(len(path.name.split(".")[0]) == 128 for path in newer.iterdir())
    two_users.stop()
    two_users.permit()
    two_users.start()
    code, told = add()
    assert code == 0 and told["names_missing"] == 0, told
    sandbox.trust(two_users)
    sandbox.install("pip", sandbox.venv(), "victim", "newer").ok()


def test_the_webs_user_reads_no_key_and_writes_nothing_that_is_signed(two_users: TwoUsers) -> None:
    two_users.publish(GOOD, OTHER)
    offline = [*two_users.data.with_name("data-offline-keys").iterdir()]
    assert len(offline) == 2
    assert two_users.python(WEB, PROBE, two_users.data, *offline) == ""
    # The probe finds what there is to find: to the other user it is open.
    assert "reads" in two_users.python(PUBLISHES, PROBE, two_users.data, *offline)


def test_what_is_signed_for_an_existing_file_stays(two_users: TwoUsers, sandbox: Sandbox, tmp_path: Path) -> None:
    two_users.publish(GOOD, OTHER)
    sandbox.trust(two_users)

    def signed(where: str) -> tuple:
        reader = TufReader(two_users, tmp_path / where)
        page = json.loads(reader.page("victim"))
        return page, *(reader.lists(f"packages/victim/{dist.filename}") for dist in (GOOD, OTHER))

    before = signed("before")
    two_users.python(WEB, ROWS, two_users.database, GOOD.filename, "victim", EVIL.sha256, len(EVIL.content))
    written = two_users.python(WEB, RAMPAGE, two_users.data, EVIL.content.hex()).splitlines()
    tree = two_users.tree
    assert written, "there is something that it can write"
    for path in map(Path, written):
        ours = path.is_relative_to(tree / "targets/packages") or path.is_relative_to(tree / ".incoming")
        assert ours or path.is_relative_to(two_users.data / "web"), path

    two_users.publish(wheel("honest", "1.0"))
    assert signed("running") == before
    two_users.stop()
    two_users.start()
    two_users.publish(wheel("honest", "2.0"))
    assert signed("restarted") == before
    # Its own objects it has spoilt: a verifying client refuses them, and whoever has the plain
    # names, which are the other user's, has the right bytes.
    for tool in ("pip", "uv"):
        venv = sandbox.venv()
        sandbox.install(tool, venv, "victim==1.0").failed()
        assert venv.installed() == {}
    spoilt = tree / "targets" / "packages" / "victim" / f"{GOOD.sha256}.{GOOD.filename}"
    assert spoilt.read_bytes() == EVIL.content
    for path in (tree / "targets" / "packages" / "victim").glob(f"*.{GOOD.filename}*"):
        plain = tree / "packages" / "victim" / path.name.split(".", 1)[1]
        shutil.copyfile(plain, path)
    assert spoilt.read_bytes() == GOOD.content
    venv = sandbox.venv()
    sandbox.install("pip", venv, "victim==1.0").ok()
    assert venv.says("victim") == "good"
