"""`wheelmark verify --environment`: what is installed, against the signed wheels."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from harness.distributions import Distribution, sdist, wheel
from harness.index import Index
from harness.sandbox import TOOLS, Outcome, Sandbox, Venv

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])

SCHEMES = "many_schemes-1.0.data"
MANY = wheel(
    "many-schemes",
    "1.0",
    script="works",
    more={
        "many_schemes_data/table.csv": b"a,b\n",
        "with, comma.txt": b"x",
        f"{SCHEMES}/scripts/many-run": b"#!python\nimport many_schemes\nmany_schemes.main()\n",
        f"{SCHEMES}/scripts/many-shell": b"#!/bin/sh\necho works\n",
        f"{SCHEMES}/data/share/many/notes.txt": b"notes\n",
        f"{SCHEMES}/headers/many.h": b"#define MANY 1\n",
        f"{SCHEMES}/purelib/many_pure.py": b"PURE = 1\n",
    },
)
PLAIN = wheel("plain", "1.0", extra=("Requires-Dist: needed",))
NEEDED = wheel("needed", "2.0")
LARGE = wheel("large", "1.0", payload=6 * 1024 * 1024)
SOURCE = sdist("only-source", "1.0")
STRANGER = wheel("stranger", "1.0")
ALL = (MANY, PLAIN, NEEDED, LARGE)
NAMES = ("many-schemes", "plain", "large")


@pytest.fixture(scope="module")
def stored(shared_index: Index) -> Index:
    shared_index.publish(*ALL, SOURCE)
    return shared_index


@pytest.fixture
def trusting(stored: Index, sandbox: Sandbox) -> Sandbox:
    sandbox.trust(stored)
    return sandbox


def environment(tool: str, sandbox: Sandbox, index: Index, *names: object) -> Venv:
    """Filled by the real tool, without wheelmark."""
    venv = sandbox.venv()
    install = sandbox.plain_pip if tool == "pip" else sandbox.plain_uv
    install(venv, index.index_url, *(names or NAMES)).ok()
    return venv


def library(venv: Venv) -> Path:
    (found,) = venv.path.glob("lib/*/site-packages")
    return found


def verify(sandbox: Sandbox, venv: Venv, *options: object) -> tuple[int, dict]:
    done = sandbox.wheelmark("verify", "--json", "--environment", venv.path, *options)
    assert done.out.startswith("{"), f"{done}"
    (told,) = json.loads(done.out)["targets"]
    return done.code, told


def of(told: dict, project: str) -> dict:
    (one,) = [it for it in told["distributions"] if it["project"] == project]
    return one


def differences(told: dict, project: str, venv: Venv) -> dict[str, str]:
    return {str(Path(it["path"]).relative_to(venv.path.resolve())): it["what"] for it in of(told, project)["differences"]}


def below(venv: Venv, *parts: str) -> str:
    return str(library(venv).joinpath(*parts).relative_to(venv.path))


@BOTH
def test_what_pip_and_uv_install_is_as_signed(tool: str, stored: Index, trusting: Sandbox) -> None:
    venv = environment(tool, trusting, stored)
    code, told = verify(trusting, venv)
    assert code == 0 and told["holds"] and told["added"] == [], told
    assert told["kind"] == "environment"
    for dist in ALL:
        one = of(told, dist.project)
        assert one["verdict"] == "as-signed" and one["installer"] == tool, one
        assert one["wheel"]["file"] == dist.filename and one["wheel"]["sha256"] == dist.sha256
    assert told["files_as_signed"] >= 4 * 3 + 7
    # The scripts work, so that what was compared is what people have.
    for script in ("many-schemes", "many-run", "many-shell"):
        assert trusting.run(venv.path / "bin" / script).ok().out == "works\n"
    # Python compiles what it imports.
    trusting.run(venv.python, "-m", "compileall", "-q", library(venv)).ok()
    trusting.run(venv.python, "-O", "-m", "compileall", "-q", library(venv)).ok()
    code, told = verify(trusting, venv)
    assert code == 0 and told["bytecode_not_compared"] > 0
    text = trusting.wheelmark("verify", venv.path).ok().out
    assert f"{venv.path}: as signed, but " in text and "of compiled bytecode not compared\n" in text
    assert trusting.wheelmark("verify", venv.path, "--no-bytecode").failed().code == 1
    for folder in list(library(venv).rglob("__pycache__")):
        shutil.rmtree(folder)
    assert "every file is as signed" in trusting.wheelmark("verify", venv.path, "--no-bytecode").ok().out
    assert trusting.wheelmark("verify", "--environment", library(venv)).ok().out.count("as signed (index-signed)") == 4


@pytest.mark.parametrize("mode", ["hardlink", "clone", "symlink"])
def test_however_uv_puts_files_there(mode: str, stored: Index, trusting: Sandbox) -> None:
    venv = trusting.folder / "by-uv"
    trusting.run("uv", "venv", "--python", sys.executable, venv).ok()
    env = {"UV_LINK_MODE": mode, "UV_COMPILE_BYTECODE": "1"}
    trusting.plain_uv(Venv(venv), stored.index_url, *NAMES, env=env).ok()
    code, told = verify(trusting, Venv(venv))
    assert code == 0, told
    (shared,) = library(Venv(venv)).glob("plain.py")
    assert shared.is_symlink() == (mode == "symlink")


@BOTH
def test_a_changed_file_an_added_one_and_a_stranger_are_each_named(tool: str, stored: Index, trusting: Sandbox) -> None:
    venv = environment(tool, trusting, stored)
    stranger = STRANGER.write(trusting.work)
    trusting.run(TOOLS / "pip", "--python", venv.python, "install", "--no-index", stranger).ok()
    changed, added = library(venv) / "plain.py", library(venv) / "plain_helper.py"
    changed.unlink()
    changed.write_text("SAYS = 'evil'\n")
    added.write_text("")
    assert venv.says("plain") == "evil", "Python runs it without a word"

    code, told = verify(trusting, venv)
    assert code == 1 and not told["holds"]
    assert differences(told, "plain", venv) == {below(venv, "plain.py"): "changed"}
    assert [(Path(it["path"]).name, it["why"]) for it in told["added"]] == [("plain_helper.py", "no RECORD names it")]
    foreign = of(told, "stranger")
    assert foreign["verdict"] == "not-from-an-index" and stranger.name in foreign["why"]
    for whole in ("many-schemes", "needed", "large"):
        assert of(told, whole)["verdict"] == "as-signed"
    text = trusting.wheelmark("verify", "--environment", venv.path).failed().out
    assert "1 project is NOT as signed, 1 project that nobody signed, or that cannot be compared, 1 file added" in text
    assert f"\n  plain.py\n    found     changed: not the file that {PLAIN.filename} has\n" in text
    assert "\n  plain_helper.py\n    found     added: no RECORD names it\n" in text
    assert "\n  stranger\n    found     not from an index" in text

    # What the person knows of is told, and does not count.
    changed.write_bytes(b"SAYS = 'good'\n")
    excepted = ("--except", "Stranger", "--except", "./plain_helper.py")
    code, told = verify(trusting, venv, *excepted)
    assert code == 0 and of(told, "stranger")["excepted"]


def record_digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@BOTH
def test_whoever_changes_a_file_changes_its_record_too(tool: str, stored: Index, trusting: Sandbox) -> None:
    venv = environment(tool, trusting, stored)
    site = library(venv)
    record = site / "plain-1.0.dist-info" / "RECORD"
    evil = b"SAYS = 'evil'\n"
    rows = [row for row in record.read_text().splitlines() if not row.startswith("plain.py,")]
    rows += [f"plain.py,{record_digest(evil)},{len(evil)}", f"evil.pth,{record_digest(b'import os')},9"]
    record.unlink()
    record.write_text("\n".join(rows) + "\n")
    (site / "plain.py").unlink()
    (site / "plain.py").write_bytes(evil)
    (site / "evil.pth").write_bytes(b"import os")
    checked = trusting.run(TOOLS / "pip", "--python", venv.python, "check")
    assert checked.code == 0, "nothing else notices"
    code, told = verify(trusting, venv)
    assert code == 1
    assert differences(told, "plain", venv) == {below(venv, "plain.py"): "changed", below(venv, "evil.pth"): "added"}


@BOTH
def test_scripts_are_compared_behind_their_first_line(tool: str, stored: Index, trusting: Sandbox) -> None:
    venv = environment(tool, trusting, stored)
    scripts = venv.path / "bin"

    def altered(name: str, change) -> None:
        text = (scripts / name).read_text()
        (scripts / name).unlink()
        (scripts / name).write_text(change(text))

    altered("many-schemes", lambda text: text.replace("import sys\n", "import sys\nimport os\n"))
    altered("many-run", lambda text: text + "print('more')\n")
    altered("many-shell", lambda text: text.replace("works", "evil"))
    (venv.path / "share/many/notes.txt").unlink()
    code, told = verify(trusting, venv)
    assert code == 1 and differences(told, "many-schemes", venv) == {
        "bin/many-schemes": "launcher", "bin/many-run": "changed", "bin/many-shell": "changed", "share/many/notes.txt": "missing",
    }  # fmt: skip

    venv = environment(tool, trusting, stored)
    scripts = venv.path / "bin"
    for name in ("many-schemes", "many-run"):
        altered(name, lambda text: "#!/tmp/evil/python\n" + text.split("\n", 1)[1])
    code, told = verify(trusting, venv)
    assert code == 1
    assert differences(told, "many-schemes", venv) == {"bin/many-schemes": "interpreter", "bin/many-run": "interpreter"}


def test_what_was_built_here_is_said_to_be(stored: Index, trusting: Sandbox) -> None:
    venv = environment("uv", trusting, stored, "only-source")
    code, told = verify(trusting, venv)
    one = of(told, "only-source")
    assert code == 1 and one["verdict"] == "built-here" and one["sdist"]["file"] == SOURCE.filename
    assert verify(trusting, venv, "--except", "only-source")[0] == 0


def test_links_bytecode_and_odd_folders(stored: Index, trusting: Sandbox) -> None:
    venv = environment("pip", trusting, stored, "plain")
    site = library(venv)
    (site / "__pycache__").mkdir(exist_ok=True)
    version = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    shutil.copy(next(site.glob("__pycache__/plain.*.pyc")), site / "__pycache__" / f"hidden.{version}.pyc")
    shutil.copy(next(site.glob("__pycache__/plain.*.pyc")), site / "sourceless.pyc")
    (site / "linked").symlink_to(trusting.work)
    (site / "old.egg-info").mkdir()
    (site / "start.pth").write_text("import os\n")
    (site / "_virtualenv.py").write_text("evil\n")
    code, told = verify(trusting, venv)
    assert code == 1
    assert {Path(it["path"]).name for it in told["added"]} == {
        f"hidden.{version}.pyc", "sourceless.pyc", "linked", "old.egg-info", "start.pth", "_virtualenv.py",
    }  # fmt: skip


def test_bytecode_that_is_not_of_its_source(stored: Index, trusting: Sandbox) -> None:
    """Python runs it without a look at the source: the one place to hide."""
    venv = environment("pip", trusting, stored, "plain")
    (compiled,) = library(venv).glob("__pycache__/plain.*.pyc")
    evil = trusting.work / "plain.py"
    evil.write_text("SAYS = 'evil'\n")
    script = "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[2], doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"
    trusting.run(venv.python, "-c", script, evil, compiled).ok()
    assert venv.says("plain") == "evil"
    code, told = verify(trusting, venv)
    assert code == 1 and [it["why"] for it in told["added"]] == ["compiled bytecode that Python runs without a look at its source"]


def test_no_record_of_a_stranger_excuses_anything(stored: Index, trusting: Sandbox) -> None:
    venv = environment("uv", trusting, stored)
    stranger = STRANGER.write(trusting.work)
    trusting.run(TOOLS / "pip", "--python", venv.python, "install", "--no-index", "--no-compile", stranger).ok()
    assert verify(trusting, venv, "--except", "stranger")[0] == 0
    site = library(venv)
    with (site / "stranger-1.0.dist-info" / "RECORD").open("a") as record:
        record.write("evil.pth,,\nmany_schemes_data/evil.py,,\n")
    (site / "evil.pth").write_text("import os\n")
    (site / "many_schemes_data" / "evil.py").write_text("")
    code, told = verify(trusting, venv, "--except", "stranger")
    assert code == 1 and [Path(it["path"]).name for it in told["added"]] == ["evil.pth", "evil.py"]


def test_of_several_wheels_the_one_that_was_installed(make_index, sandbox: Sandbox) -> None:
    """Two builds of one version differ in a build number alone, which nothing installed tells."""
    index = make_index().start()
    first, second = wheel("twice", "1.0", says="first"), wheel("twice", "1.0", says="second", filename="twice-1.0-2-py3-none-any.whl")
    other = wheel("twice", "1.0", says="other", tag="cp27-none-any")
    index.publish(first, second, other)
    sandbox.trust(index)
    for dist in (first, second):
        venv = sandbox.venv()
        sandbox.run(TOOLS / "pip", "--python", venv.python, "install", "--no-index", dist.write(sandbox.work)).ok()
        code, told = verify(sandbox, venv)
        assert code == 0 and of(told, "twice")["wheel"]["file"] == dist.filename, "from a file, and the signed one all the same"


def test_two_wheels_with_one_file(make_index, sandbox: Sandbox) -> None:
    index = make_index().start()
    index.publish(wheel("one", "1.0", more={"shared.py": b"X = 1\n"}), wheel("two", "1.0", more={"shared.py": b"X = 2\n"}))
    sandbox.trust(index)
    venv = environment("pip", sandbox, index, "one")
    sandbox.plain_pip(venv, index.index_url, "two").ok()
    code, told = verify(sandbox, venv)
    assert code == 0, told
    (library(venv) / "shared.py").write_bytes(b"X = 3\n")
    code, told = verify(sandbox, venv)
    assert code == 1 and all(differences(told, name, venv) == {below(venv, "shared.py"): "changed"} for name in ("one", "two"))


def test_an_editable_project_and_nothing_at_all(stored: Index, trusting: Sandbox, tmp_path: Path) -> None:
    venv = environment("uv", trusting, stored, "needed")
    info = library(venv) / "mine-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 0\n")
    (info / "direct_url.json").write_text('{"url": "file:///srv/mine", "dir_info": {"editable": true}}')
    (library(venv) / "__editable__.pth").write_text("/srv/mine\n")
    (info / "RECORD").write_text("__editable__.pth,,\nmine-0.dist-info/METADATA,,\nmine-0.dist-info/direct_url.json,,\nmine-0.dist-info/RECORD,,\n")
    code, told = verify(trusting, venv)
    assert code == 1 and "the source tree file:///srv/mine, editable" in of(told, "mine")["why"]
    assert [Path(it["path"]).name for it in told["added"]] == ["__editable__.pth"], "Python runs it at every start"
    assert verify(trusting, venv, "--except", "mine", "--except", "./__editable__.pth")[0] == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    done = trusting.wheelmark("verify", "--environment", empty)
    assert done.code == 2 and "is no environment" in done.err
    trusting.run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare").ok()
    assert "every file is as signed" in trusting.wheelmark("verify", tmp_path / "bare").ok().out


def hostile(outcome: Outcome) -> bool:
    return outcome.code == 1 and "as signed (" not in outcome.out


def test_a_lying_index_is_not_believed(stored: Index, trusting: Sandbox, binary: Path) -> None:
    """The wheel that the comparison rests on is verified as any other."""
    from harness.tls import Front

    evil = wheel("needed", "2.0", says="evil")
    with Front(stored.port) as front:
        fresh = Sandbox(trusting.folder / "fresh", binary)
        fresh.wheelmark("trust", "add", front.index_url, "--root", stored.root_file).ok()
        front.lie = lambda path, body: evil.content if path.endswith(NEEDED.filename) else body
        venv = fresh.venv()
        fresh.run(TOOLS / "pip", "--python", venv.python, "install", "--no-index", evil.write(fresh.work)).ok()
        done = fresh.wheelmark("verify", "--environment", venv.path)
        assert hostile(done) and "its sha256 is not the signed one" in done.out, f"{done}"
