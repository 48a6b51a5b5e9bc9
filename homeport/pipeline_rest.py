"""One pipeline service over HTTP: asks, reads the answer into its type, and passes on what the service refuses."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from homeport.errors import PipelineServiceAway, PipelineServiceError

Answer = TypeVar("Answer")

SECONDS = 60.0


class Rest:
    """One service with a key; who waits for something asks each `poll_seconds`.

    >>> Rest("http://127.0.0.1:8010", key, 1.0).ask("GET", path("pipelines", "bank"), Published).status
    'ACTIVE'
    """

    def __init__(self, url: str, key: str, poll_seconds: float) -> None:
        try:
            # a proxy in the environment has no business with a call to this machine
            local = httpx.URL(url).host in ("127.0.0.1", "localhost", "::1")
            headers = {"Authorization": f"Bearer {key}"}
            self._client = httpx.Client(base_url=url, headers=headers, timeout=SECONDS, trust_env=not local)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise PipelineServiceError(f"'{url}' is no address, or the key no key: {error}.") from error
        self.url, self.poll_seconds = url, poll_seconds

    def ask(self, method: str, path: str, answer: type[Answer], body: object = None, **query: Any) -> Answer:
        """Ask for `path`, with a JSON body if there is one.

        Raises PipelineServiceError with the service's own words, PipelineServiceAway if nobody answers.
        """
        content = self._ask(method, path, body, query)
        try:
            return msgspec.json.decode(content, type=answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise PipelineServiceError(
                f"{self.url}{path} answered something unexpected ({error}): is it the pipeline service, and of the "
                f"same version of Homeport?"
            ) from error

    def tell(self, method: str, path: str) -> None:
        """Ask for `path` where the answer says nothing more. Raises as `ask` does."""
        self._ask(method, path, None, {})

    def _ask(self, method: str, path: str, body: object, query: dict[str, Any]) -> bytes:
        headers = {} if body is None else {"Content-Type": "application/json"}
        content = None if body is None else msgspec.json.encode(body)
        try:
            response = self._client.request(method, path, params=query, content=content, headers=headers)
        except httpx.UnsupportedProtocol as error:
            raise PipelineServiceError(f"'{self.url}' is no address: it begins with http:// or https://.") from error
        except httpx.TransportError as error:
            raise PipelineServiceAway(
                f"No answer from the pipeline service at {self.url} ({error}). Is it running? `homeport up` starts it."
            ) from error
        if response.is_success:
            return response.content
        raise PipelineServiceError(
            f"{self.url}{path} answered {response.status_code}: {_message(response)}", response.status_code
        )


def path(*parts: str) -> str:
    """A path of these parts, whatever is in them."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _message(response: httpx.Response) -> str:
    try:
        content = response.json()
    except ValueError:
        return "no JSON: is it the pipeline service?"
    return str(content.get("message", content) if isinstance(content, dict) else content)
