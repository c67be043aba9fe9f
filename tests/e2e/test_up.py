"""`wheelmark up`, from its first run to a month off; and the small commands around it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from securesystemslib.formats import encode_canonical

from harness.distributions import wheel
from harness.index import Index, NotReady, free_port, open_database
from harness.sandbox import Sandbox
from harness.site import Site, tree_at
from harness.tuf_reader import TufReader

FIELDS = {"index_url", "upload_url", "metadata_url", "targets_url", "token_file", "root_file", "root_fingerprint"}
# The phrase stands on a line of its own, in groups.
PHRASE = re.compile(r"^\s*([0-9a-zA-Z]{3,}(?:[- ][0-9a-zA-Z]{3,}){4,})\s*$", re.MULTILINE)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fingerprint(root: Path) -> str:
    signed = json.loads(root.read_bytes())["signed"]
    return hashlib.sha256(encode_canonical(signed).encode()).hexdigest()


@pytest.fixture(scope="module")
def fresh(_make) -> Iterator[Index]:
    """An index in its first run."""
    started: list[Index] = []
    yield _make(started, fresh=True).start()
    for index in started:
        index.kill()


def beside(index: Index) -> Path:
    """The folder with the offline keys."""
    found = [p.parent for p in index.data.parent.glob("*/custodian-1.age")]
    assert len(found) == 1, found
    return found[0]


# The first run.


def test_one_line_of_json(fresh: Index) -> None:
    assert len(fresh.said) == 1
    assert set(fresh.ready) >= FIELDS
    for name in ("index_url", "upload_url", "metadata_url", "targets_url"):
        assert str(fresh.ready[name]).startswith(f"http://127.0.0.1:{fresh.port}/"), name
    assert fresh.index_url.endswith("/simple/")
    assert Path(str(fresh.ready["token_file"])) == fresh.data / "token"
    assert fresh.root_file.is_absolute()
    assert fresh.ready["root_fingerprint"] == fingerprint(fresh.root_file)


def test_secrets_are_the_owners_alone(fresh: Index) -> None:
    assert mode(fresh.data / "token") == 0o600
    assert mode(fresh.data) == 0o700
    keys = [p for p in fresh.data.iterdir() if "key" in p.name]
    assert len(keys) == 1
    assert mode(keys[0]) == 0o600
    offline = beside(fresh)
    assert mode(offline) == 0o700
    assert sorted(p.name for p in offline.iterdir()) == ["custodian-1.age", "custodian-2.age"]
    for path in offline.iterdir():
        assert mode(path) == 0o600
        assert path.read_bytes().startswith((b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE-----"))


def test_the_offline_keys_lie_beside_the_data_not_in_it(fresh: Index) -> None:
    assert beside(fresh).parent == fresh.data.parent
    assert not list(fresh.data.rglob("*.age"))


def test_nothing_stored_holds_the_token_or_the_phrase(fresh: Index) -> None:
    phrases = PHRASE.findall(fresh.log_text())
    assert len(phrases) == 1, "printed once"
    for path in fresh.data.rglob("*"):
        if path.is_file() and path.name != "token":
            content = path.read_bytes()
            assert fresh.token.encode() not in content, path
            assert phrases[0].encode() not in content, path


def test_the_server_never_opens_the_offline_keys(fresh: Index) -> None:
    opened = [os.readlink(p) for p in Path(f"/proc/{fresh.process.pid}/fd").iterdir()] if Path("/proc").exists() else []
    assert not [p for p in opened if str(beside(fresh)) in p]
    shutil.move(beside(fresh), fresh.data.parent.parent / f"safe-{fresh.port}")
    fresh.publish(wheel("without-offline-keys", "1.0"))


def test_without_offline_keys_everything_goes_on(fresh: Index) -> None:
    """(The folder was moved away by the test above.)"""
    said = fresh.log_text()
    fresh.stop()
    fresh.start()
    fresh.publish(wheel("without-offline-keys", "2.0"))
    assert not PHRASE.findall(fresh.log_text().removeprefix(said)), "the phrase is not told again"


def test_a_second_run_is_the_same_index(make_index, tmp_path: Path) -> None:
    index: Index = make_index().start()
    index.publish(wheel("kept", "1.0"))
    root, token = index.ready["root_fingerprint"], index.token
    assert index.stop() == 0, index.log_text()
    index.start()
    assert (index.ready["root_fingerprint"], index.token) == (root, token)
    assert TufReader(index, tmp_path).page("kept") is not None
    assert index.stop(signal.SIGINT) == 0


def test_two_first_runs_have_nothing_in_common(fresh: Index, first_run: Index) -> None:
    assert fresh.ready["root_fingerprint"] != first_run.ready["root_fingerprint"]
    assert fresh.token != first_run.token


def test_a_start_without_uploads_signs_nothing_new(make_index) -> None:
    index: Index = make_index().start()
    signed = index.metadata_files()
    index.stop()
    index.start()
    assert index.metadata_files() == signed


def test_the_offline_roles_are_signed_once(make_index) -> None:
    index: Index = make_index().start()
    index.publish(wheel("one"), wheel("two"))
    versions = {p.name for p in (index.tree / "metadata").iterdir()}
    for role in ("root", "targets", "claimed", "simple", "packages"):
        assert f"1.{role}.json" in versions
        assert f"2.{role}.json" not in versions


def test_what_it_prints_can_be_pasted(make_index, sandbox: Sandbox) -> None:
    """Every command that `up` prints is run as it stands there, by a shell."""
    index: Index = make_index(fresh=True)
    dist = sandbox.work / "dist"
    wheel("name", "1.0").write(dist)
    links = sandbox.folder / "bin"
    links.mkdir()
    (links / "wheelmark").symlink_to(index.binary)
    path = f"{links}{os.pathsep}{sandbox.env['PATH']}"
    said = sandbox.folder / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            ["wheelmark", "up", "--listen", f"127.0.0.1:{index.port}", "--bins", "4"],
            executable=links / "wheelmark", stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            cwd=sandbox.work, env=sandbox.env | {"PATH": path},
        )
    try:
        deadline = time.monotonic() + 60
        # The keys are told of as soon as they are there, the commands when it serves.
        while not (PHRASE.search(text := said.read_text()) and "wheelmark uv pip install" in text):
            assert process.poll() is None and time.monotonic() < deadline, text
            time.sleep(0.1)
        assert "offline keys on this machine" in text.lower()
        commands = [line.strip() for line in text.splitlines() if line.startswith("  ")]
        pasted = 0
        for tool in ("twine upload", "uv publish", "wheelmark trust add", "wheelmark pip install", "wheelmark uv pip install"):
            found = [c for c in commands if tool in c]
            assert found, f"{tool} is not shown:\n{text}"
            # What a shell puts among a program's arguments, every user of the machine can see.
            assert not re.search(r'\s-\S+ "\$\(', found[0]), found[0]
            venv = sandbox.venv()
            line = found[0].replace("NAME", "name").replace(str(index.binary), "wheelmark")
            line = line.replace("wheelmark pip install", f"wheelmark pip --python {venv.python} install")
            run = sandbox.run("sh", "-ec", line, env={"PATH": path, "VIRTUAL_ENV": str(venv.path), "TWINE_NON_INTERACTIVE": "1"})
            run.ok()
            if "install" in tool:
                assert venv.installed() == {"name": "1.0"}
            pasted += 1
        assert pasted == 5
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_port_zero_takes_a_free_one(make_index) -> None:
    index: Index = make_index()
    index.port = 0
    index.start()
    assert not index.index_url.startswith("http://127.0.0.1:0/")
    assert re.match(r"http://127\.0\.0\.1:\d+/simple/$", index.index_url)


# What it refuses to start with. (A port in use and a newer data directory: test_bad_input.)


def test_an_online_key_that_others_can_read(make_index) -> None:
    index: Index = make_index()
    key = next(p for p in index.data.iterdir() if "key" in p.name)
    key.chmod(0o644)
    with pytest.raises(NotReady):
        index.start()
    assert "chmod 600" in index.log_text() and key.name in index.log_text()


def test_an_online_key_of_another_index(make_index) -> None:
    index: Index = make_index()
    other: Index = make_index(fresh=True).start()
    other.stop()
    key = next(p for p in index.data.iterdir() if "key" in p.name)
    shutil.copy2(other.data / key.name, key)
    with pytest.raises(NotReady):
        index.start()
    assert "key" in index.log_text()


def test_a_directory_that_holds_something_else(make_index) -> None:
    index: Index = make_index(fresh=True)
    index.data.mkdir()
    (index.data / "photos").write_text("of the summer")
    with pytest.raises(NotReady):
        index.start()
    assert str(index.data) in index.log_text()
    assert [p.name for p in index.data.iterdir()] == ["photos"]


def test_another_number_of_bins(make_index) -> None:
    index: Index = make_index(bins=64)
    with pytest.raises(NotReady):
        index.start()
    assert "--bins" in index.log_text()


def test_a_key_from_a_credential_directory(make_index, tmp_path: Path) -> None:
    """As systemd's LoadCredential= hands it over: not owned, not in the data directory."""
    index: Index = make_index()
    key = next(p for p in index.data.iterdir() if "key" in p.name)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    shutil.move(key, credentials / "wheelmark-online-key")
    (credentials / "wheelmark-online-key").chmod(0o440)
    index.env["CREDENTIALS_DIRECTORY"] = str(credentials)
    index.start()
    index.publish(wheel("by-credential", "1.0"))


def test_a_first_run_signs_with_the_key_it_is_given(make_index, tmp_path: Path) -> None:
    other: Index = make_index(fresh=True).start()
    other.stop()
    key = next(p for p in other.data.iterdir() if "key" in p.name)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    shutil.copy2(key, credentials / "wheelmark-online-key")
    index: Index = make_index(fresh=True)
    index.env["CREDENTIALS_DIRECTORY"] = str(credentials)
    index.start()
    index.publish(wheel("by-credential", "1.0"))
    assert not (index.data / key.name).exists()


def test_a_first_run_that_is_asked_to_stop_is_finished_and_shows_its_phrase(make_index) -> None:
    index: Index = make_index(fresh=True)
    index.launch()
    while not list(index.data.parent.glob(".wheelmark-first-run-*")):
        time.sleep(0.01)
    assert index.stop() == 0
    assert PHRASE.search(index.log_text())
    assert not list(index.data.parent.glob(".wheelmark-first-run-*"))
    index.start()


def test_a_first_run_that_is_killed_leaves_nothing_for_long(make_index) -> None:
    index: Index = make_index(fresh=True)
    index.launch()
    while not list(index.data.parent.glob(".wheelmark-first-run-*")):
        time.sleep(0.01)
    index.kill()
    assert not index.data.exists()
    index.start()
    assert not list(index.data.parent.glob(".wheelmark-first-run-*"))
    assert beside(index).is_dir()


# Time.


def versions(index: Index) -> dict[str, int]:
    newest: dict[str, int] = {}
    for path in (index.tree / "metadata").glob("*.*.json"):
        version, role = path.name.removesuffix(".json").split(".", 1)
        newest[role] = max(newest.get(role, 0), int(version))
    return newest


def test_after_a_month_off_it_renews_itself(make_index, sandbox: Sandbox, fake_clock, tmp_path: Path) -> None:
    index: Index = make_index().start()
    dist = wheel("patient", "1.0")
    index.publish(dist)
    sandbox.trust(index)
    sandbox.install("pip", sandbox.venv(), "patient").ok()
    index.stop()
    before, signed = versions(index), index.metadata_files()
    stale = tmp_path / "stale"
    shutil.copytree(index.tree, stale)
    later = fake_clock("+31d")

    # Whoever shows the old state is refused: this is what expiry is for.
    with Site(tree_at(stale)) as mirror:
        frozen = Sandbox(tmp_path / "frozen", index.binary)
        frozen.wheelmark(
            "trust", "add", index.index_url, "--root", index.root_file,
            "--metadata-url", mirror.url("metadata/"), "--targets-url", mirror.url("targets/"),
        ).ok()
        frozen.install("pip", frozen.venv(), "patient").ok()
        venv = frozen.venv()
        done = frozen.install("pip", venv, "patient", env=later | {"PIP_NO_CACHE_DIR": "1"}).failed()
        assert "expired" in done.text and "timestamp" in done.text, done
        assert venv.installed() == {}

    index.env |= later
    index.start()
    deadline = time.monotonic() + 30
    bins = [role for role in before if re.match(r"(simple|packages)-", role)]
    while any(versions(index)[role] <= before[role] for role in ["snapshot", *bins]):
        assert time.monotonic() < deadline, f"not renewed:\n{before}\n{versions(index)}\n{index.log_text()}"
        time.sleep(0.2)
    after = index.metadata_files()
    assert {name: after.get(name) for name in signed} == signed, "what was signed stays as it was"
    for tool in ("pip", "uv"):
        venv = sandbox.venv()
        sandbox.install(tool, venv, "patient", env=later | {"UV_NO_CACHE": "1"}).ok()
        assert venv.installed() == {"patient": "1.0"}
    index.publish(wheel("patient", "2.0"))


def test_bins_stay_staggered_after_a_month_off(make_index, fake_clock) -> None:
    """They had all expired; but they must not all expire at one moment for ever after."""
    index: Index = make_index().start()
    index.stop()
    index.env |= fake_clock("+31d")
    index.start()
    deadline = time.monotonic() + 30
    while versions(index)["snapshot"] < 2:
        assert time.monotonic() < deadline, index.log_text()
        time.sleep(0.2)
    renewed = [
        json.loads(path.read_bytes())["signed"]["expires"]
        for path in (index.tree / "metadata").glob("*.simple-*.json")
        if not path.name.startswith("1.")
    ]
    assert len(renewed) == 16
    assert len(set(renewed)) > 4, renewed


def test_a_reminder_of_offline_roles_that_end(make_index, fake_clock) -> None:
    index: Index = make_index()
    index.env |= fake_clock("+75d")
    index.start()
    assert "claimed" in index.log_text()


# trust, and words.


def test_trust_by_root_file(index: Index, sandbox: Sandbox) -> None:
    sandbox.trust(index)
    listed = sandbox.wheelmark("trust", "list").ok()
    assert index.index_url in listed.out
    shown = sandbox.wheelmark("trust", "show", index.index_url).ok()
    assert str(index.ready["root_fingerprint"]) in shown.out
    sandbox.wheelmark("trust", "remove", index.index_url).ok()
    assert index.index_url not in sandbox.wheelmark("trust", "list").ok().out
    sandbox.wheelmark("trust", "remove", index.index_url).failed()
    sandbox.wheelmark("trust", "show", index.index_url).failed()


def test_trust_by_fingerprint(index: Index, sandbox: Sandbox) -> None:
    sandbox.wheelmark("trust", "add", index.index_url, "--fingerprint", index.ready["root_fingerprint"]).ok()
    index.publish(wheel("trusted", "1.0"))
    venv = sandbox.venv()
    sandbox.install("pip", venv, "trusted").ok()
    assert venv.installed() == {"trusted": "1.0"}


def test_trust_is_given_once(index: Index, make_index, sandbox: Sandbox) -> None:
    """Another root for an index that is trusted already is not taken in passing."""
    other: Index = make_index(fresh=True).start()
    sandbox.trust(index)
    sandbox.wheelmark("trust", "add", index.index_url, "--root", other.root_file).failed()
    assert str(index.ready["root_fingerprint"]) in sandbox.wheelmark("trust", "show", index.index_url).out


def test_several_indexes_are_kept_apart(index: Index, make_index, sandbox: Sandbox) -> None:
    other: Index = make_index(fresh=True).start()
    index.publish(wheel("here", "1.0"))
    other.publish(wheel("there", "1.0"))
    sandbox.trust(index)
    sandbox.trust(other)
    venv = sandbox.venv()
    sandbox.install("pip", venv, "there", options=("--index", other.index_url)).ok()
    sandbox.install("pip", venv, "here", options=("--index", other.index_url)).failed()
    sandbox.install("pip", venv, "here", options=("--index", index.index_url)).ok()
    assert venv.installed() == {"here": "1.0", "there": "1.0"}
    unsaid = sandbox.install("pip", venv, "here").failed()
    assert "--index" in unsaid.err, "which of the two?"


def test_an_index_that_is_not_trusted(index: Index, sandbox: Sandbox) -> None:
    index.publish(wheel("here", "1.0"))
    venv = sandbox.venv()
    done = sandbox.install("pip", venv, "here", options=("--index", index.index_url)).failed()
    assert "trust add" in done.err
    assert venv.installed() == {}


def test_a_mirror_serves_both_trees(index: Index, sandbox: Sandbox) -> None:
    """The tree is a plain static tree: any web server can serve it, and needs no trust."""
    index.publish(wheel("mirrored", "1.0", payload=5 * 1024 * 1024), wheel("mirrored-too", "1.0"))
    with Site(tree_at(index.tree)) as mirror:
        sandbox.trust(index, "--metadata-url", mirror.url("metadata/"), "--targets-url", mirror.url("targets/"))
        index.stop()
        for tool in ("pip", "uv"):
            venv = sandbox.venv()
            sandbox.install(tool, venv, "mirrored", "mirrored-too").ok()
            assert venv.says("mirrored") == "good"


COMMANDS = [[], ["up"], ["exec"], ["proxy"], ["trust"], ["trust", "add"], ["trust", "list"], ["trust", "show"], ["trust", "remove"], ["tuf"]]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "wheelmark")
def test_help(sandbox: Sandbox, words: list[str]) -> None:
    done = sandbox.wheelmark(*words, "--help").ok()
    assert "Usage:" in done.out
    assert done.err == ""
    first = done.out.splitlines()[0]
    assert first and not first.endswith("."), first


def test_version(sandbox: Sandbox) -> None:
    assert re.match(r"wheelmark \d+\.\d+\.\d+", sandbox.wheelmark("--version").ok().out)


def test_the_proxy_as_a_daemon(index: Index, sandbox: Sandbox) -> None:
    index.publish(wheel("by-proxy", "1.0"))
    sandbox.trust(index)
    port = free_port()
    process = subprocess.Popen(
        [index.binary, "proxy", "--listen", f"127.0.0.1:{port}"],
        env=sandbox.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    try:
        url = None
        for line in process.stdout:
            found = re.search(rf"http://127\.0\.0\.1:{port}/\S*", line)
            if found:
                url = found[0].rstrip(".,;")
                break
        assert url, "the proxy says where it serves"
        assert re.search(r"/[0-9a-f]{16}/simple/$", url), "a URL that no other index ever has"
        venv = sandbox.venv()
        sandbox.plain_pip(venv, url, "by-proxy").ok()
        assert venv.installed() == {"by-proxy": "1.0"}
    finally:
        process.terminate()
        process.wait(20)


def test_silence_on_a_pipe(index: Index, sandbox: Sandbox) -> None:
    """Progress is for terminals."""
    index.publish(wheel("quiet", "1.0", payload=5 * 1024 * 1024))
    sandbox.trust(index)
    done = sandbox.install("pip", sandbox.venv(), "--quiet", "quiet").ok()
    assert "\r" not in done.err and "\x1b" not in done.err
    assert len(done.err.strip().splitlines()) <= 5, "a short summary"


def test_the_catalogue_holds_no_token(first_run: Index) -> None:
    token = (first_run.data / "token").read_text().strip()
    with open_database(first_run.database) as database:
        dump = "\n".join(database.iterdump())
    assert token not in dump
    assert hashlib.sha256(token.encode()).hexdigest() in dump
