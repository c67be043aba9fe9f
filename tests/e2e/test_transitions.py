"""The online key changes, and the number of bins, while pip, python-tuf and a mirror go on reading."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tuf.api.exceptions import UnsignedMetadataError
from tuf.ngclient import Updater

from harness.copying import Copy
from harness.distributions import wheel
from harness.holders import Cast
from harness.sandbox import Sandbox

# Long enough for a machine that does ten other things.
PATIENCE = 240


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Any web server, and its address."""
    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tuf_client(base: str, root: bytes, folder: Path) -> Updater:
    """python-tuf's client, unmodified; it goes on from what it has kept in the folder."""
    kept, targets = folder / "metadata", folder / "targets"
    kept.mkdir(parents=True, exist_ok=True)
    targets.mkdir(exist_ok=True)
    return Updater(
        metadata_dir=str(kept),
        metadata_base_url=f"{base}/metadata/",
        target_dir=str(targets),
        target_base_url=f"{base}/targets/",
        bootstrap=root,
    )


class Load:
    """What goes on beside: each a function that is called again and again, and must never fail."""

    def __init__(self, parts: dict[str, Callable[[int], None]]) -> None:
        self.parts = parts
        self.rounds = dict.fromkeys(parts, 0)
        self.failed: list[str] = []
        self.ended = threading.Event()

    def _loop(self, name: str) -> None:
        while not self.ended.is_set():
            try:
                self.parts[name](self.rounds[name])
            except Exception as error:  # noqa: BLE001 any failure is one
                self.failed.append(f"{name}, round {self.rounds[name]}: {error!r}")
            self.rounds[name] += 1
            time.sleep(0.02)

    def go_on(self, rounds: int = 2) -> None:
        """Waits until everything was done so many times more from beginning to end."""
        goals = {name: done + rounds + 1 for name, done in self.rounds.items()}
        deadline = time.monotonic() + PATIENCE
        while any(self.rounds[name] < goal for name, goal in goals.items()):
            assert time.monotonic() < deadline, f"{self.rounds} has not come to {goals}: {self.failed}"
            assert not self.failed, "\n".join(self.failed)
            time.sleep(0.05)

    def __enter__(self) -> "Load":
        self.threads = [threading.Thread(target=self._loop, args=[name]) for name in self.parts]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()


def make_cast(make_index, tmp_path: Path, bins: int = 16) -> Cast:
    index = make_index(fresh=True, bins=bins).start()
    index.publish(wheel("demo", "1.0"))
    return Cast(index, tmp_path)


@contextmanager
def under_load(cast: Cast, sandbox: Sandbox, tmp_path: Path, *, mirrored: bool = True) -> Iterator[Load]:
    """pip, python-tuf and uploads at the index; a mirror that follows; pip and python-tuf there."""
    index = cast.index
    root = index.root_file.read_bytes()
    sandbox.trust(index).ok()
    copying = Copy(Sandbox(tmp_path / "copying", index.binary), index.index_url, index.root_file)
    copying.run().ok()
    with served(copying.directory) as mirror:
        behind = Sandbox(tmp_path / "behind", index.binary)
        behind.wheelmark("trust", "add", f"{mirror}/simple/", "--root", index.root_file).ok()
        venvs = {id(box): box.venv() for box in (sandbox, behind)}

        def pip(box: Sandbox, _round: int) -> None:
            box.install("pip", venvs[id(box)], "--force-reinstall", "--no-deps", "demo").ok()

        def tuf(base: str, name: str, round_: int) -> None:
            # Every third comes for the first time; the others have what they saw last.
            folder = tmp_path / "tuf" / (f"{name}-{round_}" if round_ % 3 == 0 else name)
            client = tuf_client(base, root, folder)
            client.refresh()
            for path in ("simple/demo/index.json", "packages/demo/demo-1.0-py3-none-any.whl"):
                info = client.get_targetinfo(path)
                assert info is not None, path
                assert client.download_target(info)

        def upload(round_: int) -> None:
            index.publish(wheel("load", f"1.{round_}"))
            time.sleep(0.2)

        def follow(_round: int) -> None:
            copying.run().ok()

        base = index.url("").rstrip("/")
        parts = {
            "pip": functools.partial(pip, sandbox),
            "python-tuf": functools.partial(tuf, base, "index"),
            "uploads": upload,
        }
        if mirrored:
            parts |= {
                "pip at the mirror": functools.partial(pip, behind),
                "python-tuf at the mirror": functools.partial(tuf, mirror, "mirror"),
                "the mirror": follow,
            }
        with Load(parts) as load:
            load.go_on(1)
            yield load
            load.go_on()
        assert not load.failed, "\n".join(load.failed)
        if mirrored:
            copying.run().ok()
            assert copying.verify()
        assert cast.operator.run("verify", index.tree, "--root", index.root_file).returncode == 0


def rotate(cast: Cast, *options: object, code: int = 0) -> dict:
    return cast.operator.told("index", "rotate-online-key", "--data", cast.index.data, *options, code=code)


def hold(cast: Cast, name: str, *options: object) -> tuple[Path, dict]:
    """A ceremony up to where it can be published."""
    ceremony, begun = cast.operator.begin(name, *options)
    for holder in cast.holders:
        mine = holder.take(ceremony)
        done = holder.sign(mine, cast.operator.told("index", "keys", "--data", cast.index.data)["root_fingerprint"], begun["words"])
        assert done.returncode == 0, done.stderr
        for file in (mine / "signatures").iterdir():
            shutil.copy(file, ceremony / "signatures")
    cast.operator.told("ceremony", "finish", ceremony)
    return ceremony, begun


def publish(cast: Cast, ceremony: Path) -> dict:
    return cast.operator.told("ceremony", "publish", ceremony, "--data", cast.index.data)


def signers(path: Path) -> set[str]:
    return {signature["keyid"] for signature in json.loads(path.read_bytes())["signatures"]}


def test_the_online_key_is_replaced_and_nobody_notices(make_index, sandbox: Sandbox, tmp_path: Path) -> None:
    cast = make_cast(make_index, tmp_path)
    tree, data, public = cast.index.tree, cast.index.data, tmp_path / "next.json"
    (before,) = signers(tree / "metadata" / "timestamp.json")
    with under_load(cast, sandbox, tmp_path) as load:
        prepared = rotate(cast, "--out", public)
        assert prepared["both_sign"] and prepared["key"] != before
        assert signers(tree / "metadata" / "timestamp.json") == {before, prepared["key"]}
        assert (data / "online-key.next").stat().st_mode & 0o777 == 0o600
        early = cast.operator.run("index", "rotate-online-key", "--data", data, "--retire")
        assert early.returncode == 1 and "hold the ceremony first" in early.stderr
        load.go_on(1)

        ceremony, begun = hold(cast, "rotation", "--online-key", public)
        assert {role["role"] for role in begun["roles"]} == {"root", "targets", "simple", "packages"}
        changes = [change for role in begun["roles"] for change in role["changes"]]
        assert any("the next online key" in change and "comes" in change for change in changes), changes
        assert publish(cast, ceremony)["root_version"] == 2
        assert cast.operator.signed("root")["roles"]["timestamp"]["keyids"] == [prepared["key"]]
        assert signers(tree / "metadata" / f"{cast.operator.version('simple-0')}.simple-0.json") == {prepared["key"]}
        assert rotate(cast)["state"] == "named"
        load.go_on()

        late = cast.operator.run("index", "rotate-online-key", "--data", data, "--retire")
        assert late.returncode == 1 and "may still be behind" in late.stderr, late.stderr
        retired = rotate(cast, "--retire", "--now")
        assert retired["state"] == "retired" and retired["signs_alone"]
        assert signers(tree / "metadata" / "timestamp.json") == {prepared["key"]}
        assert not (data / "online-key.next").exists()
    assert rotate(cast, "--retire")["state"] == "retired", "once more is the same"
    late = cast.operator.run("index", "rotate-online-key", "--data", data, "--abandon")
    assert late.returncode == 0, late.stderr
    assert cast.index.stop() == 0
    cast.index.start()
    cast.index.publish(wheel("demo", "2.0"))
    sandbox.install("pip", sandbox.venv(), "demo==2.0").ok()


def test_it_is_shown_how_far_a_rotation_is(make_index, tmp_path: Path) -> None:
    cast = make_cast(make_index, tmp_path)
    operator, data, public = cast.operator, cast.index.data, tmp_path / "next.json"

    def under_way(says: str) -> list[dict]:
        told = [operator.told("index", word, "--data", data)["under_way"] for word in ("keys", "status")]
        assert told[0] == told[1]
        for word in ("keys", "status"):
            assert says in operator.run("index", word, "--data", data).stdout
        return told[0]

    assert under_way("ROLE") == []
    key = rotate(cast, "--out", public)["key"]
    assert under_way("a ceremony has to name it next") == [{"kind": "online-key", "state": "prepared", "next": key}]
    ceremony, _ = hold(cast, "rotation", "--online-key", public)

    # Handed in while nobody publishes: it waits.
    assert cast.index.stop() == 0
    for name in ("online-key", "online-key.next"):
        (data / name).rename(tmp_path / name)
    assert operator.told("ceremony", "publish", ceremony, "--data", data, code=3)["waiting"]
    [prepared, waits] = under_way("was handed in")
    assert prepared["state"] == "prepared" and waits["kind"] == "ceremony"
    for name in ("online-key", "online-key.next"):
        (tmp_path / name).rename(data / name)
    cast.index.start()
    publish(cast, ceremony)
    [named] = under_way("from ")
    assert named["state"] == "named" and named["before"] != key

    # When that was, the index has written down: a file's time is anybody's.
    long_ago = time.time() - 1e7
    os.utime(cast.index.tree / "metadata" / "2.root.json", (long_ago, long_ago))
    assert under_way("from ") == [named]
    early = operator.run("index", "rotate-online-key", "--data", data, "--retire")
    assert early.returncode == 1 and "may still be behind" in early.stderr, early.stderr
    rotate(cast, "--retire", "--now")
    assert under_way("ROLE") == []


# A mirror fetches each bin by itself: 32,768 of them are too many for a build without optimisation.
@pytest.mark.parametrize("bins, mirrored", [((16, 512), True), ((256, 16384), False)], ids=["mirrored", "PyPI's"])
def test_there_are_more_bins_and_nobody_notices(
    make_index, sandbox: Sandbox, tmp_path: Path, bins: tuple[int, int], mirrored: bool
) -> None:
    before, after = bins
    cast = make_cast(make_index, tmp_path, before)
    with under_load(cast, sandbox, tmp_path, mirrored=mirrored) as load:
        told = cast.operator.told("index", "rebin", "--data", cast.index.data, "--bins", after)
        assert [family["bins"] for family in told["families"]] == [before, before]
        ceremony, begun = hold(cast, "rebin", "--bins", after)
        assert [role["changes"] for role in begun["roles"]] == [
            [f"{family}: {after} bins, where it was {before}"] for family in ("simple", "packages")
        ]
        assert publish(cast, ceremony)["published"]
        load.go_on()
    assert 1 << cast.operator.signed("simple")["delegations"]["succinct_roles"]["bit_length"] == after
    meta = cast.operator.signed("snapshot")["meta"]
    assert len([name for name in meta if name.startswith("simple-")]) == before + after, "no listed role may vanish"


def test_a_kill_while_everything_moves_is_made_good(make_index, sandbox: Sandbox, tmp_path: Path) -> None:
    cast = make_cast(make_index, tmp_path)
    public = tmp_path / "next.json"
    sandbox.trust(cast.index).ok()
    rotate(cast, "--out", public)
    ceremony, _ = hold(cast, "rotation", "--online-key", public, "--bins", 4096)
    metadata = cast.index.tree / "metadata"

    def kill_in_the_middle() -> None:
        while not list(metadata.glob("*.simple-0*.json")):
            time.sleep(0.002)
        cast.index.kill()

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    # Without a process that publishes, the command itself does.
    publish(cast, ceremony)
    killer.join()
    cast.index.start()
    sandbox.install("pip", sandbox.venv(), "demo").ok()
    assert cast.operator.version("root") == 2
    rotate(cast, "--retire", "--now")
    cast.index.publish(wheel("demo", "2.0"))
    sandbox.install("pip", sandbox.venv(), "demo==2.0").ok()


def test_the_next_key_does_not_go_while_anything_names_it(make_index, tmp_path: Path) -> None:
    cast = make_cast(make_index, tmp_path)
    data, public = cast.index.data, tmp_path / "next.json"
    rotate(cast, "--out", public)
    publish(cast, hold(cast, "rotation", "--online-key", public)[0])
    secret = (data / "online-key.next").read_bytes()

    def refused(says: str) -> None:
        done = cast.operator.run("index", "rotate-online-key", "--data", data, "--abandon")
        assert done.returncode == 1 and says in done.stderr, done.stderr
        assert (data / "online-key.next").read_bytes() == secret

    refused("root names the next online key already")
    # As a kill leaves it before the last file: the bins are the next key's, and root does not say so.
    assert cast.index.stop() == 0
    root = cast.index.tree / "metadata" / "2.root.json"
    kept = root.read_bytes()
    root.unlink()
    refused("the next online key stays")
    root.write_bytes(kept)
    cast.index.start()
    cast.index.publish(wheel("demo", "2.0"))


def names(tree: Path) -> dict[str, bytes]:
    """What installers without verification read."""
    folders = [tree / "simple", tree / "packages"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(tree)): path.read_bytes() for path in files}


def test_a_backup_between_the_steps_has_what_is_published_and_both_keys(make_index, tmp_path: Path) -> None:
    cast = make_cast(make_index, tmp_path, bins=256)
    operator, data, public = cast.operator, cast.index.data, tmp_path / "next.json"
    cast.index.publish(*(wheel(f"p{n}", "1.0") for n in range(8)))
    backup = tmp_path / "backup"
    prepared = rotate(cast, "--out", public)
    publish(cast, hold(cast, "both", "--online-key", public, "--bins", 1024)[0])
    cast.index.publish(*(wheel(f"p{n}", "2.0") for n in range(4)))
    for n in range(2, 6):
        removed = operator.run("index", "remove", f"p{n}", "1.0", "--data", data, "--yes")
        assert removed.returncode == 0, removed.stderr
    done = operator.run("index", "backup", backup, "--data", data, "--with-online-key")
    assert done.returncode == 0, done.stderr
    assert names(backup / "repository") == names(cast.index.tree)
    manifest = json.loads((backup / "backup.json").read_bytes())
    assert len(manifest["online_keys"]) == 2 and prepared["key"] in manifest["online_keys"]
    (tmp_path / "phrase").write_text(next(line.strip() for line in done.stderr.splitlines() if line.startswith("  ")))

    other = make_index(fresh=True, bins=256)
    done = operator.run("index", "restore", backup, "--data", other.data, "--online-key-phrase", tmp_path / "phrase")
    assert done.returncode == 0, done.stderr
    for name in ("online-key", "online-key.next"):
        assert (other.data / name).read_bytes() == (data / name).read_bytes()
        assert (other.data / name).stat().st_mode & 0o777 == 0o600
    shutil.copy(data / "token", other.data / "token")
    other.start()
    other.publish(wheel("later", "1.0"))

    # A backup that goes on without the key says that the one in it is of no use any more.
    rotate(cast, "--retire", "--now")
    assert operator.told("index", "backup", backup, "--data", data)["with_online_key"]
    again = tmp_path / "again.json"
    rotate(cast, "--out", again)
    publish(cast, hold(cast, "again", "--online-key", again)[0])
    rotate(cast, "--retire", "--now")
    done = operator.run("index", "backup", backup, "--data", data)
    assert done.returncode == 0 and "has been replaced since" in done.stderr, done.stderr


def test_with_one_signature_either_order_has_a_gap(make_index, tmp_path: Path) -> None:
    """What the two signatures are for: python-tuf meets a copy that has one half of the change."""
    cast = make_cast(make_index, tmp_path)
    tree, public = cast.index.tree, tmp_path / "next.json"
    root = cast.index.root_file.read_bytes()
    alone = (tree / "metadata" / "timestamp.json").read_bytes()
    prepared = rotate(cast, "--out", public)
    both = (tree / "metadata" / "timestamp.json").read_bytes()
    publish(cast, hold(cast, "rotation", "--online-key", public)[0])
    assert cast.index.stop() == 0
    after = json.loads((tree / "metadata" / "timestamp.json").read_bytes())
    next_alone = after | {"signatures": [s for s in after["signatures"] if s["keyid"] == prepared["key"]]}

    def reads(name: str, timestamp: bytes, *, has_root: bool) -> None:
        copy = tmp_path / name
        shutil.copytree(tree, copy)
        (copy / "metadata" / "timestamp.json").write_bytes(timestamp)
        if not has_root:
            (copy / "metadata" / "2.root.json").unlink()
        with served(copy) as base:
            tuf_client(base, root, tmp_path / f"{name}-client").refresh()

    with pytest.raises(UnsignedMetadataError):
        reads("root first", alone, has_root=True)
    with pytest.raises(UnsignedMetadataError):
        reads("timestamp first", json.dumps(next_alone).encode(), has_root=False)
    for has_root in (True, False):
        reads(f"before {has_root}", both, has_root=has_root)
        reads(f"after {has_root}", json.dumps(after).encode(), has_root=has_root)


def test_while_a_rotation_waits_for_its_end_everything_goes_by_the_key_that_root_names(
    make_index, tmp_path: Path
) -> None:
    cast = make_cast(make_index, tmp_path)
    operator, data, public = cast.operator, cast.index.data, tmp_path / "next.json"
    first = cast.index.ready["root_fingerprint"]
    rotate(cast, "--out", public)
    publish(cast, hold(cast, "rotation", "--online-key", public)[0])
    audited = operator.run("index", "audit", "--data", data)
    assert audited.returncode == 0, audited.stdout + audited.stderr
    (tmp_path / "phrase").write_text("a phrase of more than sixteen")
    backup = ("ceremony", "backup", "--data", data, "--online-only", "--passphrase-credential", "phrase")
    done = operator.run(*backup, "--out", tmp_path / "night.age", env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    # People are told to begin their trust at the newest root.
    newest = operator.told("index", "keys", "--data", data)["root_fingerprint"]
    cast.index.stop()
    cast.index.start()
    assert cast.index.ready["root_fingerprint"] == newest != first
    rotate(cast, "--retire", "--now")
    # A file that is left of this rotation is seen before the next key is made.
    refused = operator.run("index", "rotate-online-key", "--data", data, "--out", public)
    assert refused.returncode == 1 and "nothing was done" in refused.stderr, refused.stderr
    assert not (data / "online-key.next").exists()
    assert len(signers(cast.index.tree / "metadata" / "timestamp.json")) == 1


def test_what_was_not_begun_is_told_so(make_index, tmp_path: Path) -> None:
    cast = make_cast(make_index, tmp_path)
    operator, data = cast.operator, cast.index.data
    public = tmp_path / "next.json"
    prepared = rotate(cast, "--out", public)
    assert rotate(cast, "--out", public)["key"] == prepared["key"], "once more is the same"
    gone = rotate(cast, "--abandon")
    assert gone["state"] == "abandoned"
    assert signers(cast.index.tree / "metadata" / "timestamp.json") == {gone["key"]}
    # The ceremony names a key that the index does not have any more: it would lock itself out.
    ceremony, _ = hold(cast, "rotation", "--online-key", public)
    refused = operator.run("ceremony", "publish", ceremony, "--data", data)
    assert refused.returncode == 1 and "another key for timestamp and snapshot" in refused.stderr, refused.stderr
    forged = json.loads(public.read_bytes())
    forged["proof"] = "00" * 64
    public.write_text(json.dumps(forged))
    begun = operator.run("ceremony", "begin", "--data", data, "--out", tmp_path / "x", "--online-key", public)
    assert begun.returncode == 1 and "nothing proves" in begun.stderr, begun.stderr
    # The id that people compare stands in the review, whole.
    reviewed = operator.run("ceremony", "review", ceremony)
    assert f"online   {prepared['key']}" in reviewed.stdout, reviewed.stdout
    for bins, says in ((16, "has 16 bins already"), (24, "a power of two"), (32768, "a power of two")):
        for command in (("index", "rebin"), ("ceremony", "begin", "--out", tmp_path / "x")):
            done = operator.run(*command, "--data", data, "--bins", bins)
            assert done.returncode == 1 and says in done.stderr, done.stderr


