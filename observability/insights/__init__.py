"""A local Application Insights: OTLP comes in, tables with Application Insights' names are asked by SQL.

The way of a batch: `door` and `intake` (HTTP) → `otlp` (bytes to protobuf) → `spans`, `logs`, `metrics` (to rows of
`tables`) → `writer` (one thread; commits many batches at once) → `store` (DuckDB). `deltas` turns sums that only
grow into what was added. `reader` answers: `overview`, `transactions`, and `sql`, which lets nothing be written.
`keeper` deletes what is too old or too much.

`page` shows it in the browser. `prober` tests whether services answer; `alerts` evaluates `rules` and tells each change
once, by `webhook` too.
"""
