"""Deprecated, to be removed in 0.3: use :mod:`limner.reading.search`."""

from limner.reading.search import Hit, Match, Neighbours, PictureIndex, build_index, classify

__all__ = ["Hit", "Match", "Neighbours", "PictureIndex", "build_index", "classify"]
