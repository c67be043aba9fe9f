"""docs/recovery.md, "The online key was stolen: the whole run", as commands."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .distributions import Distribution
from .holders import Holder
from .upload import request

if TYPE_CHECKING:
    from .siege import Siege


class Recovery:
    """One recovery of an index that is under siege. Each step can be given alone, in the runbook's order."""

    def __init__(self, siege: "Siege", folder: Path, plan: Iterable[object] = ()) -> None:
        self.siege, self.folder, self._plan = siege, folder, tuple(plan)
        self.operator, self.data = siege.operator, siege.index.data
        self.ceremony_folder = folder / "ceremony"
        # Files that somebody wrote into the journal, past the catalogue.
        self.smuggled: list[Distribution] = []

    def by_the_book(
        self, *decide: object, replace: dict[int, tuple[Holder, Path]] | None = None, bulletin: str | None = None
    ) -> None:
        """Steps 1 to 11. `decide`: options of `recover decide`; `replace`: other holders, by their number."""
        self.stop()
        self.plan()
        self.decide(*decide)
        self.ceremony(replace or {}, bulletin)
        self.sign([*self.siege.cast.holders, *(holder for holder, _ in (replace or {}).values())])
        self.publish()
        self.lock_out()
        self.start()

    def _does(self, *words: object) -> str:
        done = self.operator.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def stop(self) -> None:
        """Step 1."""
        self.siege.phase = "closed"
        assert self.siege.index.stop() in (0, None), self.siege.index.log_text()

    def plan(self) -> dict:
        """Step 4."""
        words = ("recover", "plan", "--data", self.data, "--last-good", self.siege.good, "-o", self.folder)
        self._does(*words, *self._plan)
        return self.planned

    @property
    def planned(self) -> dict:
        return json.loads((self.folder / "plan.json").read_bytes())

    @property
    def changes(self) -> dict[tuple[str, str, str | None], list[str]]:
        """Project, what became of which file, and what speaks for it."""
        return {
            (project["project"], change["what"], change["file"]): [support["by"] for support in change["supports"]]
            for project in self.planned["projects"]
            for change in project["changes"]
        }

    def decide(self, *rules: object) -> None:
        """Step 5: everything is decided."""
        self._does("recover", "decide", self.folder, *rules)
        self._does("recover", "show", self.folder)

    def ceremony(self, replace: dict[int, tuple[Holder, Path]], bulletin: str | None = None) -> dict:
        """Step 6."""
        options: list[object] = [word for n, (_, public) in replace.items() for word in ("--replace", f"{n}={public}")]
        if bulletin is not None:
            text = self.folder / "what-happened.txt"
            text.write_text(bulletin)
            options += ["--bulletin", text]
        self.begun = self.operator.told("recover", "ceremony", self.folder, "--data", self.data, *options)
        return self.begun

    def sign(self, holders: list[Holder]) -> None:
        """Steps 7 and 8."""
        self.siege.cast.collect(self.ceremony_folder, self.begun["words"], holders)
        assert self.operator.told("ceremony", "status", self.ceremony_folder)["complete"]
        self.operator.told("ceremony", "finish", self.ceremony_folder)

    def publish(self) -> dict:
        """Step 9: what it was going to do is what it has done."""
        words = ("recover", "publish", self.folder, "--data", self.data)
        looked = self.operator.told(*words, "--dry-run")
        self.published = self.operator.told(*words)
        assert self.published["published"] and self.published["gone_files"] == looked["gone_files"]
        return self.published

    def lock_out(self) -> None:
        """Step 10: no token of before opens anything, and the stolen key is gone."""
        self.revoke_tokens()
        self.operator.told("index", "--data", self.data, "rotate-online-key", "--retire", "--now")
        self._clear_away()

    def revoke_tokens(self) -> None:
        """All of them, and another one for whoever runs it."""
        index = ("index", "--data", self.data)
        for token in self.operator.told(*index, "token", "list"):
            self._does(*index, "token", "revoke", token["id"])
        made = self._does(*index, "token", "create", "--user", "operator", "--scope", "upload")
        self.token = self.siege.folder / "token"
        self.token.write_text(made)

    def _clear_away(self) -> None:
        """What the thief left in the tree, and nothing that is signed leads to, goes to the evidence.

        What the audit names besides is that the catalogue has no row of what nobody uploaded.
        """
        audit = ("index", "--data", self.data, "audit", "--json")
        for left in json.loads(self.operator.run(*audit).stdout)["damage"]:
            if left["kind"] == "extra":
                evidence = self.siege.folder / "evidence" / left["path"]
                evidence.parent.mkdir(parents=True, exist_ok=True)
                (self.siege.index.tree / left["path"]).rename(evidence)
        found = {left["path"] for left in json.loads(self.operator.run(*audit).stdout)["damage"]}
        assert found == {f"catalogue, {dist.project}/{dist.filename}" for dist in self.smuggled}

    def start(self) -> None:
        """Step 11."""
        index = self.siege.index
        index.start()
        index.ready["token_file"] = str(self.token)
        told = request("GET", index.url("bulletin.json"))
        assert told.status == 200, f"{told}"
