"""The steps from a bundle to an endpoint elsewhere, the same for every target."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bundle import BundleError, Store
from deploy.archive import open_archive
from deploy.errors import EndpointUnready, ImageUnusable, NotDeployed
from deploy.image import Baked, bake, push
from deploy.keys import KeyFile, KeyName, Keys
from deploy.probe import Probe, Scored
from deploy.spec import DeploymentSpec
from deploy.target import Change, Release, Say, Status, Target


@dataclass(frozen=True)
class Wish:
    """What the file of settings says of the endpoint."""

    model: str
    cpu: float
    memory_gb: float
    tls: bool
    environment: Mapping[str, str] = field(default_factory=dict)
    wait_seconds: float = 900
    poll_seconds: float = 3


@dataclass(frozen=True)
class Outcome:
    """An endpoint that was seen to work."""

    status: Status
    spec: DeploymentSpec
    scored: Scored
    changed: bool


@dataclass(frozen=True)
class Plan:
    """What `apply` would do."""

    image: str
    image_is_there: bool
    changes: Sequence[Change]
    obstacles: Sequence[str]
    is_current: bool


class Rollout:
    """One endpoint on its way. Every method raises DeployError; `bring` and `plan` BundleError too."""

    def __init__(self, target: Target, store: Store, keys: KeyFile, wish: Wish, say: Say) -> None:
        self._target, self._store, self._keys, self._wish, self._say = target, store, keys, wish, say

    def plan(self, serving_image: str) -> Plan:
        """What `bring` would do; nothing is changed, anywhere."""
        with self._baked(serving_image) as (baked, _):
            registry = self._target.registry()
            digest = registry.digest(baked.tag) if registry else None
            image = registry.reference(digest or baked.tag) if registry else f"homeport:{baked.tag}"
            keys = self._keys.staged() or self._keys.read() or Keys("made by apply", "made by apply")
            spec = self._spec(image, baked.model, baked.version, keys, self._insights())
            current = bool(digest) and self._target.is_current(spec)
            changes = () if current else self._target.plan(spec)
            return Plan(image, bool(digest), changes, self._target.obstacles(spec), current)

    def obstacles(self) -> Sequence[str]:
        """What would need the endpoint to be deleted first."""
        return self._target.obstacles(self._spec("", "", "", Keys("", ""), insights=True))

    def bring(self, serving_image: str, may_replace: bool) -> Outcome:
        """Bake the champion into the image, push it, deploy it, and see that it works."""
        keys = self._own_keys()
        with self._baked(serving_image) as (baked, scratch):
            spec = self._spec("", baked.model, baked.version, keys, self._insights())
            registry = self._target.prepare(self._say)
            spec = replace(spec, image=registry.reference(push(baked, registry, scratch, self._say)))
        return self._deploy(spec, may_replace)

    def rollback(self, may_replace: bool) -> Outcome:
        """Deploy the release before the present one again, by its digest."""
        release = before(self._target.releases())
        registry = self._target.registry()
        if registry is None or registry.digest(release.image.partition("@")[2]) is None:
            raise ImageUnusable(
                f"The image of the release before, {release.image}, is not in the registry any more. Promote an older "
                "version (`homeport models rollback`), and run `apply`."
            )
        spec = self._spec(release.image, release.model, release.version, self._own_keys(), self._insights())
        self._say(f"Returning to {release.model} {release.version}, deployed at {release.at:%Y-%m-%d %H:%M} UTC.")
        return self._deploy(spec, may_replace)

    def rotate(self, names: Sequence[KeyName], may_replace: bool) -> Outcome:
        """Give the endpoint new keys; the old ones are forgotten once it takes the new."""
        present = self._present()
        if self._keys.read() is None and len(names) < 2:
            self._keys.demand()
        if self._keys.staged() is not None:
            self._say("An earlier rotation did not end: going on with its keys.")
        keys = self._keys.stage(*names)
        spec = self._spec(present.image, present.model, present.version, keys, present.insights)
        return self._deploy(spec, may_replace)

    def switch_insights(self, on: bool, may_replace: bool) -> Outcome:
        """Let telemetry be sent to the target's monitor, or not."""
        present = self._present()
        spec = self._spec(present.image, present.model, present.version, self._own_keys(), on)
        self._target.prepare(self._say)
        return self._deploy(spec, may_replace)

    def _deploy(self, spec: DeploymentSpec, may_replace: bool) -> Outcome:
        changed = not self._target.is_current(spec)
        if changed:
            self._target.apply(spec, self._say, may_replace)
        else:
            self._say("Exactly this runs already: nothing is deployed.")
        status = self._status()
        self._say(f"Waiting for {status.address} to be ready.")
        probe = Probe(status.address, self._wish.wait_seconds, self._wish.poll_seconds)
        try:
            scored = probe.wait(spec, self._target.status)
        except EndpointUnready as error:
            raise EndpointUnready(
                f"{error} It was deployed, and goes on trying. `logs` and `status` tell more, "
                "`rollback` returns to the release before."
            ) from error
        self._keys.commit()
        return Outcome(self._status(), spec, scored, changed)

    def _status(self) -> Status:
        status = self._target.status()
        if status is None:
            raise NotDeployed("There is no endpoint: `apply` makes one.")
        return status

    def _present(self) -> Release:
        """The release that runs."""
        self._status()
        return present(self._target.releases())

    def _insights(self) -> bool:
        """As it was switched last; on at first."""
        releases = [one for one in self._target.releases() if one.state == "succeeded"]
        return releases[0].insights if releases else True

    def _own_keys(self) -> Keys:
        if self._keys.read() is None and self._target.status() is not None:
            self._keys.demand()
        self._keys.make()
        return self._keys.staged() or self._keys.make()

    def _spec(self, image: str, model: str, version: str, keys: Keys, insights: bool) -> DeploymentSpec:
        wish = self._wish
        return DeploymentSpec(
            image, model, version, keys, wish.cpu, wish.memory_gb, insights, wish.tls, dict(wish.environment)
        )

    @contextmanager
    def _baked(self, serving_image: str) -> Iterator[tuple[Baked, Path]]:
        model = self._wish.model or next(iter(self._store.names()), "")
        if not model:
            raise BundleError(f"There is no model in {self._store.root} yet: train one with `homeport train`.")
        with tempfile.TemporaryDirectory(prefix="homeport-deploy-") as folder:
            scratch = Path(folder)
            with open_archive(serving_image, scratch) as archive:
                baked = bake(archive, self._store, model, scratch)
                self._say(f"Baked {baked.model} {baked.version} into {serving_image}.")
                yield baked, scratch


def present(releases: Sequence[Release]) -> Release:
    """The last release that succeeded. Raises NotDeployed."""
    for one in releases:
        if one.state == "succeeded":
            return one
    raise NotDeployed("Nothing was deployed with success yet: `apply` does.")


def before(releases: Sequence[Release]) -> Release:
    """The release to go back to: after a failure the last that succeeded, else the last of an older image.

    A rollback is a release too, so that the next one goes further back, and not forth again. Raises NotDeployed.
    """
    succeeded = [one for one in releases if one.state == "succeeded"]
    if releases and releases[0].state in ("failed", "canceled") and succeeded:
        return succeeded[0]
    if succeeded:
        first = max(index for index, one in enumerate(succeeded) if one.image == succeeded[0].image)
        for one in succeeded[first + 1 :]:
            if one.image != succeeded[0].image:
                return one
    raise NotDeployed("There is no release before this one to go back to. `status` lists them.")
