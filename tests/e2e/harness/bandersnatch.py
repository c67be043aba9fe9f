"""A real bandersnatch: a mirror made with settings of the test's own, and the tree it leaves."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import requests
from pip._internal.models.index import PyPI

from .foreign import outward, program
from .registry import Unreachable, setting
from .sandbox import Outcome, environment

# Small projects of one or two files a release: pure Python, with and without dependencies,
# names that are not written as they are normalised, one without any wheel.
SMALL_PROJECTS = (
    "attrs", "blinker", "certifi", "click", "colorama", "docopt", "filelock", "h11", "idna", "iniconfig",
    "itsdangerous", "jaraco.classes", "mypy-extensions", "packaging", "pathspec", "pluggy", "six",
    "sniffio", "typing-extensions", "zipp",
)  # fmt: skip


class Bandersnatch:
    """One mirror directory and the settings that fill it."""

    def __init__(self, folder: Path, master: str, settings: str = "", mirror: Mapping[str, object] | None = None) -> None:
        """`mirror`: more of the section of that name, or other values; `settings`: more sections."""
        self.folder, self.directory = folder, folder / "mirror"
        for part in (folder / "tmp", folder / "home"):
            part.mkdir(parents=True, exist_ok=True)
        section = {
            "directory": self.directory,
            "master": master.rstrip("/"),
            "allow-non-https": "true",
            "timeout": 60,
            "workers": 3,
            "json": "true",
            "stop-on-error": "false",
        }
        lines = [f"{name} = {value}" for name, value in (section | dict(mirror or {})).items()]
        self.config = folder / "bandersnatch.conf"
        self.config.write_text("[mirror]\n" + "\n".join(lines) + "\n" + settings)

    @classmethod
    def with_settings(cls, folder: Path, whole: str) -> "Bandersnatch":
        """With a settings file that is complete; its `directory` must be `folder/mirror`."""
        made = cls(folder, "unused")
        made.config.write_text(whole)
        return made

    @property
    def web(self) -> Path:
        """What a web server is to serve."""
        return self.directory / "web"

    def run(self, *words: str, env: Mapping[str, str] | None = None, timeout: float = 240) -> Outcome:
        command = [str(program("venv-bandersnatch", "bandersnatch")), "--config", str(self.config), *words]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment(self.folder) | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        return Outcome(command, done.returncode, done.stdout, done.stderr)

    def mirror(self, **how) -> Outcome:
        """Everything that is there, or that changed since the last run."""
        return self.run("mirror", **how)

    def sync(self, *projects: str, **how) -> Outcome:
        """These projects, whether they changed or not."""
        return self.run("sync", *projects, **how)

    @property
    def serial(self) -> int | None:
        """The state of the index that the last complete run of `mirror` reached."""
        status = self.directory / "status"
        return int(status.read_text()) if status.exists() else None

    def pages(self) -> dict[str, dict]:
        """Each project's simple page, JSON."""
        return {
            path.parent.name: json.loads(path.read_bytes()) for path in sorted(self.web.glob("simple/*/index.v1_json"))
        }

    def files(self) -> dict[str, str]:
        """Every file that a page names, with its sha256; they must lie there and be what the page says."""
        found = {}
        for project, page in self.pages().items():
            for file in page["files"]:
                path = (self.web / "simple" / project / unquote(urlsplit(file["url"]).path)).resolve()
                assert path.is_file(), f"{project}'s page names {file['filename']}, which is not at {path}"
                content = path.read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                assert digest == file["hashes"]["sha256"], f"{file['filename']}: {digest}, the page says {file['hashes']}"
                assert len(content) == file["size"], file["filename"]
                found[file["filename"]] = digest
        return found


def real_tree(folder: Path, *projects: str, keep: int = 1) -> Path:
    """The `web` folder of a bandersnatch mirror of these projects' latest `keep` releases.

    Made from the package registry that pip is configured with.
    """
    master = (setting("index-url") or PyPI.simple_url).rstrip("/").removesuffix("/simple")
    filters = f"[plugins]\nenabled =\n    latest_release\n[latest_release]\nkeep = {keep}\n"
    with Relay(master) as relay:
        made = Bandersnatch(folder, relay.url, filters, {"workers": 5})
        done = made.sync(*projects, env=outward())
    try:
        made.files()
        names = made.pages()
    except AssertionError as error:
        raise Unreachable(str(error)) from error
    if done.code != 0 or len(names) != len(projects):
        raise Unreachable(f"bandersnatch has {len(names)} of {len(projects)} projects: {done.text.strip()[-300:]}")
    return made.web


class Relay:
    """Passes a project's JSON on from a registry, as bandersnatch wants it.

    It wants the serial number in a header and absolute file URLs. Caches between us and the
    registry may drop the one and make the other relative; the document itself has the number.
    Files do not come this way.
    """

    def __init__(self, master: str) -> None:
        session = requests.Session()
        session.verify = setting("cert") or True

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {"Content-Type": "application/json"}
                try:
                    answer = session.get(urljoin(master + "/", self.path.lstrip("/")), timeout=60)
                    status, body = answer.status_code, answer.content
                    if answer.ok:
                        document = answer.json()
                        for file in chain(*document["releases"].values()):
                            file["url"] = urljoin(answer.url, file["url"])
                        headers["X-PyPI-Last-Serial"] = str(document["last_serial"])
                        body = json.dumps(document).encode()
                except (requests.RequestException, ValueError, KeyError) as error:
                    status, body = 502, str(error).encode()
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Relay":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
