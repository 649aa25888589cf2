"""Measures over pictures and features; reports of them are made in :mod:`limner.evaluation`."""
