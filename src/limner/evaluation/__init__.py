"""Suites of measures over a model, their reports, and the comparison of families."""
