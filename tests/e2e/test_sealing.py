"""Claims that a ceremony seals with the offline key, and what that keeps an intruder from (PEP 480)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tuf.api.metadata import DelegatedRole, Metadata, TargetFile, Targets

from harness.developer import Developer
from harness.distributions import Distribution, wheel
from harness.holders import Cast
from harness.index import Index
from harness.sandbox import Outcome, Sandbox, Venv
from harness.tuf_reader import TufReader
from test_claims import Thief, explained, installs, newest
from test_project_keys import Person

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])

OLD, NEXT = wheel("acme-tools", "1.0", says="1.0"), wheel("acme-tools", "2.0", says="2.0")


class Told:
    """An index whose `acme-tools` was claimed twenty days ago and `young-one` today, and its people."""

    def __init__(self, index: Index, tmp_path: Path, clock: dict[str, str]) -> None:
        self.index, self.tmp_path = index, tmp_path
        index.start()
        index.publish(OLD, wheel("young-one", "1.0", says="good"), wheel("open-one", "1.0", says="good"))
        self.alice = Developer(tmp_path / "alice", index.binary, index, clock)
        self.alice.claim("acme-tools").ok()
        self.alice.publish(NEXT).ok()
        self.cast = Cast(index, tmp_path)
        assert index.stop() == 0, index.log_text()
        for env in (index.env, self.alice.sandbox.env):
            for name in clock:
                del env[name]
        index.start()
        deadline = time.monotonic() + 60
        while Metadata.from_file(str(index.tree / "metadata" / "timestamp.json")).signed.is_expired():
            assert time.monotonic() < deadline, index.log_text()
            time.sleep(0.1)
        self.bob = Developer(tmp_path / "bob", index.binary, index)
        self.bob.claim("young-one").ok()

    @property
    def operator(self):
        return self.cast.operator

    def claims(self, command: str = "keys") -> dict:
        return self.operator.told("index", command, "--data", self.index.data)["claims"]

    def hold(self, name: str, *options: object) -> dict:
        """Everybody signs, and it is published; what `begin` told."""
        ceremony, begun = self.operator.begin(name, *options)
        self.cast.collect(ceremony, begun["words"])
        self.operator.told("ceremony", "finish", ceremony)
        self.operator.told("ceremony", "publish", ceremony, "--data", self.index.data)
        return begun

    def fresh(self, name: str) -> Sandbox:
        sandbox = Sandbox(self.tmp_path / name, self.index.binary)
        sandbox.trust(self.index)
        return sandbox

    def signed(self, role: str) -> dict:
        path = self.index.tree / "metadata" / f"{newest(self.index)[role]}.{role}.json"
        return json.loads(path.read_bytes())["signed"]

    def listed(self, role: str) -> list[str]:
        return [below["name"] for below in self.signed(role)["delegations"]["roles"]]


@pytest.fixture
def claimed(make_index, tmp_path: Path, fake_clock: Callable[[str], dict[str, str]]) -> Told:
    clock = fake_clock("-20d")
    index = make_index(fresh=True, env={"WHEELMARK_INDEX_CLAIMS": "on", **clock})
    return Told(index, tmp_path, clock)


@pytest.fixture
def sealed(claimed: Told) -> Told:
    claimed.hold("march", "--claim-pending")
    return claimed


def test_two_holders_seal_the_claims_that_are_old_enough(claimed: Told) -> None:
    alice, operator = claimed.alice.keyid, claimed.operator
    before = claimed.claims()
    assert (before["sealed"], before["pending"], before["old_enough"]) == (0, 2, 1)
    assert before == claimed.claims("status")
    said = operator.run("index", "keys", "--data", claimed.index.data).stdout
    assert "claims: 0 sealed, 2 not yet" in said and "begin --claim-pending" in said, said

    # A name that is mistyped does not seal what it was to leave out.
    for option in ("--except", "--project"):
        refused = operator.run(
            "ceremony", "begin", "--data", claimed.index.data, "--out", claimed.tmp_path / "no", "--claim-pending", option, "acme-tool"
        )
        assert refused.returncode == 1 and "acme-tool does not wait" in refused.stderr, refused.stderr

    ceremony, begun = operator.begin("march", "--claim-pending")
    (one,) = begun["claims"]["sealed"]
    assert (one["project"], one["keys"], one["threshold"], one["floor"]) == ("acme-tools", {alice: "operator"}, 1, 2)
    (left,) = begun["claims"]["left_out"]
    assert (left["project"], left["why"]) == ("young-one", "too-young")
    review = operator.run("ceremony", "review", ceremony).stdout
    assert "acme-tools is sealed: 1 of 1 keys" in review and alice in review and "20 days" in review, review
    assert "said by the online key" in review and "young-one" not in review, review
    assert operator.told("ceremony", "status", ceremony, code=3)["seals"] == 1

    # What a holder is to sign follows from what the index's key and the project's people have signed.
    (plan,) = ceremony.glob("ceremony.json")
    kept = plan.read_text()
    plan.write_text(kept.replace('"acme-tools"', '"young-one"'))
    refused = claimed.cast.holders[0].sign(ceremony, operator.fingerprint, begun["words"])
    assert refused.returncode == 1 and "young-one" in refused.stderr, refused.stderr
    plan.write_text(kept)
    (listed,) = (ceremony / "published").glob("*.recently-claimed.json")
    kept = listed.read_text()
    listed.write_text(kept.replace(alice, claimed.bob.keyid))
    refused = claimed.cast.holders[0].sign(ceremony, operator.fingerprint, begun["words"])
    assert refused.returncode == 1 and "recently-claimed is not what this index signed" in refused.stderr, refused.stderr
    listed.write_text(kept)

    claimed.cast.collect(ceremony, begun["words"])
    operator.told("ceremony", "finish", ceremony)
    operator.told("ceremony", "publish", ceremony, "--data", claimed.index.data)
    assert (claimed.listed("claimed"), claimed.listed("recently-claimed")) == (["project-acme-tools"], ["project-young-one"])
    after = claimed.claims()
    assert (after["sealed"], after["pending"], after["old_enough"]) == (1, 1, 0)

    # The project's people notice nothing, and the index can end it no more.
    third = wheel("acme-tools", "3.0", says="3.0")
    claimed.alice.publish(third).ok()
    refused = operator.run("index", "--data", claimed.index.data, "project", "unclaim", "acme-tools")
    assert refused.returncode != 0 and "a ceremony ends that" in refused.stdout, refused
    reader = TufReader(claimed.index, claimed.tmp_path / "reader")
    assert reader.file("acme-tools", third.filename) == third.content
    assert len(json.loads(reader.page("acme-tools"))["files"]) == 3

    # A plain renewal keeps it; with the offline keys the seal comes off, and then the claim can end.
    begun = claimed.hold("april", "--role", "claimed", "--unseal", "acme-tools")
    assert begun["claims"]["unsealed"] == ["acme-tools"]
    assert claimed.listed("claimed") == []
    claimed.operator.told("index", "--data", claimed.index.data, "project", "unclaim", "acme-tools")


@BOTH
def test_installers_get_a_sealed_project_and_policy_can_ask_for_it(claimed: Told, tool: str) -> None:
    known = claimed.fresh("known")
    installs(known, tool, "acme-tools")[0].ok()
    claimed.hold("march", "--claim-pending")
    policy = claimed.tmp_path / "strict.toml"
    policy.write_text('[everything]\nchain = "developer-signed"\n')
    for name, sandbox in {"known": known, "fresh": claimed.fresh("fresh")}.items():
        venv, report = sandbox.venv(), claimed.tmp_path / f"{name}.json"
        sandbox.install(tool, venv, "acme-tools", options=("--policy", policy, "--report", report)).ok()
        assert venv.says("acme_tools") == "2.0"
        (entry,) = json.loads(report.read_text())["files"]
        assert entry["chain"] == "developer-signed"
        for other in ("young-one", "open-one"):
            refused = sandbox.install(tool, sandbox.venv(), other, options=("--policy", policy)).failed()
            assert "has to be developer-signed" in refused.text, refused
    claim = explained(known, "acme-tools")["answers"]["claim"]
    assert claim["sealed"] and claim["floor"] == 2 and claim["sealed_at"] > claim["claimed_at"]
    shown = known.wheelmark("explain", "acme-tools").ok().out
    assert "sealed by the offline role claimed since" in shown and "none before 2 counts" in shown, shown


class Robber(Thief):
    """Has all online keys, and turns them against what the offline key has sealed."""

    def forged(self, dist: Distribution) -> Metadata[Targets]:
        """A role of the project with another page, to be signed with a key of one's own."""
        path, content = self.page_with(dist)
        forged = Metadata(Targets(expires=Metadata.from_file(str(self.metadata / "1.targets.json")).signed.expires))
        forged.signed.targets[path] = TargetFile.from_data(path, content, ["sha256"])
        forged.signed.targets[f"packages/{dist.project}/{dist.filename}"] = TargetFile.from_data("file", dist.content, ["sha256"])
        forged.signed.unrecognized_fields["_wheelmark"] = {"role": f"project-{dist.project}"}
        return forged

    def own_claim(self, project: str) -> dict[str, Callable[[Targets], None]]:
        """Another key for the project, in the list that the online key signs."""
        key, name = self.own.public_key, f"project-{project}"

        def change(role: Targets) -> None:
            role.delegations.keys[key.keyid] = key
            paths = [f"simple/{project}/*", f"packages/{project}/*"]
            role.delegations.roles[name] = DelegatedRole(name, [key.keyid], 1, True, paths)

        return {"recently-claimed": change}


@BOTH
def test_whoever_has_all_online_keys_shows_a_fresh_client_nothing_of_a_sealed_project(sealed: Told, tool: str) -> None:
    robber, evil = Robber(sealed.index), wheel("acme-tools", "99.0", says="evil")
    good = newest(sealed.index)["project-acme-tools"]

    def outcome(name: str) -> tuple[Outcome, Venv]:
        return installs(sealed.fresh(name), tool, "acme-tools")

    # What the index signs is not asked: neither its bins, nor another claim.
    robber.publish(robber.into_bin(evil) | robber.own_claim("acme-tools"))
    done, venv = outcome("a")
    assert done.ok() and venv.says("acme_tools") == "2.0"
    # Its own role by another key.
    robber.publish({}, {"project-acme-tools": robber.forged(evil)})
    done, venv = outcome("b")
    assert not venv.installed() and "project-acme-tools" in done.failed().text, done
    # Its own role as it was before it was sealed.
    robber.publish({}, shown={"project-acme-tools": good - 1})
    done, venv = outcome("c")
    assert not venv.installed() and "no version before 2 counts" in " ".join(done.failed().text.split()), done
    robber.publish({}, shown={"project-acme-tools": good})
    done, venv = outcome("d")
    assert done.ok() and venv.says("acme_tools") == "2.0"

    # Of a project that nobody has sealed, and of one that nobody has claimed, they show what they like.
    robber.publish(robber.into_bin(wheel("open-one", "99.0", says="evil")))
    done, venv = installs(sealed.fresh("e"), tool, "open-one")
    assert done.ok() and venv.says("open_one") == "evil"
    robber.with_own_key(wheel("young-one", "99.0", says="evil"))
    done, venv = installs(sealed.fresh("f"), tool, "young-one")
    assert done.ok() and venv.says("young_one") == "evil"


def test_an_old_list_of_claims_deceives_whoever_begins_fresh_and_nobody_else(sealed: Told) -> None:
    """DESIGN's *Said plainly*: up to 90 days, until that list ends."""
    known, handed = sealed.fresh("known"), sealed.tmp_path / "trust.json"
    installs(known, "pip", "acme-tools")[0].ok()
    known.wheelmark("trust", "export", sealed.index.index_url, "-o", handed).ok()

    robber, evil = Robber(sealed.index), wheel("acme-tools", "99.0", says="evil")
    now = newest(sealed.index)["claimed"]
    robber.publish(
        robber.own_claim("acme-tools"), {"project-acme-tools": robber.forged(evil)}, shown={"claimed": now - 1}
    )
    done, venv = installs(sealed.fresh("fresh"), "pip", "acme-tools")
    assert done.ok() and venv.says("acme_tools") == "evil"

    # Whoever has seen the newer list, here or where trust was exported, is not deceived.
    done, venv = installs(known, "pip", "acme-tools")
    assert not venv.installed() and "claimed" in done.failed().text, done
    warned = Sandbox(sealed.tmp_path / "warned", sealed.index.binary)
    refused = warned.wheelmark("trust", "import", handed).failed()
    assert "claimed" in refused.text, refused


def test_stolen_keys_of_a_holder_are_replaced_and_seals_stay(sealed: Told) -> None:
    known = sealed.fresh("known")
    installs(known, "pip", "acme-tools")[0].ok()
    gone = {key for role in ("claimed", "targets") for key in keys_of(sealed, role)}
    carol, public = sealed.cast.new_holder("carol", sealed.tmp_path)
    ceremony, begun = sealed.operator.begin("custody", "--replace", f"1={public}")
    sealed.cast.collect(ceremony, begun["words"], [*sealed.cast.holders, carol])
    sealed.operator.told("ceremony", "finish", ceremony)
    sealed.operator.told("ceremony", "publish", ceremony, "--data", sealed.index.data)
    stay = {key for role in ("claimed", "targets") for key in keys_of(sealed, role)}
    assert len(gone - stay) == 2 and len(stay & gone) == 2
    assert sealed.listed("claimed") == ["project-acme-tools"]
    third = wheel("acme-tools", "3.0", says="3.0")
    sealed.alice.publish(third).ok()
    for sandbox in (known, sealed.fresh("fresh")):
        done, venv = installs(sandbox, "pip", "acme-tools")
        assert done.ok() and venv.says("acme_tools") == "3.0"


def test_changed_keys_of_a_sealed_project_are_taken_over(sealed: Told) -> None:
    alice, known = sealed.alice, sealed.fresh("known")
    installs(known, "pip", "acme-tools")[0].ok()
    me, spare = f"file:{alice.key}", Person(sealed.tmp_path / "spare", sealed.index.binary, sealed.index).key("spare")
    alice.signs("project", "keys", "replace", "acme-tools", alice.keyid[:10], "--new", spare).ok()

    def publish(version: str, *keys: str) -> Outcome:
        signers = [word for key in keys for word in ("--signer", key)]
        dist = wheel("acme-tools", version, says=version).write(alice.sandbox.folder / "dist")
        return alice._signing("publish", dist, *signers, "--token-file", alice.token, "--yes")

    # Until a ceremony takes the new key over, the one of before signs, too.
    assert alice.keyid in json.dumps(sealed.signed("claimed"))
    publish("3.0", me, spare).ok()
    begun = sealed.hold("april", "--role", "claimed", "--claim-pending", "--older-than", "1s", "--project", "acme-tools")
    (taken,) = begun["claims"]["taken_over"]
    (new,) = taken["keys"]
    assert new != alice.keyid and (list(taken["before"]["keys"]), taken["floor"]) == ([alice.keyid], 4), taken
    assert "acme-tools goes over to other keys" in json.dumps(begun["roles"])
    (role,) = sealed.signed("claimed")["delegations"]["roles"]
    assert (role["keyids"], role["_wheelmark"]["floor"]) == ([new], 4)
    # This machine follows without being told, and so do all who install.
    publish("4.0", spare).ok()
    assert publish("5.0", me).failed()
    for sandbox in (known, sealed.fresh("fresh")):
        done, venv = installs(sandbox, "pip", "acme-tools")
        assert done.ok() and venv.says("acme_tools") == "4.0"
    claim = explained(known, "acme-tools")["answers"]["claim"]
    assert claim["sealed"] and claim["floor"] == 4, claim


def keys_of(told: Told, role: str) -> list[str]:
    """Whose keys sign an offline role, as who delegates to it says."""
    if role == "targets":
        return told.operator.signed("root")["roles"]["targets"]["keyids"]
    below = told.signed("targets")["delegations"]["roles"]
    (found,) = [delegated for delegated in below if delegated["name"] == role]
    return found["keyids"]


def test_a_holder_does_not_seal_keys_that_are_said_to_be_older_than_they_are(claimed: Told) -> None:
    """Whoever has the online key writes the date of a claim; holders have seen the list of all claims."""
    claimed.hold("first")
    robber = Robber(claimed.index)
    robber.with_own_key(wheel("acme-tools", "99.0", says="evil"))
    ceremony, begun = claimed.operator.begin("second", "--role", "claimed", "--claim-pending")
    (planted,) = begun["claims"]["sealed"]
    assert list(planted["keys"]) == [robber.own.public_key.keyid]
    for holder in claimed.cast.holders:
        refused = holder.sign(holder.take(ceremony), claimed.operator.fingerprint, begun["words"])
        assert refused.returncode == 1 and "it had other keys" in refused.stderr, refused.stderr
    assert claimed.listed("claimed") == []


def test_exported_trust_carries_whose_keys_sign(claimed: Told) -> None:
    """For a claim that nobody has sealed yet, too."""
    known, handed = claimed.fresh("known"), claimed.tmp_path / "trust.json"
    installs(known, "pip", "acme-tools")[0].ok()
    known.wheelmark("trust", "export", claimed.index.index_url, "-o", handed).ok()
    other = Sandbox(claimed.tmp_path / "other", claimed.index.binary)
    other.wheelmark("trust", "import", handed).ok()
    Robber(claimed.index).with_own_key(wheel("acme-tools", "99.0", says="evil"))
    done, venv = installs(other, "pip", "acme-tools")
    assert not venv.installed() and "other keys than before" in done.failed().text, done
    done, venv = installs(claimed.fresh("fresh"), "pip", "acme-tools")
    assert done.ok() and venv.says("acme_tools") == "evil"
