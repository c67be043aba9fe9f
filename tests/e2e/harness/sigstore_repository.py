"""A TUF repository as Sigstore's, made with python-tuf and keys of ECDSA, served over http."""

from __future__ import annotations

import hashlib
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

NAME = "trusted_root.json"


def _in(days: float) -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=days)


class SigstoreRepository:
    """Each `publish` signs the next version of everything below root; `files` is what is served."""

    def __init__(self) -> None:
        self.holders = [CryptoSigner.generate_ecdsa() for _ in range(3)]
        self.online = CryptoSigner.generate_ecdsa()
        self.files: dict[str, bytes] = {}
        self.version = 0
        self.root = Root(consistent_snapshot=True, expires=_in(300))
        for holder in self.holders:
            self.root.add_key(holder.public_key, "root")
            self.root.add_key(holder.public_key, "targets")
        for role in ("timestamp", "snapshot"):
            self.root.add_key(self.online.public_key, role)
        for role in ("root", "targets"):
            self.root.roles[role].threshold = 2
        self.sign_root()
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = repository.files.get(self.path.lstrip("/"))
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "SigstoreRepository":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def sign_root(self, *signers: CryptoSigner) -> bytes:
        """Signs root as it stands; its version is raised by whoever changes it."""
        metadata = Metadata(self.root)
        for signer in signers or self.holders:
            metadata.sign(signer, append=True)
        signed = metadata.to_bytes()
        self.files[f"{self.root.version}.root.json"] = signed
        return signed

    def rotate(self) -> None:
        """One holder goes, another comes: the next root is signed by old and new ones."""
        old, new = self.holders[0], CryptoSigner.generate_ecdsa()
        self.root.version += 1
        for role in ("root", "targets"):
            self.root.revoke_key(old.public_key.keyid, role)
            self.root.add_key(new.public_key, role)
        before, self.holders = self.holders, [*self.holders[1:], new]
        self.sign_root(*before, new)

    def publish(
        self, trusted_root: bytes | str, *, days: float = 7, version: int | None = None, signers: list[CryptoSigner] | None = None
    ) -> None:
        content = trusted_root.encode() if isinstance(trusted_root, str) else trusted_root
        self.version = self.version + 1 if version is None else version
        target = TargetFile.from_data(NAME, content, ["sha256", "sha512"])
        targets = Metadata(Targets(self.version, expires=_in(100), targets={NAME: target}))
        for signer in signers or self.holders:
            targets.sign(signer, append=True)
        snapshot = Metadata(Snapshot(self.version, expires=_in(days), meta={"targets.json": MetaFile(self.version)}))
        snapshot.sign(self.online)
        timestamp = Metadata(Timestamp(self.version, expires=_in(days), snapshot_meta=MetaFile(self.version)))
        timestamp.sign(self.online)
        self.files[f"{self.version}.targets.json"] = targets.to_bytes()
        self.files[f"{self.version}.snapshot.json"] = snapshot.to_bytes()
        self.files["timestamp.json"] = timestamp.to_bytes()
        for algorithm in ("sha256", "sha512"):
            self.files[f"targets/{hashlib.new(algorithm, content).hexdigest()}.{NAME}"] = content

    @property
    def first_root(self) -> bytes:
        return self.files["1.root.json"]

