"""Usage and purchases of a month as files: what finance takes into its own books."""
