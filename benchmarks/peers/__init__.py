"""The servers to compare with, each in its own environment. `benchmarks.roster` says how they are started."""
