"""The command line of ProductSync, its client of the HTTP API, and the embedded stack."""
