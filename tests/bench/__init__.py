"""What the platform costs and how fast it is, counted and held against the bounds of design section 11 (`make bench`).

docs/measurements.md says what each figure means. Nothing here is a test that pytest collects: it takes minutes.
"""
