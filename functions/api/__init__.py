"""The HTTP API: routes, what they take and answer, and how refusals are told."""
