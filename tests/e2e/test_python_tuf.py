"""python-tuf's client, from the package index and unmodified, reads what we sign."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets

from harness.distributions import sdist, wheel
from harness.index import Index
from harness.tuf_reader import TufReader

FORMS = pytest.mark.parametrize("options", [[], ["--prefix-lists"]], ids=["succinct", "prefix-lists"])


@FORMS
def test_refresh_then_a_page_and_a_wheel_by_target_path(make_index, tmp_path: Path, options: list[str]) -> None:
    index: Index = make_index(fresh=True, bins=32, options=options).start()
    files = [wheel("Some.Project", v) for v in ("1.0", "2.0")] + [sdist("some-project", "2.0"), wheel("other", "0.1")]
    index.publish(*files)

    reader = TufReader(index, tmp_path)
    page = json.loads(reader.page("some-project"))
    assert {f["filename"]: f["hashes"]["sha256"] for f in page["files"]} == {f.filename: f.sha256 for f in files[:3]}
    for file in files:
        assert reader.file(file.project, file.filename) == file.content
    assert reader.page("unheard-of") is None
    assert reader.file("other", "other-0.2-py3-none-any.whl") is None

    index.publish(wheel("other", "0.2"))
    again = TufReader(index, tmp_path / "again")
    assert again.file("other", "other-0.2-py3-none-any.whl") is not None


@FORMS
def test_the_form_of_the_delegation(make_index, options: list[str]) -> None:
    index: Index = make_index(fresh=True, bins=32, options=options).start()
    metadata = index.tree / "metadata"
    for family in ("simple", "packages"):
        delegations = Metadata[Targets].from_file(str(metadata / f"1.{family}.json")).signed.delegations
        if options:
            assert len(delegations.roles) == 32
            assert all(role.path_hash_prefixes for role in delegations.roles.values())
        else:
            assert delegations.succinct_roles.bit_length == 5
            assert delegations.succinct_roles.name_prefix == family


def test_what_the_design_says_of_the_roles(shared_index: Index) -> None:
    metadata = shared_index.tree / "metadata"
    root = Metadata[Root].from_file(str(metadata / "1.root.json"))
    assert root.signed.roles["root"].threshold == 2
    assert len(root.signed.roles["root"].keyids) == 2
    assert root.signed.consistent_snapshot
    root.verify_delegate("root", root)
    online = set(root.signed.roles["timestamp"].keyids)
    assert online == set(root.signed.roles["snapshot"].keyids)
    assert not online & set(root.signed.roles["targets"].keyids), "targets is offline"
    assert not online & set(root.signed.roles["root"].keyids), "root is offline"

    targets = Metadata[Targets].from_file(str(metadata / "1.targets.json"))
    root.verify_delegate("targets", targets)
    roles = targets.signed.delegations.roles
    assert list(roles) == ["claimed", "recently-claimed", "simple", "packages", "status"]
    assert [role.terminating for role in roles.values()] == [False, False, True, True, True]
    assert not online & set(roles["claimed"].keyids)
    assert not online & set(roles["simple"].keyids)
    assert online == set(roles["recently-claimed"].keyids) == set(roles["status"].keyids)
    assert roles["simple"].paths == ["simple/*/*"]
    assert roles["packages"].paths == ["packages/*/*"]
    for role in roles:
        targets.verify_delegate(role, Metadata[Targets].from_file(str(metadata / f"1.{role}.json")))


def test_it_refuses_what_was_changed(index: Index, tmp_path: Path) -> None:
    index.publish(wheel("small", "1.0"))
    assert TufReader(index, tmp_path / "before").page("small") is not None
    page = index.page_on_disk("small")
    page.chmod(0o644)
    page.write_bytes(page.read_bytes().replace(b"1.0", b"1.1"))
    with pytest.raises(RepositoryError):
        TufReader(index, tmp_path / "after").page("small")
