"""Several indexes with one map, and trust that is handed over, with real pip and real uv."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.sandbox import Sandbox, Venv

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])

OURS = wheel("acme-core", "1.0", says="ours")
THEIRS = wheel("acme-core", "99.0", says="theirs")
FLASKY = wheel("flasky", "1.0", says="public")


@pytest.fixture
def internal(index: Index) -> Index:
    index.publish(OURS)
    return index


@pytest.fixture
def public(make_index) -> Index:
    index = make_index(fresh=True).start()
    index.publish(THEIRS, FLASKY)
    return index


def rule(projects: str, *indexes: Index, **more: object) -> str:
    urls = json.dumps([index.index_url for index in indexes])
    lines = [f"[[map]]\nprojects = [{json.dumps(projects)}]\nindexes = {urls}"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in more.items()]
    return "\n".join(lines) + "\n"


def configure(folder: Path, *rules: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wheelmark.toml").write_text("\n".join(rules))


def home(sandbox: Sandbox) -> Path:
    return Path(sandbox.env["WHEELMARK_HOME"])


def plain(tool: str, sandbox: Sandbox, venv: Venv, internal: Index, public: Index):
    """The way in which people add an index to the public one, and what comes of it."""
    extra = ["--extra-index-url", internal.index_url, "acme-core"]
    if tool == "pip":
        return sandbox.plain_pip(venv, public.index_url, *extra)
    # uv takes the first index that has the project, unless it is told to take the best.
    return sandbox.plain_uv(venv, public.index_url, "--index-strategy", "unsafe-best-match", *extra)


@BOTH
def test_dependency_confusion(tool: str, internal: Index, public: Index, sandbox: Sandbox) -> None:
    fooled = sandbox.venv()
    plain(tool, sandbox, fooled, internal, public).ok()
    assert fooled.says("acme_core") == "theirs", "the attack works on the plain installer"

    sandbox.trust(internal)
    sandbox.trust(public)
    unsaid = sandbox.install(tool, sandbox.venv(), "acme-core").failed()
    assert "[[map]]" in unsaid.err and internal.index_url in unsaid.err, "an example to paste"

    configure(home(sandbox), rule("acme-*", internal), rule("*", public))
    venv = sandbox.venv()
    report = sandbox.work / "report.json"
    done = sandbox.install(tool, venv, "acme-core", "flasky", options=("--report", report)).ok()
    assert venv.installed() == {"acme-core": "1.0", "flasky": "1.0"}
    assert venv.says("acme_core") == "ours"
    files = {entry["project"]: entry["index"] for entry in json.loads(report.read_text())["files"]}
    assert files == {"acme-core": internal.index_url, "flasky": public.index_url}
    assert internal.index_url in done.err and public.index_url in done.err, "the summary names both"


@pytest.mark.parametrize("tool", ["uv"])
def test_an_index_that_the_installer_names_itself(tool: str, internal: Index, public: Index, sandbox: Sandbox) -> None:
    sandbox.trust(internal)
    sandbox.trust(public)
    configure(home(sandbox), rule("acme-*", internal), rule("*", public))
    venv = sandbox.venv()
    report = sandbox.work / "report.json"
    done = sandbox.install(
        tool, venv, "--default-index", public.index_url, "acme-core==99.0",
        options=("--mode", "connect", "--report", report),
    ).failed()
    assert venv.installed() == {}
    [refused] = [entry for entry in json.loads(report.read_text())["refused"] if entry["project"] == "acme-core"][:1]
    for index in (internal, public):
        assert index.index_url in refused["failed"], "both homes are named"
        assert index.index_url in done.err
    assert "dependency confusion" in refused["meaning"]


@BOTH
def test_a_home_that_is_down_is_not_replaced(tool: str, internal: Index, public: Index, sandbox: Sandbox) -> None:
    sandbox.trust(internal)
    sandbox.trust(public)
    configure(home(sandbox), rule("acme-*", internal, public), rule("*", public))
    internal.stop()
    venv = sandbox.venv()
    done = sandbox.install(tool, venv, "acme-core").failed()
    assert venv.installed() == {}, "not the other index's"
    assert internal.index_url in done.err
    sandbox.install(tool, venv, "flasky").ok()
    assert venv.installed() == {"flasky": "1.0"}, "what lives elsewhere is not concerned"


@BOTH
def test_two_indexes_have_to_agree(tool: str, internal: Index, public: Index, sandbox: Sandbox) -> None:
    same, here = wheel("agreed", "1.0", says="same"), wheel("agreed", "2.0", says="here")
    internal.publish(same, here, FLASKY)
    public.publish(same)
    internal.publish(wheel("differs", "1.0", says="one"))
    public.publish(wheel("differs", "1.0", says="two"))
    sandbox.trust(internal)
    sandbox.trust(public)
    configure(home(sandbox), rule("*", internal, public, threshold=2))
    venv = sandbox.venv()
    sandbox.install(tool, venv, "agreed", "flasky").ok()
    assert venv.installed() == {"agreed": "1.0", "flasky": "1.0"}
    done = sandbox.install(tool, venv, "differs").failed()
    assert "differs" not in venv.installed()
    assert internal.index_url in done.err and public.index_url in done.err


def test_an_explanation_shows_what_indexes_agree_on(internal: Index, public: Index, sandbox: Sandbox) -> None:
    same, here = wheel("agreed", "1.0", says="same"), wheel("agreed", "2.0", says="here")
    internal.publish(same, here, wheel("alone", "1.0", says="here"), wheel("differs", "1.0", says="one"))
    public.publish(same, wheel("differs", "1.0", says="two"))
    sandbox.trust(internal)
    sandbox.trust(public)
    configure(home(sandbox), rule("*", internal, public, threshold=2))

    shown = json.loads(sandbox.wheelmark("explain", "agreed", "--json").ok().out)
    assert shown["versions"] == ["1.0"], "what one lists alone is not what an installation sees"
    sandbox.wheelmark("explain", "agreed==2.0").failed()

    shown = json.loads(sandbox.wheelmark("explain", "differs", "--json").failed().out)
    [file] = shown["files"]
    assert not shown["verified"]
    assert internal.index_url in file["refused"] and public.index_url in file["refused"]
    assert "REFUSED" in sandbox.wheelmark("explain", "differs").failed().out

    alone = sandbox.wheelmark("explain", "alone").failed()
    assert "REFUSED" in alone.out and "2 indexes have to list the same" in alone.out


def test_trust_is_handed_over(internal: Index, make_index, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.trust(internal)
    file = tmp_path / "internal.json"
    sandbox.wheelmark("trust", "export", internal.index_url, "-o", file).ok()
    handed = json.loads(file.read_text())
    assert handed["index-url"] == internal.index_url
    assert {"timestamp", "snapshot", "targets", "claimed"} <= set(handed["floors"])

    other = Sandbox(tmp_path / "other", sandbox.binary)
    other.wheelmark("trust", "import", file).ok()
    venv = other.venv()
    other.install("pip", venv, "acme-core").ok()
    assert venv.says("acme_core") == "ours"

    # What the colleague saw is more than this index offers now: somebody replays an old state.
    handed["floors"]["timestamp"] += 1000
    file.write_text(json.dumps(handed))
    third = Sandbox(tmp_path / "third", sandbox.binary)
    refused = third.wheelmark("trust", "import", file).failed()
    assert "goes back from version" in refused.err
    assert third.wheelmark("trust", "list", "--json").ok().out.strip() == "[]", "nothing is stored"
    handed["root"] = handed["root"].replace("1", "2", 1)
    file.write_text(json.dumps(handed))
    third.wheelmark("trust", "import", file).failed()


def test_the_system_says_and_the_user_tightens(internal: Index, public: Index, sandbox: Sandbox, tmp_path: Path) -> None:
    system = tmp_path / "etc"
    (system / "indexes").mkdir(parents=True)
    admin = Sandbox(tmp_path / "admin", sandbox.binary)
    for name, index in (("internal", internal), ("public", public)):
        admin.trust(index)
        admin.wheelmark("trust", "export", index.index_url, "-o", system / "indexes" / f"{name}.json").ok()
    configure(system, rule("acme-*", internal))
    user = Sandbox(tmp_path / "user", sandbox.binary, {"WHEELMARK_SYSTEM_DIR": str(system)})
    listed = json.loads(user.wheelmark("trust", "list", "--json").ok().out)
    assert {entry["index_url"] for entry in listed} == {internal.index_url, public.index_url}

    # The user's rules come after: what the system says of acme-* stays.
    configure(home(user), rule("acme-*", public), rule("*", public))
    for options in ((), ("--index", public.index_url)):
        venv = user.venv()
        user.install("pip", venv, "acme-core", "flasky", options=options).ok()
        assert venv.says("acme_core") == "ours", options

    kept = user.wheelmark("trust", "remove", public.index_url).failed()
    assert str(system) in kept.err
    (system / "indexes" / "public.json").unlink()
    listed = json.loads(user.wheelmark("trust", "list", "--json").ok().out)
    assert [entry["index_url"] for entry in listed] == [internal.index_url]

    # A user who trusts another index under this URL is told.
    stranger = Sandbox(tmp_path / "stranger", sandbox.binary)
    stranger.trust(internal)
    forged = json.loads((system / "indexes" / "internal.json").read_text())
    admin.wheelmark("trust", "export", public.index_url, "-o", tmp_path / "p.json").ok()
    theirs = json.loads((tmp_path / "p.json").read_text())
    forged |= {key: theirs[key] for key in ("root", "root-version", "root-fingerprint")}
    (system / "indexes" / "internal.json").write_text(json.dumps(forged))
    in_conflict = {"WHEELMARK_SYSTEM_DIR": str(system)}
    told = stranger.run(stranger.binary, "trust", "list", env=in_conflict).ok()
    assert "internal.json" in told.out and "trust remove" in told.out
    told = stranger.run(stranger.binary, "trust", "show", internal.index_url, env=in_conflict).failed()
    assert "internal.json" in told.err and "trust remove" in told.err
    unused = stranger.run(stranger.binary, "explain", "acme-core", env=in_conflict).failed()
    assert "internal.json" in unused.out, "nothing is read by it"

    (system / "indexes" / "internal.json").chmod(0o666)
    open_to_all = user.wheelmark("trust", "list").failed()
    assert "internal.json" in open_to_all.err and "write" in open_to_all.err


def test_a_misspelt_key_is_no_safeguard(internal: Index, sandbox: Sandbox) -> None:
    sandbox.trust(internal)
    configure(home(sandbox), "strickt = true\n")
    said = sandbox.run(sandbox.binary, "pip", "--version").failed().err
    for part in ("wheelmark.toml", "line 1", "strickt", "`strict`"):
        assert part in said, said
