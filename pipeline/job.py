"""What a pipeline does: one record, published whole, of which a run may assign single fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal

from pipeline.errors import JobUnusable


class Job(BaseModel):
    """One field a setting; the field's docstring is its documentation. In JSON names are PascalCase."""

    model_config = ConfigDict(
        alias_generator=to_pascal,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra={"example": {"Table": "bank-marketing", "Budget": 60, "Margin": 0.001}},
    )

    table: str = Field(min_length=1)
    """Name of a data set, or the path of a CSV or Parquet file or of a data-set file."""

    target: str | None = None
    """Column to predict; a data set names its own."""

    model: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    """Name of the model; by default the pipeline's."""

    task: Literal["binary", "multiclass", "regression"] | None = None
    """By default what the target looks like."""

    positive: str | None = None
    """Positive class of a binary target."""

    drop: tuple[str, ...] = ()
    """Columns to leave out."""

    time_column: str | None = None
    """Column of time: the latest rows by it are the untouched ones."""

    metric: str | None = None
    """What to optimise and to compare by, such as roc_auc, log_loss, accuracy, rmse."""

    learners: tuple[str, ...] = ()
    """Learners to search over; all if there are none."""

    budget: float = Field(default=60.0, ge=1, le=86_400)
    """Seconds of search."""

    max_trials: int | None = Field(default=None, ge=2)
    """End the search by trials instead."""

    seed: int = Field(default=0, ge=0)
    """Seed of search and folds. The untouched rows are always the same ones."""

    margin: float = Field(default=0.0, ge=0)
    """How much better than the champion a model has to be to take its place, in the metric's unit."""

    allow_reuse: bool = True
    """Take over the results of steps whose inputs and code have not changed."""

    serve: bool = True
    """After a promotion, call the endpoint; where it does not answer as it should, go back."""

    batch_input: str | None = None
    """File, folder, pattern or address of rows to score at the end."""

    batch_output: str | None = None
    """File that the scored rows are written to: .csv, .csv.gz or .parquet."""

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """Raises JobUnusable with the first field that is wrong."""
        try:
            job = cls.model_validate(content)
        except ValidationError as error:
            wrong = error.errors()[0]
            place = ".".join(str(part) for part in wrong["loc"])
            if wrong["type"] == "extra_forbidden":
                known = ", ".join(to_pascal(name) for name in cls.model_fields)
                raise JobUnusable(f"There is no parameter '{place}'. There are: {known}.") from None
            raise JobUnusable(f"{place} {wrong.get('input')!r}: {wrong['msg']}.") from None
        if (job.batch_input is None) != (job.batch_output is None):
            raise JobUnusable("BatchInput and BatchOutput go together: give both, or neither.")
        return job

    def assigned(self, assignments: Mapping[str, Any]) -> Self:
        """The same job with other values for some fields. Raises JobUnusable."""
        return self.read({**self.model_dump(by_alias=True), **assignments})
