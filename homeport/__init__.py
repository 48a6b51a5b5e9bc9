"""The command line, and the process runner of the embedded stack."""
