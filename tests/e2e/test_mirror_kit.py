"""Every other lie that a mirror can tell, mounted one by one.

Each ends in one of two ways: a refusal that is told, or an installation of what was signed.
Never a file that was not verified, never a hang, never a crash, never a storm of requests,
never more memory than a small answer needs. And when it is over the same client installs.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness import history as h
from harness.forge import LONG_AGO, Forge
from harness.history import History
from harness.hostile import (
    Downgrade,
    Edit,
    Equivocate,
    Exchange,
    PageOf,
    Rename,
    Replay,
    Says,
    StripSignatures,
    SwapBins,
    WithoutRole,
    bin_of,
    flip,
    newest,
    page_target,
)
from harness.mirror import FILES, PAGES, TIMESTAMP, Mirror, Part, Request, Tree
from harness.person import Person
from harness.sandbox import Sandbox
from harness.service import Service
from harness.wire import (
    Bomb,
    Endless,
    Garbage,
    HeadWithoutEnd,
    Header,
    Length,
    Redirect,
    Reset,
    Truncate,
)

MIB = 1 << 20
SNAPSHOT = ("metadata/*.snapshot.json",)
A_BIN = ("metadata/*.simple-*.json",)
A_PAGE = ("*simple/victim/*",)
A_WHEEL = ("*packages/victim/*.whl",)
CORE_METADATA = ("*packages/victim/*.metadata",)
EACH = {"timestamp": TIMESTAMP, "snapshot": SNAPSHOT, "bin": A_BIN, "page": A_PAGE, "wheel": A_WHEEL, "core-metadata": CORE_METADATA}
# What a refusal names, by what was attacked.
NAMES = {
    "timestamp": "timestamp.json",
    "snapshot": "snapshot.json",
    "bin": "simple-",
    "page": "simple/victim/index.json",
    "wheel": h.NEW.filename,
    "core-metadata": f"{h.NEW.filename}.metadata",
}
# No installer makes us ask for one thing more often than this because of a refusal: for the
# page, for what its stand-in lists, and each once more.
ASKED_AT_MOST = 4
# How often a URL that redirects to itself is requested for one asking: the first time, and for
# each redirect that the client follows.
IN_A_CIRCLE = 6


@pytest.fixture(params=["pip", "uv"])
def person(request: pytest.FixtureRequest, sandbox: Sandbox) -> Person:
    return Person(sandbox, request.param)


@pytest.fixture
def uv(sandbox: Sandbox) -> Person:
    """For attacks that do not depend on who asks: the quicker one."""
    return Person(sandbox, "uv")


@pytest.fixture
def moved_on(history: History) -> Iterator[Mirror]:
    """A mirror of today's index for a client that has seen yesterday's: all is to be fetched."""
    with Mirror(history.today, Replay(history.yesterday)) as mirror:
        yield mirror


def attacked(
    person: Person,
    mirror: Mirror,
    root: Path,
    part: Part,
    tells: tuple[str, ...],
    asked_at_most: int = ASKED_AT_MOST,
) -> None:
    """Refused, told, without a storm; and afterwards it installs."""
    person.trust(mirror, root).ok()
    mirror.mount(part)
    mirror.asked.clear()
    person.is_refused("victim", *tells, timeout=60)
    calm(mirror, asked_at_most)
    mirror.end()
    person.installs("victim", "2.0")


def calm(mirror: Mirror, asked_at_most: int = ASKED_AT_MOST) -> None:
    """Nothing was asked for again and again."""
    often, count = Counter(asked.path for asked in mirror.asked).most_common(1)[0]
    print(f"{count} requests for {often}")
    assert count <= asked_at_most, f"{count} requests for {often}"


# What is said.


@pytest.mark.parametrize("what", ["timestamp", "bin", "page", "wheel"])
def test_one_bit(history: History, moved_on: Mirror, person: Person, what: str) -> None:
    attacked(person, moved_on, history.root, Edit(EACH[what], flip), tells=(NAMES[what],))


@pytest.mark.parametrize("what", ["timestamp", "snapshot", "bin"])
def test_no_signatures(history: History, moved_on: Mirror, uv: Person, what: str) -> None:
    """Of the snapshot it is already the length that the timestamp tells otherwise."""
    attacked(uv, moved_on, history.root, StripSignatures(where=EACH[what]), tells=(NAMES[what],))


def test_half_of_the_signatures(history: History, uv: Person) -> None:
    """Of the role that delegates all others it is already the digest that the snapshot tells otherwise."""
    with Mirror(history.today, StripSignatures(keep=1, where=("metadata/*.targets.json",))) as mirror:
        done = uv.trust(mirror, history.root).failed()
        assert "targets.json" in done.err and "it is not the file that was announced" in done.err, done
        mirror.end()
        uv.trust(mirror, history.root).ok()
        uv.installs("victim", "2.0")


def test_half_of_the_signatures_signed_so(uv: Person, tmp_path: Path) -> None:
    """Two keys have to sign it, whatever digest the snapshot lists. Trust does not begin on one."""
    forge = Forge(h.NEW)
    both = forge.signers["targets"]
    forge.signers["targets"] = both[:1]
    with Mirror(forge.publish()) as mirror:
        root = forge.root_file(tmp_path)
        done = uv.trust(mirror, root).failed()
        assert "targets.json" in done.err and "signed by 1 of the 2 keys" in done.err, done
        forge.signers["targets"] = both
        mirror.mount(Replay(forge.release()))
        uv.trust(mirror, root).ok()
        uv.installs("victim", "2.0")


def test_as_though_it_had_never_been_signed(history: History, moved_on: Mirror, person: Person) -> None:
    """Whether an index is signed is the client's knowledge, not the mirror's answer."""
    person.trust(moved_on, history.root).ok()
    moved_on.mount(Downgrade())
    done, venv = person.plain(moved_on, "victim")
    assert done.ok() and venv.installed() == {"victim": "2.0"}, "plain: unsigned is as good"
    person.is_refused("victim", "timestamp.json")
    moved_on.end()
    person.installs("victim", "2.0")


def test_a_role_removed_from_the_snapshot(history: History, moved_on: Mirror, uv: Person) -> None:
    role = bin_of(history.today, page_target("victim"))
    attacked(uv, moved_on, history.root, WithoutRole(role), tells=("snapshot.json",))


def test_a_role_removed_from_the_snapshot_and_signed_so(uv: Person, tmp_path: Path) -> None:
    """A fresh client is shown a snapshot that has never listed the bin. That is no "not here"."""
    forge = Forge(h.NEW)
    role = forge.bin_of(page_target("victim"))
    forge.unlisted.add(role)
    with Mirror(forge.publish()) as mirror:
        uv.trust(mirror, forge.root_file(tmp_path)).ok()
        uv.is_refused("victim", f"{role}.json")


@pytest.mark.parametrize("project", ["victim", "bystander"])
def test_bins_swapped(history: History, uv: Person, project: str) -> None:
    """Both are signed by the same key, and can have the same version."""
    forge = Forge(h.NEW, h.BYSTANDER)
    tree = forge.publish()
    with Mirror(tree, SwapBins(tree, "simple-0", "simple-1")) as mirror:
        uv.trust(mirror, forge.root_file(uv.sandbox.folder)).ok()
        uv.is_refused(project, forge.bin_of(page_target(project)), "it is the metadata of")
        mirror.end()
        uv.verified(project)[0].ok()


def test_the_page_of_another_project(history: History, moved_on: Mirror, person: Person) -> None:
    attacked(person, moved_on, history.root, PageOf("bystander", "victim"), tells=("simple/victim/index.json",))


def test_the_page_of_another_project_signed_so(uv: Person, tmp_path: Path) -> None:
    """Whoever holds the online key can list any bytes as the page; they are not believed."""
    forge = Forge(h.BYSTANDER)
    tree = forge.publish()
    other = forge.role(forge.bin_of(page_target("bystander"))).targets[page_target("bystander")]
    forge.list_instead("victim", other)
    tree = forge.publish()
    digest = other.hashes["sha256"]
    tree[f"targets/simple/victim/{digest}.index.json"] = tree[f"targets/simple/bystander/{digest}.index.json"]
    with Mirror(tree) as mirror:
        uv.trust(mirror, forge.root_file(tmp_path)).ok()
        uv.is_refused("victim", "it is the page of bystander")


def test_a_file_under_another_name(history: History, moved_on: Mirror, person: Person) -> None:
    attacked(
        person, moved_on, history.root, Rename(h.OLD, "victim-9.0-py3-none-any.whl"), tells=("simple/victim/index.json",)
    )


def test_an_older_file_under_the_newer_name(history: History, moved_on: Mirror, person: Person) -> None:
    """The page stays as it is; the bytes are those of another signed file."""
    part = Exchange(h.NEW, h.OLD)
    part.where = A_WHEEL
    attacked(person, moved_on, history.root, part, tells=(h.NEW.filename, "not the signed one"))


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "claimed", "recently-claimed", "simple", "bin"])
def test_expired_roles(uv: Person, tmp_path: Path, role: str) -> None:
    """Correctly signed, and too old: each role on the way to a page has to be valid."""
    forge = Forge(h.NEW)
    name = forge.bin_of(page_target("victim")) if role == "bin" else role
    valid = forge.role(name).expires
    forge.publish()
    with Mirror(forge.publish()) as mirror:
        uv.trust(mirror, forge.root_file(tmp_path)).ok()
        forge.role(name).expires = LONG_AGO
        if name in ("targets", "claimed", "simple"):
            forge.role(name).version += 1
        mirror.mount(Replay(forge.release()))
        uv.is_refused("victim", name, "expired")
        forge.role(name).expires = valid
        if name in ("targets", "claimed", "simple"):
            forge.role(name).version += 1
        mirror.mount(Replay(forge.release()))
        uv.installs("victim", "2.0")


def test_an_expired_root(uv: Person, tmp_path: Path) -> None:
    forge = Forge(h.NEW)
    root = forge.role("root")
    forge.publish()
    root.version, root.expires = 2, LONG_AGO
    with Mirror(forge.publish()) as mirror:
        done = uv.trust(mirror, forge.root_file(tmp_path)).failed()
        assert "root" in done.err and "expired" in done.err, f"{done}"
        root.version, root.expires = 3, datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
        mirror.mount(Replay(forge.release()))
        uv.trust(mirror, forge.root_file(tmp_path)).ok()
        uv.installs("victim", "2.0")


def test_two_clients_are_shown_two_states(history: History, binary: Path, tmp_path: Path) -> None:
    """Both are signed and whole, so neither client can tell, for the day that the older one lives.

    What holds: who has seen the newer one does not go back.
    """
    to_one = Equivocate(history.yesterday, lambda request: request.host == "127.0.0.2")
    one, other = (Person(Sandbox(tmp_path / name, binary), "uv") for name in ("one", "other"))
    with Mirror(history.today, to_one) as mirror:
        one.sandbox.wheelmark("trust", "add", mirror.url("simple/", "127.0.0.2"), "--root", history.root).ok()
        other.trust(mirror, history.root).ok()
        one.installs("victim", "1.0")
        other.installs("victim", "2.0")
        mirror.end()
        one.installs("victim", "2.0")
        mirror.mount(to_one)
        one.is_refused("victim", "timestamp.json", "goes back from version")


def test_one_client_is_shown_two_states_by_turns(history: History, moved_on: Mirror, uv: Person) -> None:
    """Every second request is answered from the older tree."""
    turn = iter(range(1_000_000))
    uv.trust(moved_on, history.root).ok()
    moved_on.mount(Equivocate(history.yesterday, lambda _request: next(turn) % 2 == 0))
    for _ in range(4):
        done, venv = uv.verified("app", timeout=60)
        assert "panicked" not in done.text
        assert venv.installed() in ({}, {"app": "1.0"}, {"app": "2.0", "lib": "2.0"}), f"a state that never was: {done}"
        assert (done.code == 0) == bool(venv.installed()), f"{done}"
    moved_on.end()
    uv.installs("victim", "2.0")


# How it is said.


@pytest.mark.parametrize("what", EACH)
@pytest.mark.parametrize("honest", [False, True], ids=["length-of-the-whole", "honest-length"])
def test_truncated(history: History, moved_on: Mirror, uv: Person, what: str, honest: bool) -> None:
    attacked(uv, moved_on, history.root, Truncate(0.5, EACH[what], honest), tells=(NAMES[what],))


STATUSES = [("timestamp", 403), ("timestamp", 503), ("bin", 404), ("page", 410), ("page", 429), ("wheel", 404), ("wheel", 500), ("core-metadata", 204)]


@pytest.mark.parametrize(("what", "status"), STATUSES)
def test_a_status_instead(history: History, moved_on: Mirror, uv: Person, what: str, status: int) -> None:
    attacked(uv, moved_on, history.root, Says(EACH[what], status), tells=(NAMES[what],))


@pytest.mark.parametrize("status", [404, 500])
def test_no_storm_of_requests(history: History, moved_on: Mirror, person: Person, status: int) -> None:
    """pip asks again after 5xx, with pauses; it does not get to see one."""
    attacked(person, moved_on, history.root, Says((*A_PAGE, *A_WHEEL), status), tells=("simple/victim/index.json",))


LIES: dict[str, Callable[[tuple[str, ...]], Part]] = {
    "one byte more": lambda where: Length(where, 1),
    "one byte less": lambda where: Length(where, -1),
    "an exabyte": lambda where: Length(where, 1 << 60),
    "more than a number holds": lambda where: Header(where, ("Content-Length", "9" * 30)),
    "a negative length": lambda where: Header(where, ("Content-Length", "-1")),
    "two lengths": lambda where: Header(where, ("Content-Length", "5"), ("Content-Length", "6")),
    "length and chunks": lambda where: Header(where, ("Content-Length", "5"), ("Transfer-Encoding", "chunked")),
    "chunks that are none": lambda where: Header(where, ("Transfer-Encoding", "chunked")),
    "gzip that is none": lambda where: Header(where, ("Content-Encoding", "gzip")),
    "zstd that is none": lambda where: Header(where, ("Content-Encoding", "zstd")),
    "head without end": lambda where: HeadWithoutEnd(where),
    "not HTTP": lambda where: Garbage(where, b"\x16\x03\x01\x02\x00" * 100),
    "a closed connection": lambda where: Garbage(where, b""),
}


@pytest.mark.parametrize("what", ["timestamp", "page", "wheel"])
@pytest.mark.parametrize("lie", LIES)
def test_headers_that_lie(history: History, moved_on: Mirror, uv: Person, what: str, lie: str) -> None:
    """Refused, or, where the bytes are all there and the lie concerns only what is said, installed."""
    uv.trust(moved_on, history.root).ok()
    moved_on.mount(LIES[lie](EACH[what]))
    moved_on.asked.clear()
    done, venv = uv.verified("victim", timeout=60)
    assert "panicked" not in done.text
    if done.code == 0:
        assert venv.says("victim") == "new", "what was signed, whatever was said about it"
    else:
        assert venv.installed() == {} and NAMES[what] in done.text, f"{done}"
    calm(moved_on)
    moved_on.end()
    uv.installs("victim", "2.0")


@pytest.mark.parametrize("what", EACH)
def test_redirected_elsewhere(history: History, moved_on: Mirror, uv: Person, what: str) -> None:
    """Even to a place that has the very bytes: it is not asked."""
    with Mirror(history.today) as elsewhere:
        to = elsewhere.url("{path}")
        attacked(uv, moved_on, history.root, Redirect(EACH[what], to), tells=(NAMES[what], "redirect"))
        assert elsewhere.asked == []


@pytest.mark.parametrize("what", ["timestamp", "page", "wheel"])
def test_redirected_in_a_circle(history: History, moved_on: Mirror, uv: Person, what: str) -> None:
    part = Redirect(EACH[what], "/{path}")
    at_most = ASKED_AT_MOST * IN_A_CIRCLE
    attacked(uv, moved_on, history.root, part, tells=(NAMES[what], "redirect"), asked_at_most=at_most)


def test_a_part_of_a_large_file_that_was_not_asked_for(history: History, sandbox: Sandbox) -> None:
    """Ranges of the mirror that lie about where they begin, or about being ranges."""
    lies = [
        Header(FILES, ("Content-Range", "bytes 0-1/2")),
        Header(FILES, ("Content-Range", "bytes 99999999-100000000/6000000")),
        Header(FILES, ("Content-Range", None)),
    ]
    with Mirror(history.today) as mirror:
        Person(sandbox, "uv").trust(mirror, history.root).ok()
        with Service(sandbox) as service:
            for lie in lies:
                mirror.mount(lie)
                said = service.get(f"packages/large/{h.LARGE.filename}", range="bytes=3000000-3000099")
                assert said.status in (409, 424) or said.body == h.LARGE.content[3_000_000:3_000_100], f"{said}"
                mirror.end()
                said = service.get(f"packages/large/{h.LARGE.filename}", range="bytes=3000000-3000099")
                assert said.status == 206 and said.body == h.LARGE.content[3_000_000:3_000_100], f"{said}"


A_LARGE_WHEEL = ("*packages/large/*.whl",)
ITS_CHUNK_LIST = ("*packages/large/*.chunks",)
LARGE_LIES: dict[str, Part] = {
    "a byte in the fifth chunk": Edit(A_LARGE_WHEEL, lambda content: content[:5_000_000] + b"lie" + content[5_000_003:]),
    "the last byte": Edit(A_LARGE_WHEEL, lambda content: content[:-1] + b"\x01"),
    "cut short": Truncate(0.6, A_LARGE_WHEEL),
    "cut short, with an honest length": Truncate(0.6, A_LARGE_WHEEL, honest=True),
    "another chunk list": Edit(ITS_CHUNK_LIST, flip),
    "a chunk list without end": Endless(ITS_CHUNK_LIST),
    "no chunk list": Says(ITS_CHUNK_LIST, 404),
}


@pytest.mark.parametrize("lie", LARGE_LIES)
def test_a_large_file(history: History, uv: Person, lie: str) -> None:
    """It passes chunk by chunk; whatever is wrong with it, it is never completed."""
    with Mirror(history.today) as mirror:
        uv.trust(mirror, history.root).ok()
        mirror.mount(LARGE_LIES[lie])
        uv.is_refused("large", h.LARGE.filename)
        calm(mirror)
        mirror.end()
        uv.installs("large", "1.0")


def test_a_large_file_that_goes_on_after_its_end(history: History, person: Person) -> None:
    """Its length is signed; what comes after it is not read."""
    with Mirror(history.today) as mirror:
        person.trust(mirror, history.root).ok()
        mirror.mount(Endless(A_LARGE_WHEEL))
        person.installs("large", "1.0")
        assert mirror.taken < 32 * MIB


def test_what_came_at_the_second_attempt_was_not_refused(history: History, person: Person) -> None:
    """The connection breaks once in the middle; the installer asks again, and all is well."""
    with Mirror(history.today) as mirror:
        person.trust(mirror, history.root).ok()
        mirror.mount(Reset(3_000_000, A_LARGE_WHEEL, times=1))
        done = person.installs("large", "1.0")
        assert mirror.count(*A_LARGE_WHEEL) == 2, "it did break"
        assert "REFUSED" not in done.err, f"{done}"


@pytest.mark.parametrize(
    "lie",
    [
        Says(("metadata/2.root.json",), 200, b"{}"),
        Says(("metadata/2.root.json",), 200, b"\0" * 100),
        Says(("metadata/2.root.json",), 500),
        Endless(("metadata/2.root.json",)),
    ],
    ids=["no metadata", "not JSON", "an error", "without end"],
)
def test_a_next_root_that_is_none(history: History, moved_on: Mirror, uv: Person, lie: Part) -> None:
    uv.trust(moved_on, history.root).ok()
    first = Says(("metadata/2.root.json",), 200, history.today["metadata/1.root.json"])
    moved_on.mount(lie, first)
    uv.is_refused("victim", "2.root.json")
    moved_on.mount(first)
    uv.is_refused("victim", "2.root.json", "it has version 1, not 2")
    moved_on.end()
    uv.installs("victim", "2.0")


# Bombs.


@pytest.mark.parametrize("what", ["timestamp", "bin", "page", "wheel"])
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_bombs_are_refused(history: History, moved_on: Mirror, uv: Person, coding: str, what: str) -> None:
    attacked(uv, moved_on, history.root, Bomb(EACH[what], coding), tells=(NAMES[what],))
    assert moved_on.taken < 64 * MIB


def test_bombs_take_no_memory(history: History, sandbox: Sandbox) -> None:
    """Four GiB in a few kilobytes, in everything that is fetched, one after the other."""
    with Mirror(history.today, Replay(history.yesterday)) as mirror:
        Person(sandbox, "uv").trust(mirror, history.root).ok()
        mirror.mount()
        with Service(sandbox) as service:
            projects = [h.NEW, h.BYSTANDER, h.TUNED, h.BULKY, h.LARGE]
            for coding in ("gzip", "zstd"):
                for where in (A_BIN, PAGES, FILES):
                    mirror.mount(Bomb(where, coding))
                    for dist in projects:
                        service.get(f"simple/{dist.project}/")
                        service.get(f"packages/{dist.project}/{dist.filename}.metadata")
                        said = service.get(f"packages/{dist.project}/{dist.filename}")
                        assert said.status in (200, 409, 424), f"{said}"
                        assert said.status != 200 or said.body == dist.content
            # Of a build for tests, whose code alone takes more than a release's: a bomb would take gigabytes.
            assert service.peak_memory < 128 * MIB, f"{service.peak_memory / MIB:.0f} MiB"


# Resets.


def resets(mirror: Mirror, service: Service, path: str, at: str, whole: bytes) -> None:
    """Resets the answer to `at` at each of its bytes, and asks for `path` each time."""
    mirror.end()
    length = sum(len(piece) for piece in mirror.answer(Request("GET", at)).pieces(False))
    where = (at,)
    served = 0
    for position in range(length):
        mirror.mount(Reset(position, where))
        said = service.get(path)
        if said.status == 200 and b"refused.by.wheelmark" not in said.body:
            assert said.body == whole, f"reset at byte {position} of {length}: {said}"
            served += 1
        else:
            assert said.status in (200, 409, 424), f"reset at byte {position} of {length}: {said}"
    mirror.end()
    said = service.get(path)
    assert said.status == 200 and said.body == whole, f"after the attack: {said}"
    assert served <= 1, f"{served} of {length} came through although the connection was reset"


@pytest.mark.parametrize("what", ["page", "wheel", "core-metadata"])
def test_a_reset_at_every_byte(history: History, sandbox: Sandbox, what: str) -> None:
    """Of the answer's head as of its body; the same client goes on when the line is good again."""
    tree = history.today
    with Mirror(tree) as mirror:
        Person(sandbox, "uv").trust(mirror, history.root).ok()
        with Service(sandbox) as service:
            if what == "page":
                path = "simple/victim/"
                at = stored(tree, "targets/simple/victim/", signed_page(tree, "victim"))
                with Service(sandbox) as second:
                    whole = second.get(path).body
                # A page that was verified is kept, and not asked for again.
                for kept in Path(sandbox.env["WHEELMARK_HOME"]).glob("indexes/*/pages"):
                    shutil.rmtree(kept)
            else:
                suffix = ".metadata" if what == "core-metadata" else ""
                path = f"packages/victim/{h.NEW.filename}{suffix}"
                whole = h.NEW.metadata if suffix else h.NEW.content
                at = stored(tree, "targets/packages/victim/", f"{h.NEW.filename}{suffix}")
            resets(mirror, service, path, at, whole)


def signed_page(tree: Tree, project: str) -> str:
    """The name of the page that the newest bin lists."""
    role = newest(tree, bin_of(tree, page_target(project)))
    listed = json.loads(tree[role])["signed"]["targets"][page_target(project)]
    return f"{listed['hashes']['sha256']}.index.json"


def stored(tree: Tree, folder: str, ending: str) -> str:
    (found,) = (path for path in tree if path.startswith(folder) and path.endswith(ending))
    return found
