"""The keys of holders, in the hands of somebody who has their files and their phrase.

The files are in the age format (age-encryption.org/v1) with a scrypt recipient, and hold the seeds of
Ed25519 keys as JSON. They are opened here without a line of the program under test.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from .distributions import Distribution
from .holders import Cast

CHUNK = 64 * 1024 + 16


def opened(file: Path, phrase: str) -> bytes:
    """What an age file with a scrypt recipient holds."""
    head, _, rest = file.read_bytes().partition(b"\n---")
    payload = rest.partition(b"\n")[2]
    _, stanza, *body = head.decode().splitlines()
    _, _, salt, exponent = stanza.split()
    wrapping = hashlib.scrypt(
        phrase.encode(), salt=b"age-encryption.org/v1/scrypt" + _unpadded(salt),
        n=1 << int(exponent), r=8, p=1, maxmem=1 << 30, dklen=32,
    )  # fmt: skip
    key = ChaCha20Poly1305(wrapping).decrypt(bytes(12), _unpadded("".join(body)), None)
    nonce, content = payload[:16], payload[16:]
    assert len(content) <= CHUNK, "one chunk holds all that a holder's file has"
    stream = HKDF(SHA256(), 32, salt=nonce, info=b"payload").derive(key)
    return ChaCha20Poly1305(stream).decrypt(bytes(11) + b"\x01", content, None)


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


def seeds(file: Path, phrase: str) -> dict[str, Ed25519PrivateKey]:
    """A holder's private keys: of `root`, `targets`, `claimed` and `bins`."""
    held = json.loads(opened(file, phrase))["keys"]
    return {name: Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key["seed"])) for name, key in held.items()}


class Robber:
    """Has keys of holders, and perhaps the online key, and writes what they sign into the tree of a real index.

    `stolen`: of which roles the holders' keys are used. What else the index signs stays as it was signed.
    """

    def __init__(self, cast: Cast, *stolen: str, holders: int = 2, tree: Path | None = None) -> None:
        """`holders`: how many of them were robbed; `tree`: a copy that the robber writes to, and shows to others."""
        self.tree = tree or cast.index.tree
        self.metadata = self.tree / "metadata"
        self.own = CryptoSigner.generate_ed25519()
        held = [seeds(holder.keys, holder.phrase) for holder in cast.holders[:holders]]
        self.private = {role: [keys[role] for keys in held] for role in stolen}
        self.online = load_pem_private_key((cast.index.data / "online-key").read_bytes(), None)

    # What is published.

    def versions(self) -> dict[str, MetaFile]:
        timestamp = Metadata[Timestamp].from_file(str(self.metadata / "timestamp.json")).signed
        snapshot = Metadata[Snapshot].from_file(str(self.metadata / f"{timestamp.snapshot_meta.version}.snapshot.json"))
        return snapshot.signed.meta

    def role(self, name: str) -> Metadata[Targets]:
        version = self.versions()[f"{name}.json"].version
        return Metadata[Targets].from_file(str(self.metadata / f"{version}.{name}.json"))

    def root(self) -> Metadata[Root]:
        newest = max(self.metadata.glob("*.root.json"), key=lambda path: int(path.name.split(".")[0]))
        return Metadata[Root].from_file(str(newest))

    # What is made of it.

    def signers(self, role: str) -> list[CryptoSigner]:
        """The stolen keys of a role, by the ids that the index has given them."""
        listed = {**self.root().signed.keys, **self.role("targets").signed.delegations.keys}
        ids = {key.keyval["public"]: key for key in listed.values()}
        found = []
        for private in self.private[role]:
            public = private.public_key().public_bytes_raw().hex()
            found.append(CryptoSigner(private, ids[public]))
        return found

    def online_signer(self) -> CryptoSigner:
        root = self.root().signed
        return CryptoSigner(self.online, root.keys[root.roles["timestamp"].keyids[0]])

    def write(self, name: str, metadata: Metadata, *signers: CryptoSigner) -> MetaFile:
        """Signs a role's next file, by its version, and puts it into the tree; what a snapshot lists of it."""
        metadata.signatures.clear()
        for signer in signers:
            metadata.sign(signer, append=True)
        content, version = metadata.to_bytes(), metadata.signed.version
        (self.metadata / f"{version}.{name}.json").write_bytes(content)
        return MetaFile(version, hashes={"sha256": hashlib.sha256(content).hexdigest()})

    def page_with(self, dist: Distribution) -> dict[str, TargetFile]:
        """A project's page with a file of the robber's, both in the tree, also under the names that plain tools know."""
        tree, project = self.tree, dist.project
        page = json.loads((tree / "simple" / project / "index.json").read_bytes())
        entry = {"filename": dist.filename, "hashes": {"sha256": dist.sha256}, "size": len(dist.content)}
        page["files"].append(page["files"][0] | entry | {"url": f"../../packages/{project}/{dist.filename}"})
        page["files"][-1].pop("core-metadata", None)
        page["versions"] = [*page["versions"], dist.version]
        content = json.dumps(page, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(content).hexdigest()
        link = f'<a href="../../packages/{project}/{dist.filename}#sha256={dist.sha256}">{dist.filename}</a>\n'
        html = tree / "simple" / project / "index.html"
        shown = html.read_text() if html.exists() else "<!DOCTYPE html><html><body>\n</body></html>"
        for path, written in (
            (f"targets/simple/{project}/{digest}.index.json", content),
            (f"simple/{project}/index.json", content),
            (f"simple/{project}/index.html", shown.replace("</body>", f"{link}</body>").encode()),
            (f"targets/packages/{project}/{dist.sha256}.{dist.filename}", dist.content),
            (f"packages/{project}/{dist.filename}", dist.content),
        ):
            file = tree / path
            file.unlink(missing_ok=True)
            file.write_bytes(written)
        targets = {f"simple/{project}/index.json": content, f"packages/{project}/{dist.filename}": dist.content}
        return {path: TargetFile.from_data(path, content, ["sha256"]) for path, content in targets.items()}

    def claim(self, claimed: Metadata[Targets], dist: Distribution, raised: dict[str, MetaFile]) -> None:
        """Makes `claimed` name a key of the robber's for a project, and has that list a file."""
        own, named, project = self.own.public_key, claimed.signed.delegations, dist.project
        name = f"project-{project}"
        role = Metadata(Targets(expires=claimed.signed.expires, targets=self.page_with(dist)))
        role.signed.unrecognized_fields["_wheelmark"] = {"role": name}
        role.signed.version = getattr(self.versions().get(f"{name}.json"), "version", 0) + 1
        raised[name] = self.write(name, role, self.own)
        named.keys[own.keyid] = own
        delegated = DelegatedRole(name, [own.keyid], 1, True, [f"simple/{project}/*", f"packages/{project}/*"])
        if before := (named.roles or {}).get(name):
            # Since when it is sealed stands beside it.
            delegated.unrecognized_fields = dict(before.unrecognized_fields)
        named.roles = {**(named.roles or {}), name: delegated}

    def through_claimed(self, *evil: Distribution, above: int) -> None:
        """Everybody's projects, by keys that `claimed` is made to name: with the keys of `targets` and `claimed`.

        `targets` is signed anew, with another key for `claimed` beside those of the holders; both come `above`
        what was published.
        """
        own, raised = self.own.public_key, {}
        targets, claimed = self.role("targets"), self.role("claimed")
        keys = self.signers("claimed")
        delegations = targets.signed.delegations
        delegations.keys[own.keyid] = own
        delegations.roles["claimed"].keyids.append(own.keyid)
        for dist in evil:
            self.claim(claimed, dist, raised)
        for name, role, signers in (("targets", targets, self.signers("targets")), ("claimed", claimed, [keys[0], self.own])):
            role.signed.version += above
            raised[name] = self.write(name, role, *signers)
        self.publish(raised, above=above)

    def publish(self, raised: dict[str, MetaFile], *, above: int = 1, signer: CryptoSigner | None = None) -> None:
        """The next snapshot, which lists these, and its timestamp; both `above` those that are published."""
        signer = signer or self.online_signer()
        timestamp = Metadata[Timestamp].from_file(str(self.metadata / "timestamp.json"))
        version = timestamp.signed.snapshot_meta.version
        snapshot = Metadata[Snapshot].from_file(str(self.metadata / f"{version}.snapshot.json"))
        snapshot.signed.meta.update({f"{name}.json": meta for name, meta in raised.items()})
        snapshot.signed.version += above
        timestamp.signed.snapshot_meta = self.write("snapshot", snapshot, signer)
        timestamp.signed.version += above
        timestamp.signatures.clear()
        timestamp.sign(signer)
        (self.metadata / "timestamp.json").write_bytes(timestamp.to_bytes())

    def with_root(self, *evil: Distribution) -> None:
        """With as many of root's keys as have to sign: everything is this thief's from now on."""
        own, root, targets, claimed = self.own, self.root(), self.role("targets"), self.role("claimed")
        keys, key = self.signers("root"), self.own.public_key
        for role in root.signed.roles.values():
            role.keyids, role.threshold = [key.keyid], 1
        root.signed.keys = {key.keyid: key}
        root.signed.version += 1
        raised = {}
        delegations = targets.signed.delegations
        delegations.keys[key.keyid] = key
        delegations.roles["claimed"].keyids, delegations.roles["claimed"].threshold = [key.keyid], 1
        for dist in evil:
            self.claim(claimed, dist, raised)
        for name, role in (("targets", targets), ("claimed", claimed)):
            role.signed.version += 1
            raised[name] = self.write(name, role, own)
        self.publish(raised, signer=own)
        self.write("root", root, *keys, own)
