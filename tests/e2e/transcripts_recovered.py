"""Prints what a person sees the day after a break-in: more transcripts of `docs/refusals.md`.

    WHEELMARK_BIN=target/debug/wheelmark python tests/e2e/transcripts_recovered.py [TITLE…]

Made as those of `transcripts.py`, with the index of `test_drills.py`: a thief has filled in claims with the
online key, and the index was put right; or it has lost its root keys, and begins anew.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.distributions import wheel
from harness.person import Person
from harness.recovered import recovered
from harness.thief import Thief
from harness.world import EVIL, RECENT, UNCLAIMED, Mirrored, World, two_days
from test_drills import ONLINE_KEY
from transcripts import Stage, transcript

Tree = dict[str, bytes]


@dataclass(frozen=True)
class Scene:
    title: str
    command: Callable[[Path], tuple[object, ...]]
    tree: Tree
    root: Path
    fails: bool


def install(_root: Path) -> tuple[object, ...]:
    return ("exec", "--", "pip", "install", UNCLAIMED)


def scenes(world: World, since: datetime, folder: Path) -> tuple[Scene, ...]:
    back = recovered(world.today, *ONLINE_KEY, since=since, goes_on=[RECENT])._tree
    every = (*ONLINE_KEY, "root", "targets", "claimed", "simple", "packages")
    forge = recovered(world.today, *every, since=since, goes_on=[RECENT])
    forge.role("root").version = 1
    anew = {path: content for path, content in forge.publish().items() if not path.endswith(".root.json")}
    anew["metadata/1.root.json"] = forge._sign("root")
    root = folder / "new-root.json"
    root.write_bytes(anew["metadata/1.root.json"])
    url = world.mirror.index_url
    return (
        Scene("recovered", install, back, root, fails=False),
        Scene("another-root", install, anew, root, fails=True),
        Scene("replaced", lambda root: ("trust", "add", "--replace", url, "--root", root), anew, root, fails=False),
        Scene("replaced-for-nothing", lambda root: ("trust", "add", "--replace", url, "--root", root), back, root, fails=True),
    )


def play(scene: Scene, world: World, person: Person, folder: Path) -> str:
    stage = Stage(person.sandbox, world.mirror)
    stage.python()
    with Mirrored(world.mirror, scene.tree):
        words = [str(word) for word in scene.command(scene.root)]
        line = shlex.join([str(person.sandbox.binary), *words])
        done = person.sandbox.run("sh", "-c", f"{line} 2>&1", cwd=person.sandbox.work, env={"PYTHONUNBUFFERED": "1"})
        (done.failed if scene.fails else done.ok)()
        text = transcript(f"wheelmark {' '.join(words)}", done, world.mirror, folder)
    return text.replace(world.mirror.url(), "https://mirror.example/").replace(str(scene.root), "new-root.json")


def main() -> None:
    wanted = sys.argv[1:]
    binary = Path(os.environ.get("WHEELMARK_BIN", "target/debug/wheelmark")).absolute()
    with tempfile.TemporaryDirectory() as temporary, two_days(Path(temporary), binary, "pip") as world:
        folder = Path(temporary)
        since = datetime.now(UTC) - timedelta(seconds=1)
        thief = Thief(world.today, *ONLINE_KEY).update(wheel(UNCLAIMED, EVIL, says="evil"), through="recently-claimed")
        for scene in scenes(world, since, folder):
            if wanted and scene.title not in wanted:
                continue
            person = world.knows()
            with Mirrored(world.mirror, thief):
                world.gets(person, UNCLAIMED)
            said = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "2026-11-22 09:00 UTC", play(scene, world, person, folder))
            said = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "2026-11-22T09:00:00Z", said)
            print(f"--- {scene.title}\n{said}\n", flush=True)


if __name__ == "__main__":
    main()
