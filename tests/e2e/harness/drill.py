"""A thief on an index that the tests sign, and its recovery: what becomes of people who are there, away, or new.

    drill = Drill(world)
    got = drill.attack(Thief(world.today, "timestamp", "snapshot").update(evil))
    drill.ends_well(drill.recovered("timestamp", "snapshot"))

`world.py` makes the index, `thief.py` what is done to it, `recovered.py` the state afterwards.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .forge import Forge
from .person import Person
from .recovered import BULLETIN, recovered
from .world import GOOD, PROJECTS, RECENT, Mirrored, World

ONLINE_KEY = ("timestamp", "snapshot", "recently-claimed", "unclaimed", "status")


class Drill:
    """People who are there before an attack, and what becomes of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.since = datetime.now(UTC) - timedelta(seconds=1)
        self.saw, self.away = world.knows(), world.knows()

    def attack(self, tree: dict[str, bytes], projects: tuple[str, ...] = PROJECTS) -> dict[str, str | None]:
        """What whoever was there got of each project, while the thief answered."""
        with Mirrored(self.world.mirror, tree):
            return {project: self.world.gets(self.saw, project) for project in projects}

    def recovered(self, *replaced: str, good: Forge | None = None) -> Forge:
        """The index with other keys for these roles; whoever had a claim keeps it."""
        return recovered(good or self.world.today, *replaced, since=self.since, goes_on=[RECENT])

    def ends_well(self, after: Forge) -> None:
        """After the recovery: everybody gets the good files, without a step, and remembers the same."""
        with Mirrored(self.world.mirror, after._tree):
            fresh = self.world.fresh()
            assert fresh is not None
            people = {"saw": self.saw, "away": self.away, "fresh": fresh}
            for who, person in people.items():
                done, venv = person.verified(*PROJECTS)
                assert done.ok() and venv.installed() == dict.fromkeys(PROJECTS, GOOD), f"{who}: {venv.installed()}: {done}"
                told = "was broken into" in done.text
                assert told == (who != "fresh"), f"{who}: {done}"
                assert not told or all(f"  | {line}" in done.text for line in BULLETIN.splitlines()), done
            # Once is enough.
            done, _ = self.saw.verified(PROJECTS[0])
            assert "was broken into" not in done.ok().text, done
            seen = {who: claims(person) for who, person in people.items()}
            assert seen["saw"] == seen["away"] == seen["fresh"]


    def begins_anew(self) -> dict[str, bytes]:
        """What is published where root's keys are stolen: the good files, and a root that no other leads to."""
        forge = self.recovered(*ONLINE_KEY, "root", "targets", "claimed", "simple", "packages")
        forge.role("root").version = 1
        tree = {path: content for path, content in forge.publish().items() if not path.endswith(".root.json")}
        return tree | {"metadata/1.root.json": forge._sign("root")}

    def takes_another_root(self, person: Person, root: Path) -> None:
        """The one step that a client ever needs: with a root that came by another way than the index."""
        done = person.sandbox.wheelmark("trust", "add", self.world.mirror.index_url, "--replace", "--root", root)
        assert "from another root on" in done.ok().out, done
        done, venv = person.verified(*PROJECTS)
        assert done.ok() and venv.installed() == dict.fromkeys(PROJECTS, GOOD), done


def claims(person: Person) -> list[dict]:
    listed = person.sandbox.wheelmark("trust", "claims", "list", "--json")
    return json.loads(listed.ok().out)
