"""What the autoencoder of a model loses of real pictures."""

from __future__ import annotations

import numpy as np

from limner.evaluation.drawing import BATCH
from limner.evaluation.part import EvaluationContext, InapplicableError, Part
from limner.evaluation.report import Direction, Figure, PartResult
from limner.metrics.features import features_for, load_features
from limner.metrics.intervals import mean_interval
from limner.metrics.memorisation import pixels
from limner.metrics.perceptual import Layered
from limner.metrics.reconstruction import Reconstruction
from limner.models.settings import Capability
from limner.progress import Meter
from limner.vision.convnet import fit_to

_PICTURES = 1000
_FIGURES: dict[str, tuple[str, str, Direction]] = {
    "psnr": ("PSNR, dB", "peak signal-to-noise ratio", "higher"),
    "mse": ("squared error", "of pixels in [-1, 1]", "lower"),
    "ssim": ("SSIM", "structural similarity", "higher"),
    "perceptual": ("perceptual distance", "over the network's layers, as LPIPS", "lower"),
    "codes_used": ("codes used", "share of the codebook that occurs", "higher"),
    "code_perplexity": ("perplexity of codes", "as a share of the codebook", "higher"),
}


class ReconstructionPart(Part):
    """Reconstruction error of real pictures."""

    name = "reconstruction"
    title = "Reconstruction by the autoencoder"
    options = ("holdout", "features")

    def __init__(self, evaluation: EvaluationContext) -> None:
        super().__init__(evaluation)
        model = evaluation.generator.model
        if Capability.RECONSTRUCT not in model.capabilities:
            family = evaluation.subject.info.family
            raise InapplicableError(f"a {family} model has no autoencoder")
        options = evaluation.options
        network = load_features(features_for(evaluation.store, options.features))
        self._judge = ""
        layers = None
        if isinstance(network, Layered):
            layers, self._judge = network.layers, f"{network.spec} {network.fingerprint}"
        self._metric = Reconstruction(model, layers)

    def finish(self, meter: Meter) -> PartResult:
        """Encode and decode real pictures."""
        options, model = self.evaluation.options, self.evaluation.generator.model
        source = options.holdout or self.evaluation.store
        rows = np.random.default_rng(0).permutation(len(source))[:_PICTURES].astype(np.int64)
        for start in range(0, len(rows), BATCH):
            images = pixels(source, rows[start : start + BATCH])
            self._metric.update(fit_to(images, model.config.size))
        found, each = self._metric.compute(), self._metric.per_picture()
        count = int(found["pictures"])
        unseen = "held-out" if options.holdout else "of the store"
        return self.result(
            f"{count:,} real pictures ({unseen}), encoded and decoded.",
            (
                Figure(key=key, title=title, description=sentence, value=found[key],
                       interval=mean_interval(each[key]) if key in each else None,
                       direction=direction, unit="%" if key.startswith("code") else "",
                       count=count)
                for key, (title, sentence, direction) in _FIGURES.items() if key in found
            ),
            "psnr",
            judge=self._judge,
            protocol={"store": source.fingerprint},
        )  # fmt: skip
