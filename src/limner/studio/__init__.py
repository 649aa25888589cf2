"""Deprecated, to be removed in 0.3: see :mod:`limner.generation` and :mod:`limner.reading`."""
