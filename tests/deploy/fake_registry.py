"""A container registry of Azure's: distribution v2, with tokens that a login is exchanged for."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.deploy.fake_server import Answer, Request

LOGIN = "registry-refresh-token"
TOKEN = "registry-access-token"
PULL_TOKEN = "registry-pull-token"  # for the engine that runs the image


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry:
    """What was pushed. `login` is the token of the one who may log in."""

    def __init__(self, login: str) -> None:
        self._login = login
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}  # by tag and by digest
        self._uploads: dict[str, bytes] = {}

    def answer(self, request: Request) -> Answer:
        """To a request below /oauth2 or /v2."""
        if request.path.startswith("/oauth2/"):
            return Answer(200, {"token": PULL_TOKEN}) if request.method == "GET" else self._token(request)
        may = {f"Bearer {TOKEN}"} | ({f"Bearer {PULL_TOKEN}"} if request.method in ("GET", "HEAD") else set())
        if request.headers.get("authorization") not in may:
            host = request.headers["host"]
            challenge = {"WWW-Authenticate": f'Bearer realm="https://{host}/oauth2/token",service="{host}"'}
            return Answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "log in"}]}, challenge)
        if request.path == "/v2/":
            return Answer(200, {})
        if found := re.fullmatch(r"/v2/homeport/manifests/(.+)", request.path):
            return self._manifest(request, found[1])
        if found := re.fullmatch(r"/v2/homeport/blobs/(sha256:\w+)", request.path):
            blob = self.blobs.get(found[1])
            return Answer(404, {"errors": [{"code": "BLOB_UNKNOWN"}]}) if blob is None else Answer(200, blob)
        if found := re.fullmatch(r"/v2/homeport/blobs/uploads/(\w*)", request.path):
            return self._upload(request, found[1])
        return Answer(404, {"errors": [{"code": "NAME_UNKNOWN", "message": request.path}]})

    def config(self, reference: str) -> dict[str, Any]:
        """The configuration of an image by `server/repository@digest`."""
        found: dict[str, Any] = json.loads(self.blobs[self._read(reference)["config"]["digest"]])
        return found

    def unpack(self, reference: str, folder: Path) -> None:
        """Its layers, each over the one before, as an engine lays them."""
        config = self.config(reference)
        for layer, diff_id in zip(self._read(reference)["layers"], config["rootfs"]["diff_ids"], strict=True):
            with tarfile.open(fileobj=io.BytesIO(self.blobs[layer["digest"]]), mode="r:gz") as tar:
                tar.extractall(folder, filter="tar")
            assert layer["size"] == len(self.blobs[layer["digest"]])
            assert diff_id.startswith("sha256:")

    def _read(self, reference: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.manifests[reference.partition("@")[2]])
        return found

    def _token(self, request: Request) -> Answer:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if request.path == "/oauth2/exchange" and form["access_token"] == self._login:
            return Answer(200, {"refresh_token": LOGIN})
        if request.path == "/oauth2/token" and form.get("refresh_token") == LOGIN:
            assert form["scope"] == "repository:homeport:pull,push"
            return Answer(200, {"access_token": TOKEN})
        return Answer(401, {"errors": [{"code": "UNAUTHORIZED"}]})

    def _manifest(self, request: Request, reference: str) -> Answer:
        if request.method == "PUT":
            manifest = json.loads(request.body)
            needed = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
            if missing := [one for one in needed if one not in self.blobs]:
                return Answer(400, {"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": str(missing)}]})
            digest = _digest(request.body)
            self.manifests[reference] = self.manifests[digest] = request.body
            return Answer(201, headers={"Docker-Content-Digest": digest})
        manifest_bytes = self.manifests.get(reference)
        if manifest_bytes is None:
            return Answer(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]})
        kind = json.loads(manifest_bytes)["mediaType"]
        return Answer(200, manifest_bytes, {"Docker-Content-Digest": _digest(manifest_bytes), "Content-Type": kind})

    def _upload(self, request: Request, name: str) -> Answer:
        if request.method == "POST":
            name = f"u{len(self._uploads)}"
            self._uploads[name] = b""
        elif request.method == "PATCH":
            self._uploads[name] += request.body
        elif request.method == "PUT":
            content = self._uploads.pop(name) + request.body
            if request.query["digest"] != _digest(content):
                return Answer(400, {"errors": [{"code": "DIGEST_INVALID", "message": "not what was announced"}]})
            self.blobs[_digest(content)] = content
            return Answer(201, headers={"Docker-Content-Digest": _digest(content)})
        return Answer(202, headers={"Location": f"/v2/homeport/blobs/uploads/{name}?state=1"})
