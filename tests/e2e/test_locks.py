"""`wheelmark verify LOCK` and `wheelmark lock rewrite`, with the lock files of the real tools.

The index is reached through a front that counts and can lie.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.distributions import sdist, wheel
from harness.index import Index
from harness.sandbox import Outcome, Sandbox
from harness.tls import Front

GOOD = wheel("locked-wheel", "1.0", says="good", extra=("Requires-Dist: needed-wheel>=1",))
NEEDED = wheel("needed-wheel", "1.2", says="good")
SOURCE = sdist("locked-source", "1.0", says="good")
OTHER = wheel("other-wheel", "2.0", says="good")
EVIL = wheel("locked-wheel", "1.0", says="evil", extra=("Requires-Dist: needed-wheel>=1",))

POETRY = """
[tool.poetry]
package-mode = false
[[tool.poetry.source]]
name = "ours"
url = "{url}"
priority = "primary"
"""
PDM = "[tool.pdm]\ndistribution = false\n"

KINDS = ["uv", "pylock by pip", "pylock by uv", "poetry", "pdm", "requirements by uv"]


@pytest.fixture(scope="module")
def stored(shared_index: Index) -> Index:
    shared_index.publish(GOOD, NEEDED, SOURCE, OTHER)
    return shared_index


@dataclass
class World:
    front: Front
    sandbox: Sandbox
    index: Index
    projects: int = 0

    def folder(self, tool: str = "", needs: tuple[str, ...] = ("locked-wheel",)) -> Path:
        self.projects += 1
        folder = self.sandbox.work / f"project{self.projects}"
        folder.mkdir()
        listed = ", ".join(f'"{need}"' for need in needs)
        # Where poetry makes its environment, it decides when it locks.
        (folder / "poetry.toml").write_text("[virtualenvs]\nin-project = true\n")
        head = f'[project]\nname = "mine"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = [{listed}]\n'
        (folder / "pyproject.toml").write_text(head + tool)
        return folder

    def plain(self, *command: object, cwd: Path) -> Outcome:
        """Without wheelmark, with nothing cached."""
        caches = str(cwd / "caches")
        env = {
            "UV_DEFAULT_INDEX": self.front.index_url, "UV_NO_CACHE": "1",
            "PIP_INDEX_URL": self.front.index_url, "PIP_NO_CACHE_DIR": "1",
            "PDM_PYPI_URL": self.front.index_url, "PDM_CACHE_DIR": caches, "POETRY_CACHE_DIR": caches,
        }  # fmt: skip
        return self.sandbox.run(*command, cwd=cwd, env=env)

    def lock(self, kind: str) -> Path:
        """A lock of `locked-wheel` and what it needs, by the real tool."""
        tool = {"poetry": POETRY.format(url=self.front.index_url), "pdm": PDM}.get(kind, "")
        folder = self.folder(tool)
        match kind:
            case "uv":
                self.plain("uv", "lock", cwd=folder).ok()
                return folder / "uv.lock"
            case "pylock by pip":
                self.plain("pip", "lock", "-o", "pylock.toml", "locked-wheel", cwd=folder).ok()
                return folder / "pylock.toml"
            case "pylock by uv":
                self.plain("uv", "export", "--format", "pylock.toml", "-o", "pylock.dev.toml", "--no-emit-project", cwd=folder).ok()
                return folder / "pylock.dev.toml"
            case "requirements by uv":
                (folder / "in.txt").write_text("locked-wheel\n")
                self.plain(
                    "uv", "pip", "compile", "--generate-hashes", "--emit-index-url", "in.txt", "-o", "requirements.txt", cwd=folder
                ).ok()
                return folder / "requirements.txt"
            case _:
                self.plain(kind, "lock", cwd=folder).ok()
                return folder / f"{kind}.lock"

    def verify(self, lock: Path, *options: object) -> tuple[int, dict]:
        done = self.sandbox.wheelmark("verify", "--json", lock, *options)
        assert done.out.startswith("{"), f"{done}"
        (target,) = json.loads(done.out)["targets"]
        return done.code, target

    def install(self, lock: Path) -> tuple[Outcome, str]:
        """What the tool that a lock belongs to does with it, without wheelmark; what is installed then says."""
        folder = lock.parent
        venv = self.sandbox.venv()
        match lock.name:
            case "uv.lock":
                done = self.plain("uv", "sync", "--frozen", cwd=folder)
            case "poetry.lock":
                done = self.plain("poetry", "install", cwd=folder)
            case "pdm.lock":
                done = self.plain("pdm", "install", cwd=folder)
            case _:
                done = self.plain("pip", "--python", venv.python, "install", "-r", lock.name, cwd=folder)
        own = folder / ".venv" / "bin" / "python"
        python = own if own.exists() else venv.python
        said = self.sandbox.run(python, "-c", "import locked_wheel; print(locked_wheel.SAYS)")
        return done, said.out.strip()


@pytest.fixture
def world(stored: Index, tmp_path: Path, binary: Path) -> Iterator[World]:
    with Front(stored.port) as front:
        sandbox = Sandbox(tmp_path / "sandbox", binary)
        sandbox.wheelmark("trust", "add", front.index_url, "--root", stored.root_file).ok()
        yield World(front, sandbox, stored)


def packages(told: dict) -> dict[str, dict]:
    return {package["project"]: package for package in told["packages"]}


def verdicts(told: dict, project: str) -> list[str]:
    return [file["verdict"] for file in packages(told)[project]["files"]]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_real_tools_lock_is_signed(world: World, kind: str) -> None:
    lock = world.lock(kind)
    world.front.asked.clear()
    code, told = world.verify(lock)
    assert code == 0 and told["holds"], told
    assert told["kind"] == "lock" and set(packages(told)) == {"locked-wheel", "needed-wheel"}
    for project, dist in (("locked-wheel", GOOD), ("needed-wheel", NEEDED)):
        package = packages(told)[project]
        assert package["version"] == dist.version and package["index"] == world.front.index_url
        assert [(file["file"], file["verdict"]) for file in package["files"]] == [(dist.filename, "signed")]
        assert package["index_named"] is None and package["chain"] == "index-signed"
    asked = [path for path in world.front.asked if "/packages/" in path]
    assert asked == [], "no file was fetched"
    text = world.sandbox.wheelmark("verify", lock).ok().out
    assert re.search(r"locked-wheel +1.0 +1 +signed \(index-signed\)", text), text
    assert f"{lock}: every file is signed\n" in text


def evil_twin(path: str, body: bytes) -> bytes:
    """Another file, and a page, metadata and targets that all agree with it."""
    if path.endswith(GOOD.filename):
        return EVIL.content
    if path.endswith(".metadata"):
        return body
    if "/simple/locked-wheel" in path or "/metadata/" in path:
        good = {GOOD.sha256: EVIL.sha256, f'"size":{len(GOOD.content)}': f'"size":{len(EVIL.content)}'}
        text = body.decode()
        for old, new in good.items():
            text = text.replace(old, new)
        return text.encode()
    return body


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_that_was_made_while_somebody_lied(world: World, kind: str) -> None:
    """The tool locks the evil twin and installs it by its hash, without a word."""
    world.front.lie = evil_twin
    lock = world.lock(kind)
    assert EVIL.sha256 in lock.read_text()
    done, says = world.install(lock)
    assert done.code == 0 and says == "evil", f"{done}"

    world.front.lie = lambda _path, body: body
    code, told = world.verify(lock)
    assert code == 1 and not told["holds"]
    expected = "not-listed" if kind.startswith("requirements") else "other-bytes"
    assert verdicts(told, "locked-wheel") == [expected]
    assert verdicts(told, "needed-wheel") == ["signed"]
    text = world.sandbox.wheelmark("verify", lock).failed().out
    assert "1 package is NOT what is signed" in text and "do not install from this lock" in text
    if expected == "other-bytes":
        assert GOOD.sha256 in text and EVIL.sha256 in text

    # Asked while the lie goes on, nothing is told that was not verified.
    world.front.lie = evil_twin
    fresh = Sandbox(world.sandbox.folder / "fresh", world.sandbox.binary)
    fresh.wheelmark("trust", "add", world.front.index_url, "--root", world.index.root_file)
    assert fresh.wheelmark("verify", lock).code != 0


def test_files_of_other_projects_and_other_versions(world: World) -> None:
    """Signed, and not what the lock says that it is."""
    lock = world.lock("uv")
    honest = lock.read_text()
    foreign = f"{world.front.base}/packages/other-wheel/{OTHER.filename}"
    text = re.sub(rf'url = "[^"]*{GOOD.filename}", hash = "sha256:{GOOD.sha256}", size = \d+', f'url = "{foreign}", hash = "sha256:{OTHER.sha256}"', honest)
    assert text != honest
    lock.write_text(text)
    code, told = world.verify(lock)
    assert code == 1 and verdicts(told, "locked-wheel") == ["not-listed"]

    lock.write_text(honest.replace('version = "1.2"', 'version = "1.1"'))
    code, told = world.verify(lock)
    assert code == 1 and verdicts(told, "needed-wheel") == ["other-version"]

    lock.write_text(re.sub(r"size = \d+", "size = 7", honest))
    code, told = world.verify(lock)
    assert code == 1 and verdicts(told, "needed-wheel") == ["other-length"]

    world.front.lie = lambda path, body: b"" if path.startswith("/metadata/") else body
    fresh = Sandbox(world.sandbox.folder / "fresh", world.sandbox.binary)
    assert fresh.wheelmark("trust", "add", world.front.index_url, "--root", world.index.root_file).code != 0


def test_yanked_removed_and_withheld(make_index, sandbox: Sandbox) -> None:
    index = make_index().start()
    yanked, removed, held = wheel("yanked", "1"), wheel("removed", "1"), wheel("held", "1")
    kept = wheel("removed", "2")
    index.publish(yanked, removed, kept, held)
    sandbox.trust(index)
    lock = sandbox.work / "poetry.lock"
    rows = "".join(
        f'[[package]]\nname = "{d.project}"\nversion = "1"\nfiles = [{{file = "{d.filename}", hash = "sha256:{d.sha256}"}}]\n'
        for d in (yanked, removed, held)
    )
    lock.write_text(rows + '[metadata]\nlock-version = "2.1"\n')
    sandbox.wheelmark("verify", lock).ok()

    def order(*words: object) -> None:
        sandbox.run(sandbox.binary, "index", *words, "--data", index.data, env=index.env).ok()

    order("yank", "yanked", "1", "--reason", "eats the disk")
    order("remove", "removed", "1", "--yes")
    order("status", "held", "quarantined", "--reason", "malware")
    done = sandbox.wheelmark("verify", lock, "--json").failed()
    (told,) = json.loads(done.out)["targets"]
    assert verdicts(told, "removed") == ["removed"] and verdicts(told, "held") == ["withheld"]
    (file,) = packages(told)["yanked"]["files"]
    assert file["verdict"] == "signed" and file["yanked"] == "eats the disk"
    text = sandbox.wheelmark("verify", lock).failed().out
    assert "yanked: eats the disk" in text and "took it away" in text
    sandbox.wheelmark("verify", lock, "--except", "removed", "--except", "held").ok()


def test_what_is_not_from_an_index_is_never_called_verified(world: World) -> None:
    lock = world.lock("uv")
    text = lock.read_text()
    lock.write_text(text + '\n[[package]]\nname = "forked"\nversion = "1"\nsource = { git = "https://git.example/f?rev=x#abc" }\n')
    code, told = world.verify(lock)
    assert code == 1
    kinds = {other["project"]: other["kind"] for other in told["not_from_an_index"]}
    assert kinds == {"mine": "tree", "forked": "repository"}
    shown = world.sandbox.wheelmark("verify", lock).failed().out
    assert "1 not from an index" in shown and "forked: a repository, https://git.example/f?rev=x#abc" in shown
    world.sandbox.wheelmark("verify", lock, "--except", "Forked").ok()

    pylock = world.folder() / "pylock.toml"
    hashed = f'hashes = {{ sha256 = "{GOOD.sha256}" }}'
    pylock.write_text(
        'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "locked-wheel"\nversion = "1.0"\n'
        f'[[packages.wheels]]\npath = "./{GOOD.filename}"\n{hashed}\n'
        f'[[packages]]\nname = "needed-wheel"\narchive = {{ url = "https://x.example/{NEEDED.filename}", {hashed} }}\n'
    )
    code, told = world.verify(pylock)
    assert code == 1 and verdicts(told, "locked-wheel") == ["not-from-an-index"]
    assert [other["kind"] for other in told["not_from_an_index"]] == ["url"]


def test_a_source_tree_in_the_place_of_a_project(world: World) -> None:
    lock = world.lock("uv")
    honest = lock.read_text()
    tree = '\n[[package]]\nname = "{}"\nversion = "1"\nsource = {{ editable = "{}" }}\n'
    for name, place, code in (("beside", "packages/beside", 0), ("beside", "../beside", 1), ("other-wheel", "packages/other", 1)):
        lock.write_text(honest + tree.format(name, place))
        assert world.verify(lock)[0] == code, (name, place)


def test_a_good_digest_beside_another_ones(world: World) -> None:
    """An installer is content with any of them: pip installs the evil file by the second."""
    folder = world.folder()
    lock = folder / "pylock.toml"
    twin = wheel("locked-wheel", "1.0", says="evil")
    evil = twin.write(folder / "evil")
    other = hashlib.sha512(twin.content).hexdigest()
    lock.write_text(
        'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "locked-wheel"\nversion = "1.0"\n'
        f'[[packages.wheels]]\nurl = "{evil.as_uri()}"\nhashes = {{ sha256 = "{GOOD.sha256}", sha512 = "{other}" }}\n'
    )
    done, says = world.install(lock)
    assert done.code == 0 and says == "evil", f"{done}"
    code, told = world.verify(lock)
    assert code == 1 and verdicts(told, "locked-wheel") == ["no-signed-hash"]


def test_includes_stay_below_the_file(world: World) -> None:
    folder = world.folder()
    secret = world.sandbox.work / "secret.txt"
    secret.write_text("machine a.example password s3cret\n")
    (folder / "requirements.txt").write_text("-r ../secret.txt\n")
    done = world.sandbox.wheelmark("verify", folder / "requirements.txt").failed()
    assert "s3cret" not in done.text and "which were not read" in done.out


def test_an_identity_that_the_lock_names_and_nobody_attests(world: World) -> None:
    lock = world.lock("pylock by pip")
    identity = '\n[[packages.attestation-identities]]\nkind = "GitHub"\nrepository = "o/r"\nworkflow = "x.yml"\n'
    lock.write_text(lock.read_text() + identity)
    code, told = world.verify(lock)
    assert code == 1
    lacking = [file["lacks"] for package in told["packages"] for file in package["files"] if "lacks" in file]
    assert len(lacking) == 1 and "its page names no provenance" in lacking[0][0]


def test_requirements_with_and_without_hashes(world: World) -> None:
    folder = world.folder()
    (folder / "more.txt").write_text(f"needed-wheel==1.2 --hash=sha256:{NEEDED.sha256}\n")
    lock = folder / "requirements.txt"
    lock.write_text(f"-r more.txt\nlocked-wheel==1.0 \\\n    --hash=sha256:{GOOD.sha256}\n")
    code, told = world.verify(lock)
    assert code == 0 and set(packages(told)) == {"locked-wheel", "needed-wheel"}
    assert packages(told)["locked-wheel"]["files"][0]["file"] == GOOD.filename

    lock.write_text("locked-wheel==1.0\nneeded-wheel>=1\nother-wheel==9\nabsent==1\n")
    code, told = world.verify(lock)
    troubles = {name: package["trouble"] for name, package in packages(told).items()}
    assert code == 1 and troubles == {
        "locked-wheel": "no-hashes", "needed-wheel": "not-pinned", "other-wheel": "no-such-version", "absent": "not-on-its-index",
    }  # fmt: skip
    text = world.sandbox.wheelmark("verify", lock).failed().out
    assert "no hash is locked: whoever follows it takes whatever the index serves then" in text

    lock.write_text(f"locked-wheel==1.0 --hash=sha256:{GOOD.sha256} --hash=sha256:{EVIL.sha256}\n")
    code, told = world.verify(lock)
    assert code == 1 and verdicts(told, "locked-wheel") == ["signed", "not-listed"], "any of its hashes would be taken"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("uv.lock", "version = 2\n", "version 2 of uv.lock, and 1 is what is understood"),
        ("pylock.toml", 'lock-version = "2.0"\n', "version 2.0 of pylock.toml"),
        ("poetry.lock", '[metadata]\nlock-version = "3.0"\n', "version 3.0 of poetry.lock"),
        ("pdm.lock", '[metadata]\nlock_version = "5.0"\n', "version 5.0 of pdm.lock"),
        ("uv.lock", "version = 1\nversion = 1\n", "it is not TOML"),
        ("requirements.txt", "--frobnicate\n", "is no requirement and no option"),
        (
            "poetry.lock",
            '[[package]]\nname = "a"\nversion = "1"\nfiles = [{file = "../../a-1.tar.gz", hash = "sha256:%s"}]\n[metadata]\nlock-version = "2.1"\n' % ("0" * 64),
            "whose name is not the name of one file: `../../a-1.tar.gz`",
        ),
        (
            "uv.lock",
            'version = 1\n[[package]]\nname = "a"\nversion = "1"\nsource = { registry = "https://x/simple" }\nwheels = [{ url = "https://x/..%2f..%2fa.whl" }]\n',
            "whose name is not the name of one file",
        ),
        ("uv.lock", 'version = 1\n[[package]]\nname = "../a"\nversion = "1"\nsource = { virtual = "." }\n', "package 1 has a name that is none"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_the_reason(world: World, name: str, text: str, said: str) -> None:
    lock = world.folder() / name
    lock.write_text(text)
    done = world.sandbox.wheelmark("verify", lock)
    assert done.code == 1 and said in done.err and "hint:" in done.err, f"{done}"
    assert world.front.asked.count("/packages/") == 0


def test_files_that_are_no_lock(world: World) -> None:
    for name in ("Cargo.lock", "pyproject.toml"):
        file = world.sandbox.work / name
        file.write_text("")
        done = world.sandbox.wheelmark("verify", file)
        assert done.code == 2 and "no lock file that is known by its name" in done.err


def test_several_indexes_and_the_one_that_a_lock_names(world: World, make_index) -> None:
    own = wheel("acme-own", "1.0", says="good")
    private = make_index(fresh=True).start()
    private.publish(own)
    world.index.publish(wheel("acme-own", "9.0", says="confused"))
    world.sandbox.trust(private)
    rule = '[[map]]\nprojects = ["{}"]\nindexes = ["{}"]\n'
    home = Path(world.sandbox.env["WHEELMARK_HOME"])
    (home / "wheelmark.toml").write_text(rule.format("acme-*", private.index_url) + rule.format("*", world.front.index_url))
    folder = world.folder(needs=("acme-own", "needed-wheel"))
    world.plain("uv", "lock", cwd=folder).ok()
    code, told = world.verify(folder / "uv.lock")
    confused = packages(told)["acme-own"]
    assert code == 1 and confused["version"] == "9.0" and confused["index"] == private.index_url
    assert confused["index_named"] == world.front.index_url and [f["verdict"] for f in confused["files"]] == ["not-listed"]
    assert packages(told)["needed-wheel"]["holds"]


# Rewriting.


def caught(world: World) -> tuple[Path, bytes]:
    """A lock that caught the URL of a run's proxy, and the one that it should have been."""
    plain = world.lock("uv")
    folder = world.folder()
    done = world.sandbox.wheelmark("exec", "--mode", "index", "--", "uv", "lock", cwd=folder).ok()
    lock = folder / "uv.lock"
    assert f"wheelmark lock rewrite {lock}" in done.err, f"{done}"
    assert world.front.base not in lock.read_text()
    return lock, plain.read_bytes()


def test_real_urls_are_put_back(world: World) -> None:
    lock, plain = caught(world)
    before = lock.read_bytes()
    assert world.install(lock)[0].code != 0, "nobody can use it"
    lock.chmod(0o640)
    done = world.sandbox.wheelmark("lock", "rewrite", lock, "--check")
    assert done.code == 1 and lock.read_bytes() == before and "nothing was changed" in done.out
    done = world.sandbox.wheelmark("lock", "rewrite", lock).ok()
    assert lock.read_bytes() == plain, "byte for byte what uv writes without a proxy"
    assert lock.stat().st_mode & 0o777 == 0o640
    assert f"-> {world.front.base}/packages/locked-wheel/{GOOD.filename}\n" in done.out
    assert [path.name for path in lock.parent.iterdir() if path.name.startswith(".tmp")] == []
    done = world.sandbox.wheelmark("lock", "rewrite", lock, "--check").ok()
    assert "no URL of a proxy in it" in done.out
    done, says = world.install(lock)
    assert done.code == 0 and says == "good"


def test_what_cannot_be_rewritten_is_left_and_told(world: World) -> None:
    lock, _ = caught(world)
    text = lock.read_text().replace(NEEDED.filename, "needed_wheel-7.0-py3-none-any.whl")
    lock.write_text("# a comment of mine\n" + text)
    done = world.sandbox.wheelmark("lock", "rewrite", lock, "--json")
    told = json.loads(done.out)
    left = [url for url in told["urls"] if url["new"] is None]
    assert done.code == 1 and len(left) == 1 and "does not list it" in left[0]["why_not"]
    assert lock.read_text().startswith("# a comment of mine\n")
    assert f"{world.front.base}/packages/locked-wheel/{GOOD.filename}" in lock.read_text()


def test_requirements_and_other_places_are_rewritten(world: World) -> None:
    folder = world.folder()
    (folder / "in.txt").write_text("locked-wheel\n")
    words = ("uv", "pip", "compile", "--generate-hashes", "--emit-index-url", "in.txt", "-o", "requirements.txt")
    world.sandbox.wheelmark("exec", "--", *words, cwd=folder).ok()
    lock = folder / "requirements.txt"
    assert "/simple" in lock.read_text() and world.front.base not in lock.read_text()
    world.sandbox.wheelmark("lock", "rewrite", lock).ok()
    named = re.search(r"--index-url (\S+)", lock.read_text())
    assert named and named[1].rstrip("/") == world.front.index_url.rstrip("/")
    code, _ = world.verify(lock)
    assert code == 0

    elsewhere = world.lock("uv")
    honest = elsewhere.read_bytes()
    elsewhere.write_text(honest.decode().replace(world.front.base, "https://cache.example/team"))
    done = world.sandbox.wheelmark("lock", "rewrite", elsewhere).ok()
    assert "no URL of a proxy in it" in done.out
    world.sandbox.wheelmark("lock", "rewrite", elsewhere, "--from", "https://cache.example/team/").ok()
    assert elsewhere.read_bytes() == honest
