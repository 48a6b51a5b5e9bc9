"""A client of image registries, over the protocol that all of them speak (distribution v2)."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from deploy.errors import RegistryRefused

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
TRIES = 4
_CHUNK = 1 << 20
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})

Login = Callable[[str], str]  # scope -> token
Content = Callable[[], "bytes | Iterator[bytes]"]


class Registry:
    """One repository of a registry.

    >>> Registry("https://bank.azurecr.io", "homeport", login).digest("bank-marketing-1-0123456789ab")
    'sha256:…'
    """

    def __init__(self, url: str, repository: str, login: Login | None = None, pause: float = 1.0) -> None:
        self.url, self.repository = url, repository
        self.server = url.partition("://")[2]
        self._login, self._token, self._pause = login, "", pause
        self._client = httpx.Client(timeout=httpx.Timeout(60, connect=15), follow_redirects=True)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def reference(self, name: str) -> str:
        """An image as those who pull it name it, by its digest or a tag."""
        return f"{self.server}/{self.repository}{'@' if name.startswith('sha256:') else ':'}{name}"

    def digest(self, tag: str) -> str | None:
        """The digest that a tag stands for, or None. Raises RegistryRefused."""
        answer = self._ask("HEAD", f"manifests/{tag}", headers={"Accept": MANIFEST})
        return answer.headers.get("docker-content-digest") if answer.status_code == 200 else None

    def layers(self, tag: str) -> dict[str, dict[str, Any]]:
        """The layers of an image that is there: digest of the content → descriptor. Empty if it is not there."""
        answer = self._ask("GET", f"manifests/{tag}", headers={"Accept": MANIFEST})
        if answer.status_code != 200:
            return {}
        manifest = answer.json()
        config = self._ask("GET", f"blobs/{manifest['config']['digest']}")
        if config.status_code != 200:
            return {}
        return dict(zip(config.json()["rootfs"]["diff_ids"], manifest["layers"], strict=True))

    def has(self, digest: str) -> bool:
        """Whether a blob is there. Raises RegistryRefused."""
        return self._ask("HEAD", f"blobs/{digest}").status_code == 200

    def push_file(self, path: Path, digest: str) -> None:
        """Upload a blob unless it is there; what is cut short is sent again. Raises RegistryRefused."""

        def content() -> Iterator[bytes]:
            with path.open("rb") as file:
                while part := file.read(_CHUNK):
                    yield part

        self._push(digest, content, path.stat().st_size)

    def push_bytes(self, content: bytes) -> str:
        """Upload a small blob unless it is there, and return its digest. Raises RegistryRefused."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._push(digest, lambda: content, len(content))
        return digest

    def push_manifest(self, content: bytes, *tags: str) -> str:
        """Name what was uploaded, and return its digest. Raises RegistryRefused."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        for tag in tags:
            answer = self._ask("PUT", f"manifests/{tag}", lambda: content, {"Content-Type": MANIFEST})
            if answer.status_code != 201 or answer.headers.get("docker-content-digest", digest) != digest:
                raise self._refusal(answer)
        return digest

    def _push(self, digest: str, content: Content, size: int) -> None:
        for attempt in range(TRIES):
            if self.has(digest):
                return
            start = self._ask("POST", "blobs/uploads/", lambda: b"")
            if start.status_code != 202:
                raise self._refusal(start)
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            try:  # not through `_ask`: half an upload is begun anew, from the start
                sent = self._send("PATCH", self._absolute(start), content, headers)
                if sent.status_code == 202:
                    place = self._absolute(sent)
                    place += ("&" if "?" in place else "?") + f"digest={digest}"
                    sent = self._send("PUT", place, lambda: b"", {"Content-Length": "0"})
            except httpx.TransportError as error:
                if attempt + 1 == TRIES:
                    raise self._unreachable(error) from error
            else:
                if sent.status_code == 201:
                    return
                if sent.status_code == 401:
                    self._token = ""
                elif sent.status_code not in _AGAIN or attempt + 1 == TRIES:
                    raise self._refusal(sent)
            time.sleep(self._pause * 2**attempt)
        raise RegistryRefused(f"{self.server} did not take {digest} in {TRIES} tries. The same command goes on.")

    def _ask(
        self, method: str, path: str, content: Content | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        for attempt in range(TRIES):
            try:
                answer = self._send(method, f"{self.url}/v2/{self.repository}/{path}", content, headers or {})
            except httpx.TransportError as error:
                if attempt + 1 == TRIES:
                    raise self._unreachable(error) from error
            else:
                if answer.status_code not in _AGAIN or attempt + 1 == TRIES:
                    if answer.status_code in (401, 403) or answer.status_code >= 500:
                        raise self._refusal(answer)
                    return answer
            time.sleep(self._pause * 2**attempt)
        raise AssertionError

    def _send(self, method: str, url: str, content: Content | None, headers: dict[str, str]) -> httpx.Response:
        for _ in range(2):
            if self._login and not self._token:
                self._token = self._login(f"repository:{self.repository}:pull,push")
            authorization = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            answer = self._client.request(
                method, url, content=content() if content else None, headers=headers | authorization
            )
            if answer.status_code != 401 or not self._login:
                break
            self._token = ""  # it is over: once more with a new one
        return answer

    def _absolute(self, answer: httpx.Response) -> str:
        return str(answer.url.join(answer.headers["location"]))

    def _refusal(self, answer: httpx.Response) -> RegistryRefused:
        try:
            said = "; ".join(f"{error['code']}: {error.get('message', '')}" for error in answer.json()["errors"])
        except (ValueError, LookupError, TypeError):
            said = re.sub(r"\s+", " ", answer.text)[:200]
        remedy = ""
        if answer.status_code in (401, 403):
            remedy = " Who deploys needs the right to push there: the role AcrPush, or Contributor, on the registry."
        return RegistryRefused(
            f"The registry {self.server} answered {answer.status_code} to {answer.request.method} "
            f"{answer.request.url.path}{': ' if said else ''}{said}.{remedy}"
        )

    def _unreachable(self, error: Exception) -> RegistryRefused:
        return RegistryRefused(
            f"The registry {self.server} cannot be reached ({error}). Blobs that arrived stay there: "
            "the same command goes on."
        )


def encode(document: object) -> bytes:
    """A document as bytes that are the same each time, so that its digest is."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
