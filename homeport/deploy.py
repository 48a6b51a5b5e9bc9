"""The commands `homeport deploy azure …`; also a program of its own, `python -m homeport.deploy`, for its container."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from homeport.deploy_session import DeploySession, agreed, session_of
from homeport.errors import HomeportError
from homeport.options import DEFAULT_MODELS, DEFAULT_STATE, Models, State

if TYPE_CHECKING:
    from deploy.rollout import Outcome

deploy = typer.Typer(help="Take the champion to an endpoint elsewhere.", no_args_is_help=True)
azure = typer.Typer(
    help="Azure Container Instances: `docs/azure.md` leads from an empty subscription to a scored row, and back.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
deploy.add_typer(azure, name="azure")

Settings = Annotated[
    Path,
    typer.Option("--settings", envvar="HOMEPORT_AZURE", help="File of settings; deploy/azure/example.toml is one."),
]
ServingImage = Annotated[
    str,
    typer.Option(
        envvar="HOMEPORT_SERVING_IMAGE", help="Image of serving: a name known to Docker, a file of `docker save`, or -."
    ),
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Delete the endpoint and create it anew where Azure cannot change it in place."),
]
DEFAULT_SETTINGS = Path("azure.toml")
DEFAULT_IMAGE = "homeport/serving"
COST = "Azure bills the endpoint for every second that it runs. `homeport deploy azure destroy` ends that."


def _report(session: DeploySession, outcome: Outcome) -> None:
    status, spec, scored = outcome.status, outcome.spec, outcome.scored
    session.say(f"\n{spec.model} {spec.version} answers: {scored.result!r} with the key, {scored.without_key} without.")
    session.say(f"  endpoint  {status.address}/score\n  Swagger   {status.address}/docs\n  portal    {status.portal}")
    session.say("  key       homeport deploy azure keys primary")
    session.say(f"  insights  {'on' if spec.insights else 'off'}\n  image     {spec.image}")
    if not spec.tls:
        session.say("Keys travel in the clear: `tls = true` in the file of settings puts HTTPS in front.")
    session.say(COST)


@azure.command()
def plan(
    settings: Settings = DEFAULT_SETTINGS,
    serving_image: ServingImage = DEFAULT_IMAGE,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Check everything and show what `apply` would change; nothing is changed.

    Example: `homeport deploy azure plan --settings production.toml`
    """
    with session_of(settings, state, models) as session:
        found = session.rollout.plan(serving_image)
        session.say(f"Image: {found.image}{'' if found.image_is_there else ' (not pushed yet)'}")
        if found.is_current:
            session.say("Exactly this runs already: apply would deploy nothing.")
        for change in found.changes:
            session.say(f"  {change.kind:<10}{change.resource}")
            for line in change.details:
                session.say(f"            {line}")
        if found.obstacles:
            session.say(f"Azure cannot change that in place, apply needs --replace: {'; '.join(found.obstacles)}.")


@azure.command()
def apply(
    settings: Settings = DEFAULT_SETTINGS,
    serving_image: ServingImage = DEFAULT_IMAGE,
    replace: Replace = False,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Bake the champion into the image, push and deploy it, wait for it, and score a row.

    A second call changes nothing; one that was interrupted goes on.

    Examples: `homeport deploy azure apply`, `homeport deploy azure apply --serving-image serving.tar`
    """
    with session_of(settings, state, models) as session:
        _report(session, session.rollout.bring(serving_image, session.may_replace(replace)))


@azure.command()
def status(settings: Settings = DEFAULT_SETTINGS, state: State = DEFAULT_STATE) -> None:
    """How the endpoint is, and what was deployed."""
    with session_of(settings, state) as session:
        found = session.target.status()
        if found is None:
            session.say("There is no endpoint.")
        else:
            session.say(f"{found.state}: {found.address}\n  image     {found.image}\n  portal    {found.portal}")
            for one in found.containers:
                session.say(
                    f"  {one.name:<9} {one.state}, {one.restarts} restarts{f', {one.detail}' if one.detail else ''}"
                )
            for event in found.events:
                session.say(f"  event     {event}")
        for release in session.target.releases():
            said = f"{release.model} {release.version}, insights {'on' if release.insights else 'off'}"
            session.say(
                f"{release.at:%Y-%m-%d %H:%M} {release.state:<9} {said}, {release.image.partition('@')[2][:19]}"
            )
        if found is not None:
            session.say(COST)


@azure.command()
def logs(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="So many of the last lines.")] = 50,
    settings: Settings = DEFAULT_SETTINGS,
    state: State = DEFAULT_STATE,
) -> None:
    """What the endpoint wrote last."""
    with session_of(settings, state) as session:
        session.say(session.target.logs(lines).rstrip("\n"))


@azure.command()
def keys(
    name: Annotated[Literal["primary", "secondary"], typer.Argument(help="Which of the two.")],
    settings: Settings = DEFAULT_SETTINGS,
    state: State = DEFAULT_STATE,
) -> None:
    """Print one key, and nothing else: `KEY=$(homeport deploy azure keys primary)`."""
    with session_of(settings, state) as session:
        if session.keys.staged():
            print("A rotation has not ended: run `homeport deploy azure rotate-keys` again.", file=sys.stderr)
        print(getattr(session.keys.demand(), name))


@azure.command("rotate-keys")
def rotate_keys(
    name: Annotated[Literal["primary", "secondary", "both"], typer.Argument(help="Which to replace.")],
    replace: Replace = False,
    settings: Settings = DEFAULT_SETTINGS,
    state: State = DEFAULT_STATE,
) -> None:
    """Replace a key; the other stays valid. The endpoint restarts, which takes it some seconds.

    Example: `homeport deploy azure rotate-keys secondary`
    """
    with session_of(settings, state) as session:
        names: list[Literal["primary", "secondary"]] = ["primary", "secondary"] if name == "both" else [name]
        _report(session, session.rollout.rotate(names, session.may_replace(replace)))


@azure.command()
def insights(
    switch: Annotated[Literal["enable", "disable"], typer.Argument(help="Whether telemetry is sent.")],
    replace: Replace = False,
    settings: Settings = DEFAULT_SETTINGS,
    state: State = DEFAULT_STATE,
) -> None:
    """Send telemetry to Application Insights, or no more; what is there stays. The endpoint restarts.

    Example: `homeport deploy azure insights disable`
    """
    with session_of(settings, state) as session:
        _report(session, session.rollout.switch_insights(switch == "enable", session.may_replace(replace)))


@azure.command()
def rollback(replace: Replace = False, settings: Settings = DEFAULT_SETTINGS, state: State = DEFAULT_STATE) -> None:
    """Deploy the release before this one again, by the digest of its image."""
    with session_of(settings, state) as session:
        _report(session, session.rollout.rollback(session.may_replace(replace)))


@azure.command()
def destroy(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    settings: Settings = DEFAULT_SETTINGS,
    state: State = DEFAULT_STATE,
) -> None:
    """Delete all that was made: endpoint, images, telemetry, and the resource group if nothing else is in it."""
    with session_of(settings, state) as session:
        holdings = session.target.holdings()
        if holdings:
            session.say("To be deleted:\n  " + "\n  ".join(holdings))
            if not yes and not agreed("Delete all of it?", "--yes"):
                return
        session.target.destroy(session.say)
        session.keys.forget()
        session.say("Nothing is left." if holdings else "There was nothing.")


def main() -> None:
    """Run a command of `homeport deploy azure` where there is no other: in the image `homeport/deploy`."""
    from bundle import BundleError

    try:
        azure()
    except (BundleError, HomeportError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"[red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
