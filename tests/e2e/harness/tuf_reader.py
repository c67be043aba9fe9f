"""python-tuf's client, unmodified: a second opinion on everything that is signed here."""

from __future__ import annotations

from pathlib import Path

from tuf.ngclient import Updater

from .index import Index


class TufReader:
    """Reads an index by target path, with the trust that its root file gives and what the folder keeps."""

    def __init__(self, index: Index, folder: Path) -> None:
        metadata, self._targets = folder / "metadata", folder / "targets"
        metadata.mkdir(parents=True, exist_ok=True)
        self._targets.mkdir(exist_ok=True)
        self.updater = Updater(
            metadata_dir=str(metadata),
            metadata_base_url=index.metadata_url,
            target_dir=str(self._targets),
            target_base_url=index.targets_url,
            bootstrap=index.root_file.read_bytes(),
        )
        self.updater.refresh()

    def read(self, path: str) -> bytes | None:
        """The verified bytes of a target, `None` if nothing signed lists it."""
        info = self.updater.get_targetinfo(path)
        if info is None:
            return None
        return Path(self.updater.download_target(info)).read_bytes()

    def lists(self, path: str) -> str | None:
        """The sha256 that the signed metadata gives for a target."""
        info = self.updater.get_targetinfo(path)
        return info.hashes["sha256"] if info else None

    def page(self, project: str) -> bytes | None:
        return self.read(f"simple/{project}/index.json")

    def file(self, project: str, filename: str) -> bytes | None:
        return self.read(f"packages/{project}/{filename}")
