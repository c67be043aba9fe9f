"""A byte changed in the stored tree: the install fails and says which file.

The tree is changed in place under the running index, as somebody with access to the disk
or to a mirror would do it, and put back after each test.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.distributions import Distribution, sdist, wheel
from harness.index import Index
from harness.sandbox import Sandbox

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])

SMALL = wheel("small-wheel", "1.0", says="good")
LARGE = wheel("large-wheel", "1.0", says="good", payload=6 * 1024 * 1024)
SOURCE = sdist("source-only", "1.0", says="good")
OLD, NEW = wheel("two-releases", "1.0", says="old"), wheel("two-releases", "2.0", says="new")
ALL = (SMALL, LARGE, SOURCE, OLD, NEW)


@pytest.fixture(scope="module")
def stored(shared_index: Index) -> Index:
    shared_index.publish(*ALL)
    return shared_index


@dataclass
class Tampering:
    """Writes over stored files in place, so that every hard link to them changes too."""

    index: Index
    before: dict[Path, bytes] = field(default_factory=dict)

    @property
    def tree(self) -> Path:
        return self.index.tree

    def write(self, path: Path, content: bytes) -> None:
        self.before.setdefault(path, path.read_bytes())
        _write_in_place(path, content)

    def flip(self, path: Path, at: float = 0.5) -> str:
        """Changes one byte of `path`, a share `at` of the way in; gives its name."""
        content = bytearray(path.read_bytes())
        content[int(len(content) * at)] ^= 1
        self.write(path, bytes(content))
        return path.name

    def undo(self) -> None:
        for path, content in self.before.items():
            _write_in_place(path, content)

    def metadata(self, role: str) -> Path:
        """The newest version of a role's metadata."""
        found = [p for p in (self.tree / "metadata").glob(f"*.{role}.json") if p.name.split(".")[0].isdigit()]
        return max(found, key=lambda path: int(path.name.split(".")[0]))

    def bin_of(self, family: str, target: str) -> Path:
        """The newest metadata of the bin that lists `target`."""
        newest: dict[str, Path] = {}
        for path in (self.tree / "metadata").glob(f"*.{family}-*.json"):
            version, role = path.name.removesuffix(".json").split(".", 1)
            if role not in newest or int(version) > int(newest[role].name.split(".")[0]):
                newest[role] = path
        for path in newest.values():
            if target in json.loads(path.read_bytes())["signed"]["targets"]:
                return path
        raise AssertionError(f"no {family} bin lists {target}")

    def stored_file(self, dist: Distribution, suffix: str = "") -> Path:
        """The object of a file, of its core metadata (`.metadata`) or of its chunk list (`.chunks`)."""
        folder = self.tree / "targets" / "packages" / dist.project
        if not suffix:
            return folder / f"{dist.sha256}.{dist.filename}"
        found = list(folder.glob(f"*.{dist.filename}{suffix}"))
        assert len(found) == 1, found
        return found[0]


def _write_in_place(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode
    os.chmod(path, mode | 0o200)
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()
    os.chmod(path, mode)


@pytest.fixture
def tampering(stored: Index) -> Iterator[Tampering]:
    tampering = Tampering(stored)
    yield tampering
    tampering.undo()


def small_wheel(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.stored_file(SMALL))
    return SMALL, [SMALL.filename]


def small_wheel_shorter(t: Tampering) -> tuple[Distribution, list[str]]:
    t.write(t.stored_file(SMALL), SMALL.content[:-1])
    return SMALL, [SMALL.filename]


def small_wheel_longer(t: Tampering) -> tuple[Distribution, list[str]]:
    t.write(t.stored_file(SMALL), SMALL.content + b"\0")
    return SMALL, [SMALL.filename]


def large_wheel_at_its_start(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.stored_file(LARGE), at=0.01)
    return LARGE, [LARGE.filename]


def large_wheel_near_its_end(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.stored_file(LARGE), at=0.9)
    return LARGE, [LARGE.filename]


def chunk_list(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.stored_file(LARGE, ".chunks"))
    return LARGE, [LARGE.filename]


def source_distribution(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.stored_file(SOURCE))
    return SOURCE, [SOURCE.filename]


def core_metadata(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.stored_file(SMALL, ".metadata"))
    return SMALL, [SMALL.filename]


def page(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.index.page_on_disk(SMALL.project))
    return SMALL, [f"simple/{SMALL.project}/index.json"]


def page_of_a_project_with_two_releases(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.index.page_on_disk(NEW.project))
    return NEW, [f"simple/{NEW.project}/index.json"]


def bin_metadata(t: Tampering) -> tuple[Distribution, list[str]]:
    path = t.bin_of("simple", f"simple/{SMALL.project}/index.json")
    t.flip(path)
    return SMALL, [path.name.split(".")[1]]


def delegation_metadata(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.metadata("simple"))
    return SMALL, ["simple"]


def targets_metadata(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.metadata("targets"))
    return SMALL, ["targets"]


def snapshot_metadata(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.metadata("snapshot"))
    return SMALL, ["snapshot"]


def timestamp_metadata(t: Tampering) -> tuple[Distribution, list[str]]:
    t.flip(t.tree / "metadata" / "timestamp.json")
    return SMALL, ["timestamp"]


def signature_of_the_timestamp(t: Tampering) -> tuple[Distribution, list[str]]:
    path = t.tree / "metadata" / "timestamp.json"
    content = path.read_bytes()
    said = json.loads(content)["signatures"][0]["sig"].encode()
    other = said[:-1] + (b"0" if said[-1:] != b"0" else b"1")
    t.write(path, content.replace(said, other))
    return SMALL, ["timestamp"]


CHANGES: list[Callable[[Tampering], tuple[Distribution, list[str]]]] = [
    small_wheel,
    small_wheel_shorter,
    small_wheel_longer,
    large_wheel_at_its_start,
    large_wheel_near_its_end,
    chunk_list,
    source_distribution,
    core_metadata,
    page,
    page_of_a_project_with_two_releases,
    bin_metadata,
    delegation_metadata,
    targets_metadata,
    snapshot_metadata,
    timestamp_metadata,
    signature_of_the_timestamp,
]


def cached_chain(sandbox: Sandbox) -> list[Path]:
    """What the trust store keeps of the chain that it verified; root and record aside."""
    indexes = Path(sandbox.env["WHEELMARK_HOME"]) / "indexes"
    found = [p for role in ("timestamp", "snapshot", "targets") for p in indexes.glob(f"*/{role}.json")]
    assert len(found) == 3, sorted(indexes.rglob("*"))
    return found + sorted(indexes.glob("*/delegated/*/*.json"))


@BOTH
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_install_fails_and_names_the_file(tampering: Tampering, sandbox: Sandbox, tool: str, change) -> None:
    sandbox.trust(tampering.index)
    # What it keeps of the chain from then needs no second look; here it has to look.
    for path in cached_chain(sandbox):
        path.unlink()
    dist, names = change(tampering)
    venv, report = sandbox.venv(), sandbox.folder / "report.json"

    done = sandbox.install(tool, venv, dist.name, options=("--report", report)).failed()
    assert venv.installed() == {}, "nothing of it is installed"
    for name in names:
        assert name in done.text, f"{name} is not named: {done}"
    said = json.loads(report.read_text())
    assert said["refused"], "the report holds the refusal"
    assert dist.filename not in [f["file"] for f in said["files"]]

    tampering.undo()
    sandbox.install(tool, venv, dist.name).ok()
    assert dist.project in venv.installed(), "once it is mended, the same client installs"


@pytest.mark.parametrize("change", [targets_metadata, snapshot_metadata, timestamp_metadata], ids=lambda c: c.__name__)
def test_trust_does_not_begin_on_changed_metadata(tampering: Tampering, sandbox: Sandbox, change) -> None:
    _, names = change(tampering)
    index = tampering.index
    done = sandbox.wheelmark("trust", "add", index.index_url, "--root", index.root_file).failed()
    assert names[0] in done.err
    assert index.index_url not in sandbox.wheelmark("trust", "list").out


@BOTH
def test_no_older_release_is_taken_instead(tampering: Tampering, sandbox: Sandbox, tool: str) -> None:
    """A bad newest file must not make the installer content with the one before it."""
    sandbox.trust(tampering.index)
    tampering.flip(tampering.stored_file(NEW))
    venv = sandbox.venv()
    done = sandbox.install(tool, venv, "two-releases").failed()
    assert NEW.filename in done.text
    assert venv.installed() == {}


@BOTH
def test_a_client_that_installed_before_notices(tampering: Tampering, sandbox: Sandbox, tool: str) -> None:
    """Its cached chain is still good; only the file is not."""
    sandbox.trust(tampering.index)
    sandbox.install(tool, sandbox.venv(), SMALL.name).ok()
    tampering.flip(tampering.stored_file(SMALL))
    fresh = {"PIP_CACHE_DIR": str(sandbox.folder / "p2"), "UV_CACHE_DIR": str(sandbox.folder / "u2")}
    venv = sandbox.venv()
    assert SMALL.filename in sandbox.install(tool, venv, SMALL.name, env=fresh).failed().text
    assert venv.installed() == {}


@BOTH
def test_strict_notices_a_file_that_its_own_target_does_not_list(
    tampering: Tampering, sandbox: Sandbox, tool: str
) -> None:
    """The page's chain is untouched here; only `--strict` reads the file's own bin."""
    sandbox.trust(tampering.index)
    path = tampering.bin_of("packages", f"packages/{SMALL.project}/{SMALL.filename}")
    tampering.flip(path)
    sandbox.install(tool, sandbox.venv(), SMALL.name).ok()
    fresh = {"UV_NO_CACHE": "1"}
    done = sandbox.install(tool, sandbox.venv(), SMALL.name, options=("--strict",), env=fresh).failed()
    assert path.name.split(".")[1] in done.text


@BOTH
def test_damage_in_the_clients_own_cache_heals(stored: Index, sandbox: Sandbox, tool: str) -> None:
    """It is verified when it is read, and fetched again where it is bad."""
    sandbox.trust(stored)
    sandbox.install(tool, sandbox.venv(), SMALL.name).ok()
    for path in cached_chain(sandbox):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    venv = sandbox.venv()
    sandbox.install(tool, venv, SMALL.name).ok()
    assert venv.says("small_wheel") == "good"


def evil_twin(t: Tampering, dist: Distribution, twin: Distribution) -> None:
    """Replaces a stored file, and its digest in every copy of its page that plain tools read."""
    assert len(twin.content) == len(dist.content), "a twin has the same size"
    t.write(t.stored_file(dist), twin.content)
    plain = t.tree / "packages" / dist.project / dist.filename
    assert plain.read_bytes() == twin.content, "the plain name is another name of the same file"
    simple = t.tree / "simple" / dist.project
    signed = t.index.page_on_disk(dist.project)
    for path in (signed, simple / "index.json", simple / "index.html"):
        content = path.read_bytes()
        assert dist.sha256.encode() in content
        t.write(path, content.replace(dist.sha256.encode(), twin.sha256.encode()))


@BOTH
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_page_and_wheel_together(tampering: Tampering, sandbox: Sandbox, tool: str, restarted: bool) -> None:
    """Without wheelmark the change installs in silence; with it, it does not install."""
    index = tampering.index
    sandbox.trust(index)
    evil_twin(tampering, SMALL, wheel(SMALL.name, SMALL.version, says="evil"))
    if restarted:
        index.stop()
        index.start()

    plain = sandbox.plain_pip if tool == "pip" else sandbox.plain_uv
    venv = sandbox.venv()
    plain(venv, index.index_url, SMALL.name, env={"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}).ok()
    assert venv.says("small_wheel") == "evil", "the plain tool installs it without a word"

    venv = sandbox.venv()
    done = sandbox.install_short(tool, venv, SMALL.name).failed()
    assert f"simple/{SMALL.project}/index.json" in done.text
    assert venv.installed() == {}


@BOTH
def test_the_wheel_alone_behind_plain_tools(tampering: Tampering, sandbox: Sandbox, tool: str) -> None:
    """What plain tools do notice: a wheel that is not its page's. (So the page must be signed.)"""
    tampering.flip(tampering.stored_file(SMALL))
    plain = sandbox.plain_pip if tool == "pip" else sandbox.plain_uv
    plain(sandbox.venv(), tampering.index.index_url, SMALL.name, env={"UV_NO_CACHE": "1"}).failed()


def test_a_stale_state_put_back_is_refused(index: Index, sandbox: Sandbox) -> None:
    """Rollback: yesterday's timestamp, correctly signed, shown to a client that saw today's."""
    index.publish(OLD)
    timestamp = index.tree / "metadata" / "timestamp.json"
    yesterday = timestamp.read_bytes()
    index.publish(NEW)
    sandbox.trust(index)
    sandbox.install("pip", sandbox.venv(), "two-releases").ok()
    today = timestamp.read_bytes()
    _write_in_place(timestamp, yesterday)
    venv = sandbox.venv()
    done = sandbox.install("pip", venv, "two-releases").failed()
    assert "timestamp" in done.text
    assert venv.installed() == {}
    _write_in_place(timestamp, today)
    sandbox.install("pip", venv, "two-releases").ok()
    assert venv.installed() == {"two-releases": "2.0"}
