"""Generators of other libraries behind :class:`limner.generation.generator.Generator`.

A model of the hub is described (:mod:`.source`), loaded (:mod:`.opening`) and drawn with as
an image model: pipelines of diffusers (:mod:`.pipelines`).
"""
