"""What the commands of `homeport deploy azure` work with, and how they ask and end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from homeport.errors import HomeportError
from homeport.options import DEFAULT_MODELS, INTERRUPTED, say

if TYPE_CHECKING:
    from deploy.keys import KeyFile
    from deploy.redact import Redactor
    from deploy.rollout import Rollout
    from deploy.target import Target


class DeploySession:
    """A target with its settings, the keys, and the way between them."""

    def __init__(self, settings: Path, models: Path, state: Path) -> None:
        from bundle import Store
        from deploy.azure.credentials import credential
        from deploy.azure.settings import read_settings
        from deploy.azure.target import ContainerInstances
        from deploy.keys import KeyFile
        from deploy.rollout import Rollout, Wish

        wanted = read_settings(settings)
        self.keys: KeyFile = KeyFile(state / "azure" / f"{wanted.name}.keys.json")
        self._who = credential()
        self.target: Target = ContainerInstances(wanted, self._who)
        wish = Wish(
            wanted.model,
            wanted.cpu,
            wanted.memory_gb,
            wanted.tls,
            wanted.environment,
            wanted.wait_seconds,
            wanted.poll_seconds,
        )
        self.rollout: Rollout = Rollout(self.target, Store(models), self.keys, wish, self.say)

    @property
    def redactor(self) -> Redactor:
        """Hides the keys, those that a rotation has just made too."""
        from deploy.redact import Redactor

        found = [keys for keys in (self.keys.read(), self.keys.staged()) if keys]
        return Redactor([key for keys in found for key in (keys.primary, keys.secondary)])

    def close(self) -> None:
        """Close all connections."""
        self.target.close()
        self._who.close()

    def say(self, text: str) -> None:
        """Print a line without a key in it."""
        say(self.redactor.text(text))

    def may_replace(self, given: bool) -> bool:
        """Ask, if there is something to ask and somebody to answer."""
        obstacles = self.rollout.obstacles()
        if given or not obstacles:
            return given
        why = f"Azure cannot change that in place: {'; '.join(obstacles)}."
        return agreed(
            f"{why} Delete the endpoint and create it anew? It does not answer for some minutes.", "--replace"
        )


@contextmanager
def session_of(settings: Path, state: Path, models: Path = DEFAULT_MODELS) -> Iterator[DeploySession]:
    """What a command works with, closed at its end. Raises HomeportError for whatever goes wrong."""
    try:
        from deploy.errors import DeployError
    except ImportError as error:
        raise HomeportError("Deployment is not part of this image: use the service `deploy`.") from error
    try:
        with closing(DeploySession(settings, models, state)) as session:
            yield session
    except ImportError as error:
        raise HomeportError(f"A package is missing ({error}): pip install 'homeport[deploy]'.") from error
    except DeployError as error:
        raise HomeportError(str(error)) from error
    except KeyboardInterrupt:
        say("Interrupted. What Azure was asked for it goes on with: the same command waits for it and goes on.")
        raise typer.Exit(INTERRUPTED) from None


def agreed(question: str, option: str) -> bool:
    """What a person answers. Raises HomeportError where there is none, which names the option that says so too."""
    if not sys.stdin.isatty():
        raise HomeportError(f"{question} There is nobody to ask here: say so by {option}.")
    return typer.confirm(question)
