"""Who has to have attested what a lock file names (PEP 751), with real pip and real uv.

The lock files are those that the tools themselves write; pip and uv install from them whatever they
say about attestations.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.index import Index
from harness.locked import EVIL, OURS, World, add, attested_index, believe, identity
from harness.sandbox import Sandbox
from harness.sigstore import PrivateSigstore

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> PrivateSigstore:
    return PrivateSigstore(tmp_path_factory.mktemp("sigstore"))


@pytest.fixture(scope="module")
def stored(_make, sigstore: PrivateSigstore, tmp_path_factory: pytest.TempPathFactory, binary: Path) -> Iterator[Index]:
    with attested_index(_make, sigstore, Sandbox(tmp_path_factory.mktemp("owner"), binary)) as index:
        yield index


@pytest.fixture
def world(stored: Index, sandbox: Sandbox, sigstore: PrivateSigstore) -> World:
    sandbox.trust(stored)
    believe(sandbox, sigstore)
    return World(stored, sandbox, sigstore)


@BOTH
def test_a_lock_with_the_right_identity(tool: str, world: World) -> None:
    lock = world.lock(tool, "demo")
    add(lock, identity(EVIL) + identity(OURS))
    done, venv, report = world.install(tool, lock)
    done.ok()
    assert venv.says("demo") == "demo"
    assert "wheelmark: pylock.toml says who has to have attested the files of 1 project\n" in done.err
    [file] = report["files"]
    assert file["provenance"].startswith(f"attested as {OURS}") and file["identity_from"] == "lock-file"
    assert f"demo attested as {OURS}" in done.err and "as the lock file asks" in done.err
    # Once more: what a lock names is remembered, as what is seen first.
    done, _, report = world.install(tool, lock)
    assert done.ok() and report["files"][0]["identity_from"] == "lock-file"
    assert OURS in world.sandbox.wheelmark("trust", "identities", "list").ok().out

    code, told = world.verify(lock)
    assert code == 0 and told["holds"]
    assert all(file["attested_by"][0].startswith(OURS) for file in told["packages"][0]["files"])
    text = world.sandbox.wheelmark("verify", lock).ok().out
    assert "every file is signed, and attested by whom the lock names" in text and f"attested as {OURS}" in text


@BOTH
@pytest.mark.parametrize("what", ["another", "nobody"])
def test_a_lock_whose_identity_is_wrong(tool: str, what: str, world: World) -> None:
    """Both install it without a word; both are refused the file here."""
    project = {"another": "demo", "nobody": "bare"}[what]
    lock = world.lock(tool, project)
    add(lock, identity(EVIL))
    line = 1 + lock.read_text().splitlines().index("[[packages.attestation-identities]]")
    assert world.plain(tool, lock).says(project) == project, "installers do not look"

    done, venv, report = world.install(tool, lock)
    done.failed()
    assert venv.installed() == {}
    assert "connect mode" in done.err
    [refused] = report["refused"]
    why = {
        "another": f"{OURS} attests to it, and not one of those asked for",
        "nobody": "none of those asked for attests to it: its page names no provenance",
    }[what]
    assert why in refused["failed"], refused
    assert f"`attestation-identities: {EVIL}`, line {line} of pylock.toml" in refused["failed"], refused
    assert why in done.text and "do not install it by another way" in refused["next"]
    # Nobody is remembered by what was refused.
    assert EVIL not in world.sandbox.wheelmark("trust", "identities", "list").ok().text

    code, told = world.verify(lock)
    assert code == 1
    [package] = told["packages"]
    assert not package["holds"] and {file["verdict"] for file in package["files"]} == {"signed"}
    assert all(why in file["lacks"][0] for file in package["files"])
    text = world.sandbox.wheelmark("verify", lock).failed().out
    assert "1 package is NOT attested by whom the lock names" in text and why in text
    world.sandbox.wheelmark("verify", lock, "--except", project).ok()


def test_every_way_to_name_a_lock(world: World) -> None:
    lock = world.lock("uv", "demo")
    add(lock, identity(EVIL))
    named = lock.with_name("pylock.dev.toml")
    named.write_text(lock.read_text())

    def refused(*words: object, options: tuple[object, ...] = (), env: dict[str, str] | None = None) -> None:
        venv = world.sandbox.venv()
        command = [venv.python if word == "PYTHON" else word for word in words]
        done = world.sandbox.wheelmark("exec", *options, "--", *command, cwd=lock.parent, env=env)
        assert done.code != 0 and "not one of those asked for" in done.text and venv.installed() == {}, f"{done}"

    refused("uv", "pip", "sync", "--python", "PYTHON", "pylock.toml")
    refused("uv", "pip", "install", "--python", "PYTHON", "--requirements=pylock.dev.toml")
    refused("pip", "--python", "PYTHON", "install", "-rpylock.dev.toml")
    refused("pip", "--python", "PYTHON", "install", "-r", "pylock.toml[some]")
    refused("pip", "--python", "PYTHON", "install", "-r", lock.as_uri())
    refused("pip", "--python", "PYTHON", "download", "-d", "out", "-r", "./pylock.toml")
    refused("pip", "--python", "PYTHON", "install", env={"PIP_REQUIREMENT": str(lock)}, options=("--mode", "connect"))
    script = lock.with_name("install.sh")
    script.write_text('pip --python "$1" install -r pylock.toml\n')
    refused("sh", script, "PYTHON", options=("--mode", "connect", "--lock", "pylock.toml"))
    # The same version, by whatever way it comes to be installed.
    refused("pip", "--python", "PYTHON", "install", "demo", options=("--lock", "pylock.toml"))

    # What a script runs is not known; that the lock is not asked is said.
    venv = world.sandbox.venv()
    done = world.sandbox.wheelmark("exec", "--mode", "connect", "--", "sh", script, venv.python, cwd=lock.parent)
    assert "NOT asked: pylock.toml names who" in done.ok().err and "--lock pylock.toml" in done.err
    done = world.sandbox.wheelmark("exec", "--", "pip", "--python", venv.python, "list", cwd=world.sandbox.work)
    assert "NOT asked" not in done.ok().err

    plain = world.lock("uv", "demo")
    done, _, _ = world.install("pip", plain, "--lock", plain)
    assert done.code == 1 and "names nobody" in done.err and "wheelmark lock attest" in done.err


def test_a_lock_that_came_with_a_project_names_nobody_for_the_person(world: World) -> None:
    right = world.lock("uv", "demo")
    add(right, identity(OURS))
    venv = world.sandbox.venv()
    world.sandbox.wheelmark("trust", "identities", "accept", "demo", EVIL).ok()
    done, venv, report = world.install("pip", right)
    done.failed()
    assert "changed hands" in report["refused"][0]["failed"] and venv.installed() == {}
    # What the person says of it goes before what was remembered.
    believe(world.sandbox, world.sigstore, f'[[for]]\nprojects = ["demo"]\nattested-by = ["{OURS}"]\n')
    done, venv, report = world.install("pip", right)
    done.ok()
    assert report["files"][0]["identity_from"] == "policy"
    wrong = world.lock("uv", "demo")
    add(wrong, identity(EVIL))
    world.install("pip", wrong)[0].failed()


def test_what_names_nobody_is_refused_before_anything_runs(world: World) -> None:
    for members, why in {
        'kind = "GitHub"': "needs `repository`",
        'kind = "GitHub"\nrepository = "o/r"\nworkflow = "r.yml"\nref = "refs/heads/main"': "has no `ref`",
        'kind = "GitHub"\nrepository = 5\nworkflow = "r.yml"': "invalid type",
        'kind = "GitHub"\nrepository = "../r"\nworkflow = "r.yml"': "is not",
        'kind = ["GitHub"]': "it has no `kind`",
        'repository = "o/r"': "it has no `kind`",
        'kind = "OIDC"\nsubject = "*"\nissuer = "https://ci.demo.example"': "is not",
    }.items():
        lock = world.lock("uv", "demo")
        add(lock, f"\n[[packages.attestation-identities]]\n{members}\n")
        line = 1 + lock.read_text().splitlines().index("[[packages.attestation-identities]]")
        done = world.sandbox.wheelmark("exec", "--", "pip", "install", "-r", lock, cwd=lock.parent)
        assert done.code == 1 and why in done.err, f"{members}: {done}"
        assert f"line {line}: an attestation identity of demo names nobody" in done.err, f"{members}: {done}"
        assert "connect mode" not in done.err, "it was run"
        assert world.sandbox.wheelmark("verify", lock).code == 1

    # A kind that is not known can be read, and is nobody's here.
    lock = world.lock("uv", "demo")
    add(lock, '\n[[packages.attestation-identities]]\nkind = "ActiveState"\nproject = "x"\n')
    done, venv, report = world.install("uv", lock)
    done.failed()
    assert "publishers of known kinds, and `ActiveState` is none of them" in report["refused"][0]["failed"]
    assert venv.installed() == {}
    add(lock, identity(OURS))
    world.install("uv", lock)[0].ok()
    # A lock of a later version could ask for more than is understood.
    lock.write_text(lock.read_text().replace('lock-version = "1.0"', 'lock-version = "2.0"'))
    assert "cannot be followed" in world.sandbox.wheelmark("exec", "--", "pip", "install", "-r", lock).failed().err
