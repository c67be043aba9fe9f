"""The legacy upload form, spoken without any tool, so that a test can also speak it wrongly."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from .distributions import Distribution


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes

    def header(self, name: str) -> str | None:
        return self.headers.get(name)

    def json(self) -> dict:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.body[:400]!r}"


def request(
    method: str, url: str, *, headers: dict[str, str] | None = None, body: bytes | None = None, timeout: float = 60
) -> Answer:
    """One request on a connection of its own; redirects are not followed, nothing is decoded."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.reason, response.headers, response.read())
    finally:
        connection.close()


def fields_for(dist: Distribution) -> list[tuple[str, str]]:
    """The form that twine and uv send for `dist`, without its content."""
    return [
        (":action", "file_upload"),
        ("protocol_version", "1"),
        ("metadata_version", "2.1" if dist.is_wheel else "2.2"),
        ("name", dist.name),
        ("version", dist.version),
        ("filetype", "bdist_wheel" if dist.is_wheel else "sdist"),
        ("pyversion", "py3" if dist.is_wheel else "source"),
        ("sha256_digest", dist.sha256),
        ("md5_digest", hashlib.md5(dist.content, usedforsecurity=False).hexdigest()),
        ("blake2_256_digest", hashlib.blake2b(dist.content, digest_size=32).hexdigest()),
    ]


def form(fields: list[tuple[str, str]], filename: str | None, content: bytes = b"") -> tuple[bytes, str]:
    """A multipart body and its content type."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    if filename is not None:
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
            + content
            + b"\r\n"
        )
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def basic(token: str, user: str = "__token__") -> str:
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


def upload(
    url: str, token: str | None, dist: Distribution, *, change: dict[str, str | None] | None = None, timeout: float = 60
) -> Answer:
    """Uploads `dist`; `change` replaces fields of the form, or leaves one out (`None`)."""
    fields = [(k, v) for k, v in fields_for(dist) if k not in (change or {})]
    fields += [(k, v) for k, v in (change or {}).items() if v is not None]
    body, content_type = form(fields, dist.filename, dist.content)
    headers = {"Content-Type": content_type}
    if token is not None:
        headers["Authorization"] = basic(token)
    return request("POST", url, headers=headers, body=body, timeout=timeout)
