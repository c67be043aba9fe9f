"""Somebody who has the keys of some roles of an index, and answers its clients.

    thief = Thief(forge, "timestamp", "snapshot")
    mirror.mount(Replay(thief.update(evil)))

A role whose key they do not have they sign with one of their own, or hand out as it was. So what a
thief makes differs from what the index has signed in the files of the stolen roles, and in files that
nobody who verifies takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from tuf.api.metadata import DelegatedRole

from .distributions import Distribution
from .forge import BINS, FAMILIES, ONLINE, Forge, new_key

FOR_EVER = datetime(2090, 1, 1, tzinfo=UTC)
TOP = {"snapshot", "timestamp"}


class Thief:
    def __init__(self, honest: Forge, *stolen: str) -> None:
        """`stolen`: names of roles; `unclaimed` is all bins."""
        names = {name for role in stolen for name in (BINS if role == "unclaimed" else [role])}
        self.before = dict(honest._tree)
        self.forge, self.own, self.stolen = honest.copy(), new_key(), names

    def update(self, *evil: Distribution, through: str | None = None, same_version: bool = False) -> dict[str, bytes]:
        """Files of the thief's, in the roles that answer for their projects.

        `through`: a role that is made to name the thief's key for the projects. `same_version`: handed
        out as the version that the index has published, and nothing is signed above it.
        """
        writes: set[str] = set()
        for dist in evil:
            writes |= self._name_own_key(dist.project, through) if through else set()
            paths = (f"simple/{dist.project}/index.json", f"packages/{dist.project}/{dist.filename}")
            writes |= {self.forge.role_of(path) for path in paths}
        self.forge.add(*evil)
        if same_version:
            return self._tree(writes)
        return self._tree(writes | TOP, raised=writes | TOP)

    def freeze(self) -> dict[str, bytes]:
        """What there is, for as long as the stolen keys can say so."""
        if "root" in self.stolen:
            return self.everything()
        for name in self.stolen:
            self.forge.role(name).expires = FOR_EVER
        # What a snapshot that is not theirs lists has to stay as it is.
        raised = self.stolen if "snapshot" in self.stolen else self.stolen & {"timestamp"}
        return self._tree(raised, raised=raised)

    def mix(self, older: dict[str, int]) -> dict[str, bytes]:
        """The newest snapshot, but with these roles in these older versions."""
        for name, version in older.items():
            self.forge.role(name).version = version
            self.forge.older.add(name)
        return self._tree(TOP, raised=TOP)

    def everything(self, *dists: Distribution) -> dict[str, bytes]:
        """With root: all other keys are the thief's from now on, and these files are everybody's."""
        forge, own = self.forge, self.own.public_key
        for project in {*forge.claimed, *(dist.project for dist in dists)}:
            self._claim(project, "claimed")
        forge.add(*dists)
        for name in forge.signers:
            if name != "root":
                forge.signers[name] = [self.own]
        forge._set_root_keys()
        for name in ("targets", "claimed", "recently-claimed", *FAMILIES):
            delegations = forge.role(name).delegations
            delegations.keys[own.keyid] = own
            for role in (*(delegations.roles or {}).values(), delegations.succinct_roles):
                if role is not None:
                    role.keyids, role.threshold = [own.keyid], 1
        every = {"root", "targets", "claimed", *TOP, *FAMILIES, *ONLINE, *forge.claimed.values()}
        for name in every:
            forge.role(name).expires = FOR_EVER
        return self._tree(every, raised=every)

    def _name_own_key(self, project: str, through: str) -> set[str]:
        """Makes a role lead to the thief's key for a project; the roles that say so."""
        own, writes = self.own.public_key, {through}
        if through in FAMILIES:
            delegations = self.forge.role(through).delegations
            delegations.keys[own.keyid] = own
            delegations.succinct_roles.keyids = [own.keyid]
            return writes
        if through == "targets":
            delegations = self.forge.role(through).delegations
            delegations.keys[own.keyid] = own
            claimed = delegations.roles["claimed"]
            claimed.keyids, claimed.threshold = [own.keyid], 1
            self.forge.signers["claimed"], through = [self.own], "claimed"
        self._claim(project, through)
        return writes | {through}

    def _claim(self, project: str, delegator: str) -> None:
        """Delegates a project to the thief's key."""
        forge, own, name = self.forge, self.own.public_key, f"project-{project}"
        if project not in forge.claimed:
            forge._roles[name] = forge._targets(name, FOR_EVER, None)
            forge.claimed[project] = name
        forge.signers[name] = [self.own]
        delegations = forge.role(delegator).delegations
        delegations.keys[own.keyid] = own
        paths = [f"simple/{project}/*", f"packages/{project}/*"]
        delegations.roles[name] = DelegatedRole(name, [own.keyid], 1, True, paths)

    def _tree(self, writes: Iterable[str], raised: Iterable[str] = ()) -> dict[str, bytes]:
        for name in raised:
            self.forge.role(name).version += 1
        # Everything else is signed by whom it was signed by, and comes out as it was.
        for name in set(writes) - self.stolen:
            self.forge.signers[name] = [self.own]
        made, tree, writes = self.forge.publish(), dict(self.before), set(writes)
        for path, content in made.items():
            role = _role(path)
            if role is None or (role in writes and self._is_current(path, role)):
                tree[path] = content
        return tree

    def _is_current(self, path: str, role: str) -> bool:
        return role == "timestamp" or path == f"metadata/{self.forge.role(role).version}.{role}.json"


def _role(path: str) -> str | None:
    """The role whose metadata lies there."""
    found = re.fullmatch(r"metadata/(?:\d+\.)?(.+)\.json", path)
    return found[1] if found else None
