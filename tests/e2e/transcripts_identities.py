"""Prints what a person sees of who attests to what: more transcripts of `docs/refusals.md`.

    WHEELMARK_BIN=target/debug/wheelmark python tests/e2e/transcripts_identities.py [TITLE…]

Made as those of `transcripts.py`, with a Sigstore of the script's own.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.distributions import wheel
from harness.hostile import Replay
from harness.index import Index
from harness.locked import World, add, believe, identity
from harness.mirror import Mirror, record
from harness.sandbox import Sandbox, environment
from harness.sigstore import PrivateSigstore
from transcripts import Stage, transcript

OURS = "release@tide.example+https://ci.tide.example"
OTHER = "release@other.example+https://ci.tide.example"

Tree = dict[str, bytes]


@dataclass
class Scenery:
    """What the index had: one version after the other."""

    attested: Tree
    by_another: Tree
    by_nobody: Tree


@dataclass(frozen=True)
class Scene:
    title: str
    command: tuple[str, ...]
    prepare: Callable[[Stage, Scenery], object]
    fails: bool = True


def nothing(_stage: Stage, _scenery: Scenery) -> None:
    pass


def installed_before(stage: Stage, _scenery: Scenery) -> None:
    stage.sandbox.wheelmark("exec", "--", "pip", "install", "tide-tables").ok()
    # Another environment: what is installed already would do otherwise.
    stage.python()


def changed_hands(stage: Stage, scenery: Scenery) -> None:
    installed_before(stage, scenery)
    stage.mirror.mount(Replay(scenery.by_another))


def vanished(stage: Stage, scenery: Scenery) -> None:
    installed_before(stage, scenery)
    stage.mirror.mount(Replay(scenery.by_nobody))


def locked(stage: Stage, _scenery: Scenery) -> None:
    stage.sandbox.run("pip", "lock", "--index-url", stage.mirror.index_url, "tide-tables").ok()


def wrongly_locked(stage: Stage, scenery: Scenery) -> None:
    locked(stage, scenery)
    add(stage.sandbox.work / "pylock.toml", identity(OTHER))


EXEC = ("wheelmark", "exec", "--")
SCENES = (
    Scene("first-use", (*EXEC, "pip", "install", "tide-tables"), nothing, fails=False),
    Scene("changed-hands", (*EXEC, "uv", "pip", "install", "tide-tables"), changed_hands),
    Scene("vanished", (*EXEC, "pip", "install", "tide-tables"), vanished),
    Scene("lock-attest", ("wheelmark", "lock", "attest", "pylock.toml"), locked, fails=False),
    Scene("lock-pip", (*EXEC, "pip", "install", "-r", "pylock.toml"), wrongly_locked),
    Scene("lock-uv", (*EXEC, "uv", "pip", "sync", "pylock.toml"), wrongly_locked),
)


def play(scene: Scene, index: Index, sigstore: PrivateSigstore, scenery: Scenery, folder: Path) -> str:
    sandbox = Sandbox(folder / scene.title, index.binary)
    believe(sandbox, sigstore)
    with Mirror(scenery.attested) as mirror:
        sandbox.wheelmark("trust", "add", mirror.index_url, "--root", index.root_file).ok()
        stage = Stage(sandbox, mirror)
        stage.python()
        scene.prepare(stage, scenery)
        words = shlex.join([str(sandbox.binary), *scene.command[1:]])
        done = sandbox.run("sh", "-c", f"{words} 2>&1", cwd=sandbox.work, env={"PYTHONUNBUFFERED": "1"})
        (done.failed if scene.fails else done.ok)()
        return transcript(" ".join(scene.command), done, mirror, folder)


def main() -> None:
    wanted = sys.argv[1:]
    binary = Path(os.environ.get("WHEELMARK_BIN", "target/debug/wheelmark")).absolute()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "tmp").mkdir()
        sigstore = PrivateSigstore(folder / "sigstore")
        index = Index(binary, folder / "data", environment(folder), options=["--sigstore-roots", str(sigstore.trusted_root)])
        index.start()
        try:
            owner = World(index, Sandbox(folder / "owner", binary), sigstore)
            owner.sandbox.wheelmark("index", "--data", index.data, "project", "create", "tide-tables", "--owner", "operator").ok()
            trees = []
            for version, by in (("1.4", OURS), ("2.0", OTHER), ("2.1", None)):
                owner.publish(wheel("tide-tables", version), by)
                trees.append(record(index.tree))
            scenery = Scenery(*trees)
            for scene in SCENES:
                if not wanted or scene.title in wanted:
                    print(f"--- {scene.title}\n{play(scene, index, sigstore, scenery, folder)}\n", flush=True)
        finally:
            index.stop()


if __name__ == "__main__":
    main()
