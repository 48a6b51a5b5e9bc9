"""From a bundle to HTTP. `scorer` knows no HTTP; the dialects over it know nothing else.

The way of a request: `__main__` → `workers` (processes) → `server` → `protocol` (a connection) → `gate` (keys,
limits) → a dialect (`azure`, `oip`, `invocations`, `explain`) → `scorer` → `bundle.model`. `live` holds what
is served at the moment; `app` and `routes` are what FastAPI answers.
"""
