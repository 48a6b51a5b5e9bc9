"""Bundles as tables for the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from bundle import BundleError, Manifest, Store


def versions_table(store: Store) -> Table | str:
    """All versions of all models, one a line; a damaged one says so, and so does an empty store."""
    table = Table("", "model", "version", "task", "target", "metric", "out of fold", "trained", box=None)
    for name in sorted(store.names()):
        try:
            champion = store.champion(name)
        except BundleError as error:
            champion = None
            table.add_row("", name, "", f"[red]{escape(str(error))}[/]")
        for version in store.versions(name):
            star = "*" if champion and champion.version == version else ""
            try:
                manifest = store.manifest(name, version)
            except BundleError as error:
                table.add_row(star, name, version, f"[red]{escape(str(error))}[/]")
                continue
            training = manifest.training
            chosen = next((row.metric for row in training.leaderboard if row.chosen), float("nan"))
            table.add_row(
                star,
                name,
                version,
                manifest.task,
                escape(manifest.target),
                training.metric,
                f"{chosen:,.4f}",
                manifest.created,
            )
    if not table.row_count:
        return f"No models in {store.root} yet: `homeport train TABLE --target COLUMN`."
    return table


def manifest_table(manifest: Manifest, path: Path) -> Group:
    """One manifest: facts, metrics beside baselines, columns."""
    training, parity = manifest.training, manifest.parity
    facts = Table(show_header=False, box=None)
    rows = parity.clean_rows + parity.damaged_rows + parity.adversarial_rows
    for fact, text in (
        ("model", f"{manifest.name} {manifest.version}, {manifest.task} of {manifest.target}"),
        ("classes", ", ".join(map(str, manifest.classes)) or "-"),
        ("data", f"{manifest.fingerprint.source}, {manifest.fingerprint.rows:,} rows"),
        ("credit", manifest.fingerprint.credit or "-"),
        ("search", f"{training.trials} trials, {training.seconds:.0f} s, seed {training.seed}, for {training.metric}"),
        ("members", ", ".join(f"{member.weight:.2f} {member.learner}" for member in training.members)),
        ("parity", f"{rows:,} rows, {parity.flips} labels differ, difference at most {parity.max_difference:.1e}"),
        ("folder", str(path)),
    ):
        facts.add_row(fact, escape(text))
    metrics = Table("metric on test rows", "this model", *manifest.baselines, box=None)
    for name, value in manifest.metrics.items():
        metrics.add_row(
            name, f"{value:,.4f}", *(f"{b[name]:,.4f}" if name in b else "" for b in manifest.baselines.values())
        )
    columns = Table("column", "kind", "missing", "range or categories", box=None)
    for column in manifest.columns:
        seen = (
            f"{column.minimum:,g} … {column.maximum:,g}"
            if column.minimum is not None and column.maximum is not None
            else ", ".join(column.categories[:6])
            + (f" and {len(column.categories) - 6} more" if len(column.categories) > 6 else "")
        )
        columns.add_row(escape(column.name), column.kind, f"{column.missing_share:.1%}", escape(seen))
    return Group(facts, "", metrics, "", columns)
