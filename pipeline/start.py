"""What Prefect's worker starts for a run: `python -m pipeline.start` takes the run's lock, then is Prefect's engine.

The engine and all that learns take seconds to import. The lock is there before, so that the reaper never
takes a process that starts slowly for one that is gone, and a second process of the same run waits for the
end of the first; Prefect then has nothing left for it to do.
"""

from __future__ import annotations

import os
import runpy

from pipeline.steps.record import RunFolder
from pipeline.steps.settings import Places


def main() -> None:
    """Be the engine of the flow run that the worker names in the environment."""
    with RunFolder(Places().data, os.environ["PREFECT__FLOW_RUN_ID"]).held():
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
