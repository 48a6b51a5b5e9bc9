"""`homeport models`: bundles, which of them is the champion, and how a challenger does."""

from __future__ import annotations

from typing import Annotated

import typer

from bundle import Store
from homeport.options import DEFAULT_MODELS, DEFAULT_STATE, ModelName, Models, State, console
from homeport.stack import Stack

models = typer.Typer(help="Bundles, and which of them is the champion.", no_args_is_help=True)


@models.command("list")
def models_list(models: Models = DEFAULT_MODELS) -> None:
    """List all versions of all models; a star marks the champions."""
    from homeport.tables import versions_table

    console.print(versions_table(Store(models)))


@models.command("show")
def models_show(
    name: ModelName,
    version: Annotated[str | None, typer.Argument(help="By default the champion.", metavar="VERSION")] = None,
    models: Models = DEFAULT_MODELS,
) -> None:
    """Show what is known of a model: metrics, columns, parity, data, search."""
    from homeport.tables import manifest_table

    store = Store(models)
    path = store.path(name, version) if version else store.champion_path(name)
    console.print(manifest_table(store.manifest(name, path.name), path))


@models.command("promote")
def models_promote(
    name: ModelName,
    version: Annotated[str, typer.Argument(help="The version.", metavar="VERSION")],
    models: Models = DEFAULT_MODELS,
) -> None:
    """Make a version the champion, once its files are verified."""
    Store(models).promote(name, version)
    console.print(f"{name} {version} is the champion. An endpoint that serves {name} takes it over within a second.")


@models.command("rollback")
def models_rollback(name: ModelName, models: Models = DEFAULT_MODELS) -> None:
    """Return to the champion before this one."""
    version = Store(models).rollback(name)
    console.print(
        f"{name} {version} is the champion again. An endpoint that serves {name} takes it over within a second."
    )


@models.command("shadow")
def models_shadow(
    name: ModelName,
    version: Annotated[
        str | None, typer.Argument(help="The challenger; without it the report is shown.", metavar="VERSION")
    ] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the requests that it scores too.")] = 0.1,
    stop: Annotated[bool, typer.Option("--stop", help="Let the challenger go.")] = False,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Let a challenger score a share of the traffic, unseen by clients, and report how it compares.

    `homeport models promote` takes it over; its share of the traffic then ends.

    Examples:
    `homeport models shadow bank-marketing 2 --share 0.5`

    `homeport models shadow bank-marketing`

    `homeport models shadow bank-marketing --stop`

    """
    from homeport.challenger import report

    store = Store(models)
    if stop:
        console.print(f"{name} has no challenger any more." if store.dismiss(name) else f"{name} had no challenger.")
    elif version is not None:
        store.challenge(name, version, share)
        console.print(
            f"{name} {version} scores {share:.0%} of the traffic of an endpoint that serves {name}. "
            f"See how it compares: `homeport models shadow {name}`."
        )
    else:
        console.print(report(store, name, Stack(state, models).shadow))
