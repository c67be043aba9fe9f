"""The list of claims, split by the first letters of names: whoever reads the index goes on (docs/layout.md)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from harness.developer import Developer
from harness.distributions import wheel
from harness.index import Index
from harness.sandbox import Sandbox
from harness.tuf_reader import TufReader
from test_claims import explained, newest
from test_rebuild import ok, run

LIST = "recently-claimed"

CLAIMED = [wheel(name, "1.0", says="1.0") for name in ("acme", "acme-tools", "zebra")]
OTHER = wheel("zoo", "1.0", says="1.0")
# Room for one claim: `acme` and `acme-tools` part after their fifth letter.
ENV = {"WHEELMARK_INDEX_CLAIMS": "on", "WHEELMARK_INDEX_SPLIT_CLAIMS_ABOVE": "1kB"}


def project(dist) -> str:
    return dist.filename.split("-")[0].replace("_", "-")


def delegated(index: Index, role: str) -> list[str]:
    file = index.tree / "metadata" / f"{newest(index)[role]}.{role}.json"
    return sorted(below["name"] for below in json.loads(file.read_bytes())["signed"]["delegations"]["roles"])


def test_everybody_reads_a_list_that_is_split(make_index, sandbox: Sandbox, tmp_path: Path, binary: Path) -> None:
    index: Index = make_index(fresh=True, env=ENV).start()
    index.publish(*CLAIMED, OTHER)
    developer = Developer(tmp_path / "developer", binary, index)
    sandbox.trust(index)
    # One who was here before it is split.
    developer.claim("acme").ok()
    assert delegated(index, LIST) == ["project-acme"]
    early = TufReader(index, tmp_path / "early")
    assert early.file("acme", CLAIMED[0].filename) == CLAIMED[0].content
    assert explained(sandbox, "acme")["answers"]["claim"]["keys"] == {developer.keyid: "operator"}

    for name in ("acme-tools", "zebra"):
        developer.claim(name).ok()
    next_one = wheel("acme-tools", "2.0", says="2.0")
    developer.publish(next_one).ok()
    shards = delegated(index, LIST)
    assert shards == [f"{LIST}-{prefix}" for prefix in ("a", "ac", "acm", "acme", "acme-", "z")]
    assert delegated(index, f"{LIST}-acme") == ["project-acme"]
    assert delegated(index, f"{LIST}-acme-") == ["project-acme-tools"]

    # python-tuf, fresh and not; what nobody has claimed is found behind the shards.
    for reader in (TufReader(index, tmp_path / "early"), TufReader(index, tmp_path / "reader")):
        for dist in (*CLAIMED, next_one, OTHER):
            assert reader.file(project(dist), dist.filename) == dist.content
            assert reader.page(project(dist)) is not None
        assert reader.page("acme-unknown") is None

    # Our client: it knows whose keys sign, and says by which way.
    venv, report = sandbox.venv(), tmp_path / "report.json"
    sandbox.install("uv", venv, "acme", "acme-tools", "zebra", "zoo", options=("--report", report)).ok()
    assert venv.says("acme_tools") == "2.0"
    chains = {entry["project"]: entry["chain"] for entry in json.loads(report.read_text())["files"]}
    # What was there before, and nobody compared, is taken over unseen.
    assert (chains["acme-tools"], chains["zoo"]) == ("developer-signed (provisional)", "index-signed")
    for dist in CLAIMED:
        told = explained(sandbox, project(dist))
        assert told["answers"]["claim"]["keys"] == {developer.keyid: "operator"}
    assert f"{LIST}-acme-" in sandbox.wheelmark("explain", "acme-tools").out
    # A shard that was asked in vain hangs on its list, and what comes behind the list does not.
    tree = sandbox.wheelmark("explain", "zoo").out.splitlines()
    (top,) = [line for line in tree if f"─ {LIST} version" in line]
    indent = top[: top.index("├")]
    assert any(line.startswith(f"{indent}│  └─ {LIST}-z version") and "does not list it" in line for line in tree), tree
    assert any(line.startswith(f"{indent}└─ simple version") for line in tree), tree

    # Copies, audits, a ceremony, an index made anew of its tree, and the end of a claim.
    copy = tmp_path / "copy"
    sandbox.wheelmark("mirror", index.index_url, copy).ok()
    sandbox.wheelmark("verify", copy).ok()
    done = run(index, "audit")
    assert done.returncode == 0, done
    claims = ok(index, "status")
    assert claims["projects"]["count"] == 3, claims
    begin = ("ceremony", "begin", "--data", index.data, "--out", tmp_path / "ceremony", "--claim-pending")
    begun = json.loads(sandbox.wheelmark(*begin, "--older-than", "0s", "--json").ok().out)
    assert sorted(claim["project"] for claim in begun["claims"]["sealed"]) == [project(dist) for dist in CLAIMED]
    seen = (tmp_path / "ceremony" / "published").glob(f"*.{LIST}-*.json")
    assert sorted(path.name.split(".")[1] for path in seen) == shards, "holders see all of the list"
    assert index.stop() == 0
    anew: Index = make_index(fresh=True, env=ENV)
    tree = tmp_path / "tree"
    shutil.copytree(index.tree, tree)
    words = ("--trust", str(index.root_file), "--online-key", str(index.data / "online-key"))
    assert ok(index, "rebuild", str(tree), *words, data=anew.data)["claimed"] == 3
    index.start()
    ok(index, "project", "unclaim", "zebra")
    assert delegated(index, f"{LIST}-z") == []
    last = TufReader(index, tmp_path / "last")
    assert last.file("zebra", CLAIMED[2].filename) == CLAIMED[2].content
