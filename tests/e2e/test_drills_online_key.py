"""Drills: the online key of a real index is stolen, and the index is put right by the commands of docs/recovery.md.

What `test_drills.py` shows of clients alone, whoever wrote the recovery, is shown here with `wheelmark up`, the
files of its two holders, `wheelmark recover` from the plan to the publication, and people who go on installing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.burglar import Burglar
from harness.developer import Developer
from harness.distributions import Distribution, wheel
from harness.mirror import record
from harness.people import administer
from harness.reached import T4_ONLINE, table_one
from harness.recovered import RAISE
from harness.siege import REFUSED, Siege
from harness.sigstore import PrivateSigstore

STOLEN = "the online key of a real index"
ROW_6 = table_one(6, "yes, of what is not delegated by claimed")
# The highest version that a number of JSON has without loss.
HIGHEST = 2**53 - 1
ATTESTS = "release@attested.example+https://ci.example"


@pytest.fixture
def sigstore(tmp_path: Path) -> PrivateSigstore:
    return PrivateSigstore(tmp_path / "sigstore")


def one(project: str, version: str = "1.0", says: str | None = None) -> Distribution:
    return wheel(project, version, says=says or version)


def everybody(content: str | None) -> dict[str, str | None]:
    return dict.fromkeys(("plain", "old", "there", "fresh"), content)


def attested(siege: Siege, sigstore: PrivateSigstore, dist: Distribution) -> None:
    """An upload with its attestation."""
    folder = siege.folder / "attested"
    file = dist.write(folder)
    sigstore.attest(file, ATTESTS)
    siege.away.sandbox.twine(siege.index, file, f"{file}.publish.attestation", "--attestations").ok()


def test_malicious_wheels_and_claims_of_the_thiefs(make_siege, sigstore: PrivateSigstore, binary: Path) -> None:
    siege: Siege = make_siege(trusted_root=sigstore.trusted_root)
    index = siege.index
    good = [one(name) for name in ("victim", "exchanged", "open-one", "young-one", "acme-tools")]
    index.publish(*good)
    administer(index, "project", "create", "attested-one", "--owner", "operator").ok()
    administer(index, "publisher", "add", "attested-one", ATTESTS, "--attest-only").ok()
    attested(siege, sigstore, one("attested-one"))
    developer = Developer(siege.folder / "developer", binary, index)
    for project in ("acme-tools", "young-one"):
        developer.claim(project).ok()
    siege.knows(*good, "attested-one")
    siege.keep_good()
    # Since then, and before the thief: two that something else speaks for than the index's key.
    developer.publish(one("acme-tools", "1.1")).ok()
    attested(siege, sigstore, one("attested-one", "1.1"))
    siege.keeps_installing("victim")

    thief = Burglar(index)
    thief.publishes(one("victim", "6.6", "evil"), one("exchanged", "1.0", "evil"))
    thief.claims(one("open-one", "6.6", "evil"), one("young-one", "6.6", "evil"))
    seen = siege.reached("victim", "exchanged", "open-one", "young-one")
    assert seen == {
        "victim": everybody("evil"),
        "exchanged": everybody("evil"),
        "open-one": everybody("evil"),
        # Whose keys sign for it is remembered.
        "young-one": everybody("evil") | {"old": REFUSED, "there": REFUSED},
    }
    siege.there.installs({"acme-tools": "1.1", "attested-one": "1.1"})
    siege.tells(STOLEN, "a new version of an unclaimed project", T4_ONLINE, seen["victim"])
    siege.tells(STOLEN, "other bytes under a file's name", T4_ONLINE, seen["exchanged"])
    siege.tells(STOLEN, "an unclaimed project claimed", ROW_6, seen["open-one"])
    siege.tells(STOLEN, "other keys for a claimed project, not yet sealed", ROW_6, seen["young-one"])

    recovery = siege.recovery()
    recovery.by_the_book("--keep", "supported", "--drop", "unsupported")
    supports = {(project, what): by for (project, what, file), by in recovery.changes.items() if file}
    assert supports == {
        ("acme-tools", "added"): ["developer"],
        ("attested-one", "added"): ["attested"],
        ("victim", "added"): [],
        ("exchanged", "changed"): [],
        ("open-one", "added"): [],
        ("young-one", "added"): [],
    }
    siege.ends_well({dist.project: "1.0" for dist in good} | {"acme-tools": "1.1", "attested-one": "1.1"})
    # Nor under the paths that plain tools know.
    for project in ("victim", "open-one", "young-one"):
        evil = one(project, "6.6", "evil")
        assert index.get(f"packages/{project}/{evil.filename}").status == 404, evil.filename
        assert evil.filename not in index.get(f"simple/{project}/").body.decode()


def test_old_states_replayed_and_versions_driven_up(make_siege, binary: Path) -> None:
    siege: Siege = make_siege()
    index = siege.index
    index.publish(one("victim", "1.0", "old"), one("other", "1.0"), one("acme-tools", "1.0"))
    Developer(siege.folder / "developer", binary, index).claim("acme-tools").ok()
    as_it_was, page = record(index.tree), Burglar(index).page("victim")
    # A release that mends something.
    index.publish(one("victim", "2.0"))
    good = {"victim": "2.0", "other": "1.0", "acme-tools": "1.0"}
    siege.knows(*good)
    siege.keep_good()
    siege.keeps_installing("victim", "other")
    # The numbers that a recovery would begin with are taken.
    taken = Burglar(index).takes_numbers(RAISE)

    # What the index has signed before, as it was.
    index.stop()
    with siege.instead(as_it_was):
        seen = siege.reached("victim")
    assert seen == {"victim": everybody("old") | {"old": REFUSED, "there": REFUSED}}
    siege.tells(STOLEN, "an old state, as it was", table_one(6, "freeze, until the earliest end"), seen["victim"])
    # The same signed anew, above what everybody has seen.
    index.start()
    thief = Burglar(index)
    thief.shows_again(page)
    seen = siege.reached("victim")
    assert seen == {"victim": everybody("old")}
    siege.tells(STOLEN, "old content, signed as the newest", T4_ONLINE, seen["victim"])
    thief.publishes(one("victim", "6.6", "evil"))
    thief.drives_up(HIGHEST)
    seen = siege.reached("victim", "acme-tools")
    assert seen == {"victim": everybody("evil"), "acme-tools": everybody("1.0")}
    siege.tells(STOLEN, "all versions driven up to 2^53-1", T4_ONLINE, seen["victim"])

    recovery = siege.recovery()
    recovery.by_the_book("--drop", "unsupported")
    assert recovery.changes == {
        ("victim", "vanished", "victim-2.0-py3-none-any.whl"): [],
        ("victim", "added", "victim-6.6-py3-none-any.whl"): [],
    }
    siege.ends_well(good)
    # Taken numbers are passed over, and driven-up ones are not followed.
    listed = thief.published().signed
    now = {name: listed.meta[f"{name}.json"].version for name in taken if name != "snapshot"}
    now |= {"snapshot": listed.version}
    assert all(taken[name] < now[name] < taken[name] + 10 for name in taken), (taken, now)
    # What the thief signed lies there still, and is no damage; what nobody signed is.
    audit = ("index", "--data", index.data, "audit")
    assert siege.operator.run(*audit).returncode == 0 and (thief.metadata / f"{HIGHEST}.snapshot.json").exists()
    planted = thief.metadata / f"{HIGHEST - 1}.snapshot.json"
    planted.write_text("{}")
    found = siege.operator.run(*audit)
    assert found.returncode == 1 and planted.name in found.stdout, found
    planted.unlink()
    # And it goes on from there.
    index.publish(one("victim", "3.0"))
    for person in siege.people:
        person.installs({"victim": "3.0"})
