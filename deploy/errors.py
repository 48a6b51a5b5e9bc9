"""What can go wrong on the way to an endpoint elsewhere. Every message says what, which value, and what to do."""

from __future__ import annotations


class DeployError(Exception):
    """Base of all errors of this package."""


class SettingsInvalid(DeployError):
    """The file of settings is missing, or one of them is wrong."""


class ImageUnusable(DeployError):
    """There is no image of serving to bake a bundle into, or not one that can run there."""


class RegistryRefused(DeployError):
    """The registry does not take the image, or cannot be reached."""


class KeysMissing(DeployError):
    """The keys of the endpoint are not on this machine."""


class NotLoggedIn(DeployError):
    """Nobody is logged in to the target, or the login is over."""


class TargetRefused(DeployError):
    """The target refuses what it was asked, or failed at it; `code` is its own word for why."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class TargetUnreachable(DeployError):
    """The target does not answer, or not in time."""


class NotDeployed(DeployError):
    """There is no endpoint there."""


class ReplaceNeeded(DeployError):
    """What has changed cannot be changed in place: the endpoint would have to be deleted and created anew."""


class EndpointUnready(DeployError):
    """The endpoint was deployed, and does not answer as it should."""
