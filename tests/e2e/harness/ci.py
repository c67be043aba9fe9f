"""A CI service as GitHub Actions is one: an issuer of identity tokens, and the jobs that ask for them.

The issuer speaks TLS. A job is the environment that uv and twine look at: where it asks for an identity
token, and by which secret.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .tls import Certificates, _Server

KID = "ci-key-1"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class CiService:
    """Signs an identity token for every job that asks for one; `claims` are those of all jobs."""

    def __init__(self, certificates: Certificates, repository: str = "octo/demo", workflow: str = "release.yml") -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.certificates = certificates
        owner = repository.split("/")[0]
        self.claims: dict[str, object] = {
            "sub": f"repo:{repository}:ref:refs/tags/v1",
            "repository": repository,
            "repository_owner": owner,
            "repository_owner_id": "7",
            "repository_id": "11",
            "repository_visibility": "public",
            "runner_environment": "github-hosted",
            "event_name": "push",
            "ref": "refs/tags/v1",
            "sha": "0" * 40,
            "run_id": "1234",
            "job_workflow_ref": f"{repository}/.github/workflows/{workflow}@refs/tags/v1",
            "workflow_ref": f"{repository}/.github/workflows/{workflow}@refs/tags/v1",
        }
        self.asked: list[str] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                service.asked.append(parts.path)
                document = service._answer(parts.path, parse_qs(parts.query), self.headers.get("Authorization", ""))
                body = json.dumps(document).encode()
                self.send_response(200 if document is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.certificate, certificates.key)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "CiService":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, query: dict[str, list[str]], authorization: str) -> object:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            public = self._key.public_key().public_numbers()
            key = {"kty": "RSA", "kid": KID, "alg": "RS256", "use": "sig"}
            return {"keys": [key | {"n": _number(public.n), "e": _number(public.e)}]}
        if path == "/job/token" and authorization.lower() == "bearer the-job":
            return {"value": self.token(query.get("audience", [""])[0])}
        return None

    def token(self, audience: str, **other: object) -> str:
        """An identity token; `other` are claims that are different, and without which it is where they are None."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": audience, "iat": now, "nbf": now, "exp": now + 300, "jti": str(uuid.uuid4())}
        claims = {name: value for name, value in (claims | self.claims | other).items() if value is not None}
        header = {"alg": "RS256", "typ": "JWT", "kid": KID}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encoded(signature)}"

    @property
    def job(self) -> dict[str, str]:
        """The environment of a job that may ask for identity tokens."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/job/token?api-version=1",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "the-job",
        } | dict(self.certificates.env)
