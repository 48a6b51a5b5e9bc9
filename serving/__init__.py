"""From a bundle to HTTP. `scorer` knows no HTTP; the dialects over it know nothing else."""
