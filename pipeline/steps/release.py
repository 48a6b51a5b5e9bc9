"""prove, promote and smoke-test: a version becomes the champion, and is tried where clients call it."""

from __future__ import annotations

import logging
import time

import httpx
import msgspec

from bundle import Store
from bundle.model import Model
from pipeline.errors import NotProven, SmokeTestFailed
from pipeline.steps.step import Context, Step
from pipeline.steps.version import Version, champion_of

log = logging.getLogger("homeport.pipeline")

TAKEN_OVER_SECONDS = 30.0  # an endpoint looks for a new champion each second, verifies it and warms it
TOLERANCE = 1e-4  # of a probability, between the endpoint's machine and this one


class Proof(msgspec.Struct, frozen=True):
    """What was proven of a version."""

    golden_rows: int
    parity_rows: int
    max_difference: float


class Promotion(msgspec.Struct, frozen=True):
    """Which version took whose place."""

    candidate: Version
    champion: Version | None


class Promoted(msgspec.Struct, frozen=True):
    """The champion, and the version before it."""

    version: str
    before: str | None


class Smoke(msgspec.Struct, frozen=True):
    """What the endpoint answered."""

    url: str
    rows: int
    skipped: str = ""


def prove(candidate: Version, context: Context) -> Proof:
    """Hold all files to their digests, replay the golden rows in both runtimes, read the parity certificate.

    Raises BundleError, NotProven.
    """
    folder = context.store.path(candidate.model, candidate.version)
    for compiled in (False, True):
        model = Model(folder, compiled)
    parity = model.manifest.parity
    if parity.flips or parity.max_difference > parity.tolerance:
        raise NotProven(
            f"{candidate.model} {candidate.version}: its graph differs from the estimators in {parity.flips} labels "
            f"and by {parity.max_difference:.1e} (tolerance {parity.tolerance:.1e}). It is not promoted."
        )
    golden = len(msgspec.json.decode((folder / "golden.json").read_bytes())["rows"])
    return Proof(golden, parity.clean_rows + parity.damaged_rows + parity.adversarial_rows, parity.max_difference)


def promote(inputs: Promotion, context: Context) -> Promoted:
    """Point the champion to the version. Raises NotProven if another has become champion since the comparison."""
    candidate = inputs.candidate
    now = champion_of(context.store, candidate.model)
    if now not in (inputs.champion, candidate):
        raise NotProven(
            f"The champion of {candidate.model} is version {now.version if now else '-'} by now; compared was with "
            f"{inputs.champion.version if inputs.champion else 'none'}. Start a new run: it takes the training over."
        )
    context.store.promote(candidate.model, candidate.version)
    log.info("%s version %s is the champion", candidate.model, candidate.version)
    return Promoted(candidate.version, inputs.champion.version if inputs.champion else None)


def smoke_test(inputs: Promotion, context: Context) -> Smoke:
    """Wait until the endpoint has the version, score its examples there and here, and compare.

    If that fails the champion before is put back. Raises SmokeTestFailed.
    """
    try:
        return _tried(inputs.candidate, context)
    except (SmokeTestFailed, httpx.HTTPError, OSError, ValueError, KeyError) as error:
        undone = _put_back(inputs, context.store)
        raise SmokeTestFailed(f"{context.places.endpoint}: {error} {undone}") from error


def _tried(candidate: Version, context: Context) -> Smoke:
    url = context.places.endpoint
    with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
        served = _taken_over(client, candidate, context)
        if served:
            log.warning("the endpoint serves %s: not tried there", served)
            return Smoke(url, 0, f"the endpoint serves {served}")
        folder = context.store.path(candidate.model, candidate.version)
        model = Model(folder)
        rows = msgspec.json.decode((folder / "examples.json").read_bytes())
        expected = model.outputs(model.encode(model.tuples(rows)))
        key = msgspec.json.decode(context.places.keys.read_bytes())["primary"]
        regression = model.manifest.regression
        body = {"data": rows, "method": "predict" if regression else "predict_proba"}
        refused = client.post("/score", json=body)
        answer = client.post("/score", json=body, headers={"Authorization": f"Bearer {key}"})
    if refused.status_code != 401:
        raise SmokeTestFailed(f"A request without a key was answered with {refused.status_code} instead of 401.")
    if answer.status_code != 200:
        raise SmokeTestFailed(f"Its examples were answered with {answer.status_code}: {answer.text[:200]}")
    given = answer.json()["result"]
    wanted = expected[:, 0].tolist() if regression else expected.tolist()
    worst = max(_difference(one, other) for one, other in zip(given, wanted, strict=True))
    if worst > TOLERANCE * (model.manifest.metrics["root_mean_squared_error"] if regression else 1):
        raise SmokeTestFailed(f"Its examples are answered otherwise than by the bundle: by {worst:.1e}.")
    return Smoke(url, len(rows))


def _difference(given: object, wanted: object) -> float:
    if isinstance(given, list) and isinstance(wanted, list):
        return max(abs(float(one) - float(other)) for one, other in zip(given, wanted, strict=True))
    return abs(float(given) - float(wanted))  # type: ignore[arg-type]


def _taken_over(client: httpx.Client, candidate: Version, context: Context) -> str:
    """Wait for the version; says which other model is served, if one is."""
    deadline = time.monotonic() + TAKEN_OVER_SECONDS
    while True:
        try:
            said = client.get("/health/ready").json()
            if (said.get("model"), said.get("version")) == (candidate.model, candidate.version):
                return ""
            # pinned to another model it never takes this one over; otherwise it does, if none was promoted after it
            follows = not said.get("pinned", True) and context.store.names()[0] == candidate.model
            if said.get("model") not in (None, candidate.model) and not follows:
                return str(said["model"])
            reason = f"it says {said}"
        except (httpx.TransportError, ValueError) as error:
            reason = f"no answer ({error or type(error).__name__}); start it with `homeport up`, or set Serve to false"
        if time.monotonic() > deadline:
            raise SmokeTestFailed(
                f"The endpoint did not take version {candidate.version} over in {TAKEN_OVER_SECONDS:.0f} s: {reason}."
            )
        context.tell("waiting for the endpoint")
        time.sleep(0.2)


def _put_back(inputs: Promotion, store: Store) -> str:
    now = champion_of(store, inputs.candidate.model)
    if inputs.champion is None or now != inputs.candidate:
        return "The champion stays, as there was none before." if inputs.champion is None else ""
    version = store.rollback(inputs.candidate.model)
    return f"Version {version} is the champion again."


PROVE = Step("prove", prove, Proof, ("bundle", "pipeline.steps.release"), "any run")
PROMOTE = Step("promote", promote, Promoted, ("pipeline.steps.release",), "this run")
SMOKE_TEST = Step("smoke-test", smoke_test, Smoke, ("pipeline.steps.release",), "this run")
