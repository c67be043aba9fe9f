"""The ten attacks of PEP 458, Appendix A: first against the plain installer, then against ours.

Each test shows the attack doing its work on an unmodified pip or uv that is pointed at the
hostile mirror. Then the same mirror is read through `wheelmark exec`: nothing is installed,
the message names what failed, and when the attack is over the same client installs.
`docs/threat-model.md` has the table.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import history as h
from harness.distributions import wheel
from harness.forge import Forge, new_key
from harness.history import History
from harness.hostile import (
    AddDependency,
    Exchange,
    Freeze,
    Mixed,
    Replay,
    Says,
    Substitute,
    bin_of,
    page_target,
)
from harness.mirror import EVERYTHING, FILES, METADATA, PAGES, TIMESTAMP, Mirror, Part
from harness.person import Person
from harness.sandbox import Sandbox
from harness.service import Service
from harness.wire import Endless, EndlessWheel, Garbage, InterimWithoutEnd, Slow

MIB = 1 << 20
FakeClock = Callable[[str], dict[str, str]]


@pytest.fixture(params=["pip", "uv"])
def person(request: pytest.FixtureRequest, sandbox: Sandbox) -> Person:
    return Person(sandbox, request.param)


# A1: arbitrary software.


def test_a1_arbitrary_software(history: History, person: Person) -> None:
    """The attacker's own wheel, and a page that tells its digests."""
    with Mirror(history.today) as mirror:
        person.trust(mirror, history.root).ok()
        mirror.mount(Substitute(h.NEW, h.EVIL))

        done, venv = person.plain(mirror, "victim")
        assert done.ok() and venv.says("victim") == "evil", "plain: the attacker's code, without a word"

        person.is_refused("victim", "simple/victim/index.json", "not the signed one")
        mirror.end()
        person.installs("victim", "2.0")


def test_a1_with_the_page_left_alone(history: History, person: Person) -> None:
    """An index without digests in its pages is all that this takes: then a wheel is enough."""
    with Mirror(history.today) as mirror:
        person.trust(mirror, history.root).ok()
        mirror.mount(Substitute(h.NEW, h.EVIL, pages=False))
        person.is_refused("victim", h.NEW.filename, "not the signed one")
        mirror.end()
        person.installs("victim", "2.0")


# A2: rollback.


def test_a2_rollback(history: History, person: Person) -> None:
    """Yesterday's state, correctly signed, for a client that has seen today's."""
    with Mirror(history.today) as mirror:
        person.trust(mirror, history.root).ok()
        mirror.mount(Replay(history.yesterday))

        done, venv = person.plain(mirror, "victim")
        assert done.ok() and venv.installed() == {"victim": "1.0"}, "plain: the old version, without a word"

        person.is_refused("victim", "timestamp.json", "goes back from version")
        mirror.end()
        person.installs("victim", "2.0")


def test_a2_of_what_the_timestamp_names(history: History, person: Person) -> None:
    """Today's timestamp with yesterday's snapshot, or with one role of yesterday's."""
    page_bin = bin_of(history.today, page_target("victim"))
    with Mirror(history.today, Replay(history.yesterday)) as mirror:
        person.trust(mirror, history.root).ok()
        mirror.mount(Mixed(history.yesterday, ["snapshot"]))
        person.is_refused("victim", "snapshot.json")
        mirror.mount(Mixed(history.yesterday, [page_bin]))
        person.is_refused("victim", page_bin, "it has version")
        mirror.end()
        person.installs("victim", "2.0")


def test_a2_against_a_client_that_begins_now(history: History, person: Person, fake_clock: FakeClock) -> None:
    """What holds: the replayed state is one that the index signed, and it ends within a day."""
    with Mirror(history.today, Replay(history.yesterday)) as mirror:
        person.trust(mirror, history.root).ok()
        person.installs("victim", "1.0")
        person.is_refused("victim", "timestamp.json", "expired", env=fake_clock("+2d"))
        mirror.end()
        person.installs("victim", "2.0")
        mirror.mount(Replay(history.yesterday))
        person.is_refused("victim", "timestamp.json", "goes back from version")


# A3: indefinite freeze.


def test_a3_indefinite_freeze(history: History, person: Person, fake_clock: FakeClock) -> None:
    """The mirror goes on saying what it said once. The index moves on; the client is not told."""
    index = history.index
    with Mirror(history.yesterday, Freeze()) as mirror:
        person.trust(mirror, history.root).ok()
        person.installs("victim", "1.0")
        a_month_on = fake_clock("+30d")

        done, venv = person.plain(mirror, "victim", env=a_month_on)
        assert done.ok() and venv.installed() == {"victim": "1.0"}, "plain: a month later, without a word"

        person.is_refused("victim", "timestamp.json", "expired", env=a_month_on)
    # Within the day that the timestamp lives nobody can tell; the state is at least whole.
    with Mirror(index) as mirror:
        person.sandbox.wheelmark("trust", "add", mirror.index_url, "--root", history.root).ok()
        done, venv = person.verified("victim", options=("--index", mirror.index_url))
        assert done.ok() and venv.installed() == {"victim": "2.0"}


# A4: endless data.

METADATA_LIMIT = 5_000_000  # bytes, the largest of `crates/tuf/src/limits.rs` among those below
IN_FLIGHT = 16 * MIB  # what the sockets of a busy machine hold beside what was read


def assert_cut_off(mirror: Mirror, before: int, limit: int) -> None:
    """Each answer was cut off at its largest length, and none was asked for over and over."""
    asked = mirror.asked[before:]
    assert max(one.taken for one in asked) < limit + IN_FLIGHT, "every answer has a largest length"
    assert len(asked) <= 30, [one.path for one in asked]


@pytest.mark.parametrize("told", ["nothing", "chunks", "huge"])
def test_a4_endless_file(history: History, person: Person, told: str) -> None:
    """A wheel of one kilobyte that goes on without an end."""
    with Mirror(history.today) as mirror:
        person.trust(mirror, history.root).ok()
        mirror.mount(EndlessWheel(("*packages/victim/*.whl",), told))

        with person.start_plain(mirror, "victim") as plain:
            assert plain.wait_until(lambda: mirror.taken > 64 * MIB), (
                f"plain: {mirror.taken} bytes of a wheel of {len(h.NEW.content)}: {plain.said}"
            )

        before = len(mirror.asked)
        person.is_refused("victim", h.NEW.filename, "its length is not the signed one")
        assert_cut_off(mirror, before, len(h.NEW.content))
        mirror.end()
        person.installs("victim", "2.0")


@pytest.mark.parametrize(
    ("where", "tells"),
    [
        (TIMESTAMP, "timestamp.json"),
        (("metadata/*.snapshot.json",), "snapshot.json"),
        (("metadata/*.simple-*.json",), "simple-"),
        (PAGES, "simple/victim/index.json"),
        (("*.metadata",), f"{h.NEW.filename}.metadata"),
    ],
    ids=["timestamp", "snapshot", "bin", "page", "core-metadata"],
)
def test_a4_endless_everything_else(history: History, person: Person, where: tuple[str, ...], tells: str) -> None:
    with Mirror(history.today, Replay(history.yesterday)) as mirror:
        person.trust(mirror, history.root).ok()
        mirror.mount(Endless(where))
        if where is PAGES:
            with person.start_plain(mirror, "victim") as plain:
                assert plain.wait_until(lambda: mirror.taken > 64 * MIB), "plain: a page that never ends is read on"
        before = len(mirror.asked)
        person.is_refused("victim", tells)
        assert_cut_off(mirror, before, METADATA_LIMIT)
        mirror.end()
        person.installs("victim", "2.0")


# A5: slow retrieval.

SILENCE = 30  # seconds, as `crates/client/src/remote/patience.rs` has it
FAIR_RATE = 50_000  # bytes a second: slow, and no attack
TRICKLED = {
    "timestamp": (TIMESTAMP, "timestamp.json"),
    "bin": (("metadata/*.simple-*.json",), "simple-"),
    "page": (("*simple/victim/*",), "simple/victim/index.json"),
    "wheel": (("*packages/victim/*.whl",), h.NEW.filename),
}


def test_a5_slow_retrieval(history: History, binary: Path, tmp_path: Path) -> None:
    """A byte a second keeps a plain tool waiting for ever. A slow line is waited for.

    All of it at once, since waiting is what it consists of.
    """

    def someone(tool: str, name: str) -> Person:
        return Person(Sandbox(tmp_path / f"{tool}-{name}", binary), tool)

    def trickled(tool: str, what: str) -> float:
        where, tells = TRICKLED[what]
        person = someone(tool, what)
        with Mirror(history.today, Replay(history.yesterday)) as mirror:
            person.trust(mirror, history.root).ok()
            mirror.mount(Slow(1, where))
            begun = time.monotonic()
            person.is_refused("victim", tells, "was silent")
            took = time.monotonic() - begun
            mirror.end()
            time.sleep(6)
            person.installs("victim", "2.0")
        return took

    def slow_but_fair(tool: str) -> float:
        person = someone(tool, "fair")
        with Mirror(history.today) as mirror:
            person.trust(mirror, history.root).ok()
            mirror.mount(Slow(FAIR_RATE, ("*packages/bulky/*.whl",)))
            begun = time.monotonic()
            person.installs("bulky", "1.0")
            return time.monotonic() - begun

    def many_at_once() -> float:
        """A dozen projects, all waiting for the same role."""
        person = someone("uv", "many")
        with Mirror(history.today) as mirror:
            person.trust(mirror, history.root).ok()
            mirror.mount(InterimWithoutEnd(("metadata/*.simple.json",), pause=1))
            begun = time.monotonic()
            with Service(person.sandbox) as service, ThreadPoolExecutor(12) as asking:
                pages = asking.map(lambda n: service.get(f"simple/p{n}/").body, range(12))
                assert all(b"refused.by.wheelmark" in page for page in pages)
            return time.monotonic() - begun

    def plain(tool: str) -> int:
        """Bytes that it took until we stopped it; it had not given up."""
        person = someone(tool, "plain")
        with Mirror(history.today, Slow(1, TRICKLED["wheel"][0])) as mirror:
            with person.start_plain(mirror, "victim") as running:
                running.wait_until(lambda: False, seconds=SILENCE + 10)
                assert running.is_at_it, f"plain: it gave up: {running.said}"
            return max(asked.taken for asked in mirror.asked if asked.path.endswith(".whl"))

    tools = ("pip", "uv")
    with ThreadPoolExecutor(16) as at_once:
        many = at_once.submit(many_at_once)
        silent = {(t, what): at_once.submit(trickled, t, what) for t in tools for what in TRICKLED}
        fair = {t: at_once.submit(slow_but_fair, t) for t in tools}
        waiting = {t: at_once.submit(plain, t) for t in tools}
    for taken in waiting.values():
        assert taken.result() < len(h.NEW.content) / 2, "it would have gone on for many minutes"
    for case, took in silent.items():
        assert took.result() < 2.5 * SILENCE, f"{case}: silence ends it, and is sat out once"
    assert many.result() < 2.5 * SILENCE, "one of them sits it out for all"
    for took in fair.values():
        assert took.result() > 15, "longer than pip waits by itself, and yet it installed"


# A6: extraneous dependencies.


def test_a6_extraneous_dependencies(history: History, person: Person) -> None:
    """The publisher's code, and a dependency that the publisher did not name.

    uv believes the metadata beside the wheel. pip compares it with the wheel's own, so for
    pip the wheel has to say the same.
    """
    longer = wheel("victim", "2.0", says="new", extra=("Requires-Dist: bystander",))
    attack = Substitute(h.NEW, longer) if person.tool == "pip" else AddDependency(h.NEW, "bystander")
    with Mirror(history.today) as mirror:
        person.trust(mirror, history.root).ok()
        mirror.mount(attack)

        done, venv = person.plain(mirror, "victim")
        assert done.ok() and set(venv.installed()) == {"victim", "bystander"}, "plain: one project more"

        person.is_refused("victim", "simple/victim/index.json", "not the signed one")
        mirror.mount(_only_core_metadata())
        person.is_refused("victim", f"{h.NEW.filename}.metadata", "not the signed one")
        mirror.end()
        person.installs("victim", "2.0")


def _only_core_metadata() -> Part:
    """The page is left as it was signed."""
    part = AddDependency(h.NEW, "bystander")
    part.where = ("*.metadata",)
    return part


# A7: mix and match.


@pytest.mark.parametrize("roles", ["bin", "snapshot"])
def test_a7_mix_and_match(history: History, person: Person, roles: str) -> None:
    """Today's `app` with yesterday's `lib`: each was signed, the two together never."""
    page_bin = bin_of(history.today, page_target("lib"))
    old = [page_bin] if roles == "bin" else ["snapshot"]
    with Mirror(history.today, Replay(history.yesterday)) as mirror:
        person.trust(mirror, history.root).ok()
        mirror.mount(Mixed(history.yesterday, old, ["lib"]))

        done, venv = person.plain(mirror, "app")
        assert done.ok() and venv.installed() == {"app": "2.0", "lib": "1.0"}, "plain: a pair that never was"

        person.is_refused("app", page_bin if roles == "bin" else "snapshot.json")
        mirror.end()
        done, venv = person.verified("app")
        assert done.ok() and venv.installed() == {"app": "2.0", "lib": "2.0"}


# A8: wrong software.


def test_a8_wrong_software(history: History, person: Person) -> None:
    """A file that the index signed, but not the one that was asked for."""
    with Mirror(history.today) as mirror:
        person.trust(mirror, history.root).ok()
        honest, venv = person.plain(mirror, "tuned")
        assert honest.ok() and venv.says("tuned") == "tuned"
        mirror.mount(Exchange(h.TUNED, h.FOREIGN))

        done, venv = person.plain(mirror, "tuned")
        assert done.ok() and venv.says("tuned") == "for another Python", "plain: the other file's code"

        person.is_refused("tuned", "simple/tuned/index.json", "not the signed one")
        exchange = Exchange(h.TUNED, h.FOREIGN)
        exchange.where = FILES
        mirror.mount(exchange)
        person.is_refused("tuned", h.TUNED.filename, "not the signed one")
        mirror.end()
        done, venv = person.verified("tuned")
        assert done.ok() and venv.says("tuned") == "tuned"


# A9: a malicious mirror that prevents updates.


KEEPING_BACK: dict[str, Callable[[History], Part]] = {
    "yesterday's state": lambda history: Replay(history.yesterday),
    "nothing": lambda _history: Says((*METADATA, *PAGES), 404),
    "errors": lambda _history: Says(EVERYTHING, 500),
    "closed connections": lambda _history: Garbage(EVERYTHING, b""),
    "altered pages and files": lambda _history: Substitute(h.NEW, h.EVIL),
    "files without end": lambda _history: Endless(FILES),
}


# Elsewhere a plain tool asks again and again, or never ends.
PLAIN_ENDS_SOON = ("yesterday's state", "nothing", "altered pages and files")


@pytest.mark.parametrize("how", KEEPING_BACK)
def test_a9_a_malicious_mirror_that_prevents_updates(history: History, person: Person, how: str) -> None:
    """The first mirror keeps the update back. The second one has it, and one is enough."""
    with Mirror(history.today, Replay(history.yesterday)) as bad, Mirror(history.today) as good:
        person.trust(bad, history.root, more=("--mirror", good.url())).ok()
        bad.mount(KEEPING_BACK[how](history))

        if how in PLAIN_ENDS_SOON:
            done, venv = person.plain(bad, "victim")
            updated = venv.installed() == {"victim": "2.0"} and venv.says("victim") == "new"
            assert not updated, "plain: the update does not arrive"

        done = person.installs("victim", "2.0", timeout=60)
        assert bad.url().rstrip("/") in done.err, f"the person is told which mirror it was: {done}"
        assert "REFUSED" not in done.err


def test_a9_when_all_of_them_keep_back(history: History, person: Person) -> None:
    """Nobody has the update; that is noticed and said of each."""
    with Mirror(history.today) as one, Mirror(history.today) as other:
        person.trust(one, history.root, more=("--mirror", other.url())).ok()
        for mirror in (one, other):
            mirror.mount(Replay(history.yesterday))
        done = person.is_refused("victim", "simple/victim/index.json", "is behind", "is not there")
        assert one.url() in done.err and other.url() in done.err, f"{done}"
        other.end()
        person.installs("victim", "2.0")


# A10: fewer keys than the threshold.


def root_by_one_of_two(honest: Forge) -> tuple[dict[str, bytes], str]:
    """One of the two root keys was stolen. It signs a root that hands everything to the thief."""
    thief = Forge(h.EVIL)
    root = thief.role("root")
    root.version = 2
    root.roles["root"] = honest.role("root").roles["root"]
    root.keys |= honest.role("root").keys
    thief.signers["root"] = honest.signers["root"][:1]
    return thief.release(), "2.root.json"


def online_by_one_of_two(honest: Forge) -> tuple[dict[str, bytes], str]:
    """One of two online keys was stolen. It signs all that the two sign together."""
    thief = honest.copy()
    for role, keys in honest.signers.items():
        if len(keys) == 2 and keys[0] is honest.signers["timestamp"][0]:
            thief.signers[role] = keys[:1]
    return thief.release(h.EVIL), "timestamp.json"


def one_key_that_signs_twice(honest: Forge) -> tuple[dict[str, bytes], str]:
    """The same, each signature given under the name of the other key as well."""
    tree, _ = online_by_one_of_two(honest)
    other = honest.signers["timestamp"][1].public_key.keyid
    timestamp = json.loads(tree["metadata/timestamp.json"])
    (signature,) = timestamp["signatures"]
    timestamp["signatures"].append(signature | {"keyid": other})
    return tree | {"metadata/timestamp.json": json.dumps(timestamp).encode()}, "timestamp.json"


def bin_by_a_key_of_its_own(honest: Forge) -> tuple[dict[str, bytes], str]:
    """A bin under a key that nobody delegated to; all above it is as the index signed it."""
    thief = honest.copy()
    role = thief.bin_of(page_target("victim"))
    thief.release(h.EVIL)
    return thief.signed_by(role, [new_key()]), role


@pytest.mark.parametrize(
    "theft",
    [root_by_one_of_two, online_by_one_of_two, one_key_that_signs_twice, bin_by_a_key_of_its_own],
    ids=lambda theft: theft.__name__,
)
def test_a10_fewer_keys_than_the_threshold(person: Person, tmp_path: Path, theft) -> None:
    honest = Forge(h.OLD, online=2)
    before = honest.publish()
    evil, tells = theft(honest)
    after = honest.release(h.NEW)
    with Mirror(before) as mirror:
        person.trust(mirror, honest.root_file(tmp_path)).ok()
        person.installs("victim", "1.0")
        mirror.mount(Replay(evil))

        done, venv = person.plain(mirror, "victim")
        assert done.ok() and venv.says("victim") == "evil", "plain: no key is asked for"

        person.is_refused("victim", tells, "of the 2 keys that are needed")
        mirror.mount(Replay(after))
        person.installs("victim", "2.0")
