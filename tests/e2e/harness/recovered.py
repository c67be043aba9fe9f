"""An index after its recovery: its last good state, with other keys where some were stolen.

    forge = recovered(today, "timestamp", "snapshot", "unclaimed", "recently-claimed", "status")
    mirror.mount(Replay(forge._tree))

It follows docs/recovery.md: versions 2^20 above those of the last good state, root one version further,
and the statement of the recovery in `targets`. Nothing of `wheelmark recover` is run for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime

from .forge import BINS, FAMILIES, ONLINE, Forge, new_key

RAISE = 2**20
BULLETIN = "Somebody had the index's key for an hour.\nWhat they published is gone."


def recovered(good: Forge, *replaced: str, since: datetime, goes_on: Iterable[str] = ()) -> Forge:
    """`replaced`: roles whose keys are others now; `unclaimed` is all bins, `project-NAME` a project's own.

    `goes_on`: the projects that are claimed, not sealed, and keep their claim.
    """
    forge = good.copy()
    names = {name for role in replaced for name in (BINS if role == "unclaimed" else [role])}
    before = list(forge.signers["root"])
    for family in FAMILIES:
        shared = new_key()
        forge.signers |= {name: [shared] for name in BINS if name in names and name.startswith(family)}
    for name in names - set(BINS):
        forge.signers[name] = [new_key() for _ in forge.signers[name]]
    _name_the_keys(forge, names)
    for name in ("timestamp", "snapshot", "targets", "claimed", *FAMILIES, *ONLINE):
        forge.role(name).version += RAISE
    forge.role("root").version += 1
    forge._set_root_keys()
    own = forge.role("targets").unrecognized_fields["_wheelmark"]
    own["recovery"] = {
        "at": _text(datetime.now(UTC)),
        "since": _text(since),
        "bulletin": BULLETIN,
        "claims": {project: _digest(forge, project) for project in goes_on},
    }
    now = forge.signers["root"]
    if "root" in names:
        forge.signers["root"] = [*before, *now]
    forge.publish()
    forge.signers["root"] = now
    return forge


def _name_the_keys(forge: Forge, names: set[str]) -> None:
    """Whoever delegates to a role with other keys says so."""
    for delegator in ("targets", "claimed", "recently-claimed"):
        delegations = forge.role(delegator).delegations
        for name, role in delegations.roles.items():
            if name in names:
                public = [signer.public_key for signer in forge.signers[name]]
                delegations.keys |= {key.keyid: key for key in public}
                role.keyids = [key.keyid for key in public]
    for family in FAMILIES:
        if any(name in names for name in BINS if name.startswith(family)):
            public = forge.signers[f"{family}-0"][0].public_key
            delegations = forge.role(family).delegations
            delegations.keys = {public.keyid: public}
            delegations.succinct_roles.keyids = [public.keyid]


def _digest(forge: Forge, project: str) -> str:
    role = forge.role("recently-claimed").delegations.roles[f"project-{project}"]
    stated = {"keyids": sorted(role.keyids), "threshold": role.threshold}
    return hashlib.sha256(json.dumps(stated, separators=(",", ":"), sort_keys=True).encode()).hexdigest()


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
