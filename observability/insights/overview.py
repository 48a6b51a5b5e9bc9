"""`/api/overview`: how many requests, how many of them failed, and how long they took, over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from observability.insights.reader import Cursor

MAX_MINUTES = 366 * 24 * 60
_BINS = 240  # at most, so that a month is no more work to draw than an hour
_STEPS = 50  # of a duration, for each factor e: percentiles are exact to one part in a hundred

# Requests that were sampled stand for `itemCount`. A role that sends the metric is counted by that, which knows all
# of its requests; percentiles come from the spans in either case, since the metric's rows have no distribution.
_QUERY = f"""
WITH kept AS MATERIALIZED (
    SELECT time_bucket(to_minutes($bin), timestamp) AS bin, cloud_RoleName AS role,
        CAST(ln(greatest(duration, 0.001)) * {_STEPS} AS SMALLINT) AS step,
        CAST(sum(itemCount) AS BIGINT) AS items, sum(duration * itemCount) AS ms,
        CAST(coalesce(sum(itemCount) FILTER (NOT success), 0) AS BIGINT) AS failed
    FROM requests WHERE timestamp >= $start GROUP BY ALL),
metric AS (
    SELECT time_bucket(to_minutes($bin), timestamp) AS bin, cloud_RoleName AS role, sum(valueCount) AS items,
        1000 * sum(valueSum) AS ms,
        sum(CASE WHEN coalesce(
            TRY_CAST(customDimensions ->> '$."http.response.status_code"' AS INTEGER) >= 400,
            (customDimensions ->> '$."error.type"') IS NOT NULL) THEN valueCount ELSE 0 END) AS failed
    FROM customMetrics WHERE name = 'http.server.request.duration' AND timestamp >= $start GROUP BY ALL),
counted AS (
    SELECT bin, sum(items) AS items, sum(failed) AS failed, sum(ms) / sum(items) AS mean
    FROM (SELECT * FROM metric UNION ALL BY NAME
        SELECT bin, role, items, ms, failed FROM kept
        WHERE NOT EXISTS (FROM metric WHERE metric.role IS NOT DISTINCT FROM kept.role))
    GROUP BY GROUPING SETS ((bin), ())),
ranked AS (
    SELECT bin, step, sum(items) OVER (PARTITION BY bin ORDER BY step) / sum(items) OVER (PARTITION BY bin) AS share
    FROM (SELECT bin, step, sum(items) AS items FROM kept GROUP BY GROUPING SETS ((bin, step), (step)))),
percentile AS (
    SELECT bin, min(step) FILTER (share >= 0.5) AS p50, min(step) FILTER (share >= 0.95) AS p95,
        min(step) FILTER (share >= 0.99) AS p99
    FROM ranked GROUP BY bin)
SELECT counted.bin, CAST(items AS BIGINT), CAST(failed AS BIGINT), mean,
    exp(p50 / {_STEPS}), exp(p95 / {_STEPS}), exp(p99 / {_STEPS})
FROM counted LEFT JOIN percentile ON counted.bin IS NOT DISTINCT FROM percentile.bin
ORDER BY counted.bin NULLS FIRST
"""  # noqa: S608 (our own numbers)

_AVAILABILITY = """
SELECT time_bucket(to_minutes($bin), timestamp) AS bin, 100 * avg(CAST(success AS INTEGER))
FROM availabilityResults WHERE timestamp >= $start GROUP BY GROUPING SETS ((bin), ()) ORDER BY bin NULLS FIRST
"""


def overview(cursor: Cursor, minutes: int) -> dict[str, Any]:
    """The last `minutes`, in whole minutes or, if that were more than 240, in longer bins. In ms and %."""
    size = ceil(minutes / _BINS)
    start = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=minutes)
    window = {"bin": size, "start": start}
    total, *bins = cursor.execute(_QUERY, window).fetchall()
    available, *availability = cursor.execute(_AVAILABILITY, window).fetchall()
    return {
        "minutes": minutes,
        "binMinutes": size,
        **_figures(*total[1:]),
        "series": [{"timestamp": time.replace(tzinfo=UTC), **_figures(*figures)} for time, *figures in bins],
        "availability": available[1],
        "availabilitySeries": [
            {"timestamp": time.replace(tzinfo=UTC), "availability": share} for time, share in availability
        ],
    }


def _figures(items: int | None, failed: int | None, *durations: float | None) -> dict[str, Any]:
    return {"requests": items or 0, "failures": failed or 0} | {
        name: None if value is None else round(value, 3)
        for name, value in zip(("mean", "p50", "p95", "p99"), durations, strict=True)
    }
