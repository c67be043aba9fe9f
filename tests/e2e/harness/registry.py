"""Real projects from the package registry that pip is configured with, fetched once a run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import requests
from pip._internal.models.index import PyPI

ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"


class Unreachable(Exception):
    """No registry answers here."""


def setting(name: str) -> str | None:
    """pip's own setting, from its environment or its configuration files."""
    said = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if said:
        return said
    for section in ("global", "install"):
        done = subprocess.run(
            [sys.executable, "-m", "pip", "config", "get", f"{section}.{name}"], capture_output=True, text=True
        )
        if done.returncode == 0:
            return done.stdout.strip()
    return None


def pip_download(folder: Path, *words: str) -> list[Path]:
    """`pip download`, with the person's own configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), *words],
        capture_output=True,
        text=True,
        timeout=240,
    )
    if done.returncode != 0:
        raise Unreachable(done.stderr.strip()[-300:])
    return sorted(folder.iterdir())


def all_files(folder: Path, project: str, version: str) -> list[Path]:
    """Every file of one version, whatever machine it is for: pip itself only takes what fits here."""
    folder.mkdir(parents=True, exist_ok=True)
    session = requests.Session()
    session.verify = setting("cert") or True
    page = (setting("index-url") or PyPI.simple_url).rstrip("/") + f"/{project}/"
    try:
        answer = session.get(page, headers={"Accept": ACCEPT}, timeout=60)
        answer.raise_for_status()
        for filename, url, digest in links(answer):
            if re.match(rf"{re.escape(project)}-{re.escape(version)}[-.]", filename, re.IGNORECASE):
                if filename.endswith((".whl", ".tar.gz")):
                    content = session.get(url, timeout=60)
                    content.raise_for_status()
                    assert hashlib.sha256(content.content).hexdigest() == digest, filename
                    (folder / filename).write_bytes(content.content)
    except requests.RequestException as error:
        raise Unreachable(str(error)) from error
    return sorted(folder.iterdir())


def links(answer: requests.Response) -> list[tuple[str, str, str]]:
    """File name, URL and sha256 of every file on a simple page, JSON or HTML."""
    if "json" in answer.headers.get("Content-Type", ""):
        files = json.loads(answer.content)["files"]
        return [(f["filename"], urljoin(answer.url, f["url"]), f["hashes"]["sha256"]) for f in files]
    found: list[tuple[str, str, str]] = []

    class Anchors(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            href = dict(attributes).get("href") if tag == "a" else None
            if href:
                url, fragment = urldefrag(urljoin(answer.url, href))
                found.append((unquote(url.rsplit("/", 1)[-1]), url, fragment.removeprefix("sha256=")))

    Anchors().feed(answer.text)
    return found
