"""The parts of ``--suite full``: each turns pictures into a finding.

A further part is one more class here, or elsewhere, and its name in :data:`PARTS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from limner.errors import DataError
from limner.evaluation.comparison import Meter, Sheet, as_png, draw_some, tiled
from limner.evaluation.page import SCORES
from limner.evaluation.suite import Figure, Finding, InapplicableError, Part, Setting
from limner.evaluation.suite import Sheet as Shown
from limner.metrics.consistency import Consistency
from limner.metrics.copies import pixels
from limner.metrics.diversity import Diversity
from limner.metrics.judge import fit_to
from limner.metrics.memorisation import Memorisation, verdict
from limner.metrics.perceptual import Layered
from limner.metrics.recall import Gallery
from limner.metrics.reconstruction import Reconstruction
from limner.metrics.reference import DistributionScore
from limner.models.base import Capability

AGREEMENT_SAMPLES = 1000
"""Pictures shown to an aligner, which may be large."""
REBUILT_SAMPLES = 1000
TWINS = 2000
"""Pictures that are searched for twins, each among all the others."""
NEAREST_SHOWN = 16
_BATCH = 64


def real_pairs(setting: Setting, count: int) -> Iterator[tuple[Tensor, Sequence[str]]]:
    """The store's own pictures of the first ``count`` prompts, a few at a time, none twice."""
    last = min(count, len(set(setting.rows)))  # from there on they come over again
    for start in range(0, last, _BATCH):
        some = slice(start, min(start + _BATCH, last))
        rows = np.array(setting.rows[some])
        yield pixels(setting.reference.store, rows), setting.prompts[some]


class Distribution(Part):
    """FID and its kin."""

    name = "distribution"
    title = "How the drawn pictures lie among the real ones"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._score = DistributionScore(setting.reference, setting.prompts)
        self._sheet = Sheet(setting.prompts)

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Look at them, and keep the first few of the commonest captions."""
        self._score.update(images, captions)
        self._sheet.add(images, captions)

    def finish(self, meter: Meter) -> Finding:
        """Compare the crowd with the real one."""
        reference = self.setting.reference
        scores = reference.compare(self._score.drawn())
        floor, noise = reference.floor(), reference.noise()
        figures = [
            Figure(
                key=c.key, title=c.title, told=c.told, value=scores[c.key] * c.scale,
                real=_scaled(floor, c.key, c.scale), chance=_scaled(noise, c.key, c.scale),
                better=c.better,
            )
            for c in SCORES if c.key in scores
        ]  # fmt: skip
        rows, real = tuple(self._sheet.captions), Sheet(self.setting.prompts)
        protocol = {**reference.protocol(), "command": self.setting.asked.command}
        return Finding(
            name=self.name,
            title=self.title,
            told=f"{len(self.setting.prompts):,} pictures of the store's captions, through "
            f"{reference.network.spec}, against {reference.count:,} real ones.",
            figures=tuple(figures),
            shares=self._score.per_class(),
            protocol=reference.protocol(),
            sheets=(
                Shown(title="drawn", png=as_png(self._sheet.image()), rows=rows),
                Shown(title="real", png=as_png(real.real(reference)), rows=rows),
            ),
            card={
                "distribution": scores,
                "distribution_fid": {"floor": floor["fid"], "noise": noise["fid"]},
                "distribution_protocol": protocol,
            },
        )


def _scaled(figures: dict[str, float], key: str, scale: float) -> float | None:
    return figures[key] * scale if key in figures else None


class Memory(Part):
    """Training pictures drawn again."""

    name = "memorisation"
    title = "Whether it repeats training pictures"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        store, threshold = setting.reference.store, setting.reference.threshold
        self._memory = Memorisation(store, others=setting.asked.also, threshold=threshold)

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Keep mosaics of the first two thousand."""
        self._memory.update(images, captions)

    def finish(self, meter: Meter) -> Finding:
        """Look up the nearest training pictures, and draw the nearest of all once more."""
        nearest, which = self._memory.neighbours()
        found = verdict(nearest.distance, self._memory.threshold)
        share = Figure(
            key="memorised", title="memorised", better="low", percent=True,
            told="nearer to a training picture than real pictures come to each other",
            value=found.memorised, low=found.low, high=found.high, real=found.expected,
        )  # fmt: skip
        middle = Figure(
            key="nearest", title="nearest", value=found.nearest, real=1.0,
            told="median distance to the nearest training picture over real pictures'",
        )  # fmt: skip
        closest = nearest.distance.argsort()[:NEAREST_SHOWN].tolist()
        first = list(range(min(NEAREST_SHOWN, len(which))))
        sheets = [
            Shown(title=f"{title}; below each its nearest training picture",
                  png=self._beside(chosen, nearest.row, which))
            for title, chosen in (("the nearest of all", closest), ("the first", first))
        ]  # fmt: skip
        return Finding(
            name=self.name,
            title=self.title,
            told=f"{found.sentence()}. The crowd is asked for captions of the store: what it does "
            "with words that it has not learned is another question.",
            figures=(share, middle),
            alarms=(found.sentence(),) if found.alarm else (),
            protocol={
                "threshold": found.threshold,
                "pictures": found.count,
                "calibrated on": self._memory.threshold.count,
                "stores": [store.fingerprint for store in self._memory.stores],
            },
            sheets=tuple(sheets),
            card={"memorised": round(found.memorised, 4)},
        )

    def _beside(self, chosen: Sequence[int], rows: Tensor, which: Tensor) -> str:
        """Drawn pictures in rows of eight, below each row the nearest training pictures."""
        drawn = draw_some(self.setting.generator, self.setting.prompts, chosen)
        side = drawn.shape[-1]
        real = torch.cat([
            fit_to(pixels(self._memory.stores[int(which[i])], rows[i : i + 1].numpy()), side)
            for i in chosen
        ])  # fmt: skip
        pairs = zip(torch.split(drawn, 8), torch.split(real, 8), strict=True)
        blank = torch.ones(8, 3, side, side)
        lines = [torch.cat([line, blank])[:8] for pair in pairs for line in pair]
        return as_png(tiled(torch.cat(lines)))


class Variety(Part):
    """One thing in many ways, or one picture again and again."""

    name = "diversity"
    title = "Whether it draws a thing in more than one way"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._network = setting.reference.network
        self._drawn = Diversity(self._network, (images for images, _ in real_pairs(setting, TWINS)))

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Look at them."""
        self._drawn.update(images, captions)

    def finish(self, meter: Meter) -> Finding:
        """Compare with the real pictures of the same captions."""
        setting = self.setting
        real = Diversity(self._network, (images for images, _ in real_pairs(setting, TWINS)))
        for images, captions in real_pairs(setting, TWINS):
            real.update(images, captions)
        found, ends = self._drawn.compute(), real.compute()
        told = {
            "within": "distance of two pictures of one caption over that of any two",
            "duplicates": "have a twin, nearer than 99 in 100 real pictures are to each other",
        }
        figures = tuple(
            Figure(
                key=key, title="twins" if key == "duplicates" else "within a caption",
                told=told[key], value=found[key], real=ends.get(key),
                better="low" if key == "duplicates" else "", percent=key == "duplicates",
            )
            for key in told if key in found
        )  # fmt: skip
        return Finding(
            name=self.name,
            title=self.title,
            told="The same crowd: pictures of one caption with different seeds, and twins.",
            figures=figures,
            protocol={
                "features_hash": self._network.fingerprint,
                "real": min(TWINS, len(set(setting.rows))),
            },
            card={"duplicates": round(found["duplicates"], 4)},
        )


class Agreement(Part):
    """Words and pictures, by an aligner's judgement."""

    name = "consistency"
    title = "Whether the pictures go with their words"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        if setting.aligner is None:
            raise InapplicableError("no aligner was given (--aligner)")
        if len(set(setting.prompts[:AGREEMENT_SAMPLES])) < 2:
            raise InapplicableError("the store has a single caption")
        self._aligner, spec = setting.aligner, setting.aligner.spec
        self._called = spec if spec.startswith("hf:") else Path(spec).name
        self._drawn, self._left = Consistency(setting.aligner), AGREEMENT_SAMPLES

    def update(self, images: Tensor, captions: Sequence[str]) -> None:
        """Show the first thousand to the aligner."""
        if self._left > 0:
            self._drawn.update(images[: self._left], captions[: self._left])
            self._left -= len(images)

    def finish(self, meter: Meter) -> Finding:
        """Compare with the real pictures of the same captions."""
        real = Consistency(self._aligner)
        for images, captions in real_pairs(self.setting, AGREEMENT_SAMPLES):
            real.update(images, captions)
        found, ends = self._drawn.compute(), real.compute()
        chance = {"wins": 0.5, "margin": 0.0}
        told = {
            "clip_score": "100 times the mean cosine of picture and prompt",
            "wins": "the own prompt goes better with the picture than a shuffled one",
            "margin": "cosine with the own prompt less that with the others",
        }
        figures = tuple(
            Figure(key=key, title=key.replace("_", " "), told=sentence, value=found[key],
                   real=ends[key], chance=chance.get(key), better="high", percent=key == "wins")
            for key, sentence in told.items()
        )  # fmt: skip
        return Finding(
            name=self.name,
            title=self.title,
            told=f"{found['count']:,.0f} of the same pictures, judged by {self._called}; "
            "real are the store's pictures of the same captions.",
            figures=figures,
            protocol={"aligner": self._called, "aligner_hash": self._aligner.fingerprint},
            card={
                "consistency": {key: round(found[key], 4) for key in told},
                "consistency_aligner": self._aligner.fingerprint,
            },
        )


class Rebuilding(Part):
    """What its autoencoder loses."""

    name = "reconstruction"
    title = "What its autoencoder loses"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        model = setting.generator.model
        if Capability.RECONSTRUCT not in model.capabilities:
            family = setting.generator.info.family
            raise InapplicableError(f"a {family} model rebuilds no pictures")
        network = setting.network
        self._metric = Reconstruction(
            model, network.layers if isinstance(network, Layered) else None
        )

    def finish(self, meter: Meter) -> Finding:
        """Take real pictures apart and put them together again."""
        reference, model = self.setting.reference, self.setting.generator.model
        source = reference.holdout or reference.store
        rows = np.random.default_rng(0).permutation(len(source))[:REBUILT_SAMPLES]
        for start in range(0, len(rows), _BATCH):
            part = pixels(source, rows[start : start + _BATCH].astype(np.int64))
            self._metric.update(fit_to(part, model.config.size))
        found = self._metric.compute()
        told = {
            "mse": ("squared error", "of pixels in [-1, 1]", "low"),
            "psnr": ("PSNR, dB", "peak signal-to-noise ratio", "high"),
            "ssim": ("SSIM", "structural similarity", "high"),
            "perceptual": ("perceptual distance", "over the network's layers, as LPIPS", "low"),
            "codes_used": ("codes used", "share of the codebook that occurs", "high"),
            "code_perplexity": ("perplexity of codes", "as a share of the codebook", "high"),
        }
        figures = tuple(
            Figure(key=key, title=title, told=sentence, value=found[key], better=better,
                   percent=key.startswith("code"))
            for key, (title, sentence, better) in told.items() if key in found
        )  # fmt: skip
        unseen = "that it did not learn from" if reference.holdout else "of the store itself"
        return Finding(
            name=self.name,
            title=self.title,
            told=f"{found['pictures']:,.0f} real pictures {unseen}, encoded and decoded.",
            figures=figures,
            protocol={"store": source.fingerprint, "layers": reference.network.fingerprint},
            card={"reconstruction": {key: round(found[key], 5) for key in told if key in found}},
        )


class Concepts(Part):
    """Concept recall among icons."""

    name = "recall"
    title = "Whether it draws the concepts it is asked for"

    def __init__(self, setting: Setting) -> None:
        from limner.evaluation.recall import Options, picture_count

        super().__init__(setting)
        try:
            Gallery(setting.reference.store)
        except DataError:
            raise InapplicableError(
                "the store holds no icons of the judged concepts (metadata 'concept' and 'style')"
            ) from None
        asked = setting.asked
        self._options = Options(asked.languages, asked.seeds, command=asked.command)
        self._count = picture_count(self._options)

    @property
    def own_pictures(self) -> int:
        """The fixed prompts, and things in colours that no icon has."""
        return self._count

    def finish(self, meter: Meter) -> Finding:
        """Draw the fixed prompts and search each picture among real icons."""
        from limner.evaluation.recall import evaluate

        report = evaluate(
            self.setting.generator, self.setting.reference.store, self._options, meter.advance,
            also=self.setting.asked.also,
        )  # fmt: skip
        figures = []
        for group in report.groups:
            who = f"{group.language}, {'claimed' if group.claimed else 'not claimed'}"
            for top in ("top1", "top5"):
                share = getattr(group.recall, top)
                figures.append(Figure(
                    key=f"{who}: {top}", title=f"{who}: top-{top[-1]}", percent=True,
                    told=f"{group.prompts} prompts; {group.of_ceiling[top]:.1%} of the ceiling",
                    value=share.value, low=share.low, high=share.high, better="high",
                    real=getattr(group.ceiling, top).value,
                    chance=getattr(group.floor, top).value,
                ))  # fmt: skip
        figures.append(Figure(
            key="copies", title="copies among new things", percent=True, better="low", real=0.01,
            told=f"{report.copies['count']:.0f} things in colours that no icon has",
            value=report.copies["copy_rate"],
        ))  # fmt: skip
        return Finding(
            name=self.name,
            title=self.title,
            told=f"Fixed prompts; each picture is searched among {report.searched}. Real is the "
            "real icon of the same concept and set, chance the same pictures by shuffled prompts.",
            figures=tuple(figures),
            protocol={
                "judge": report.judge_hash,
                "prompts": report.prompts_hash,
                "gallery": f"{report.gallery_icons} icons of {report.gallery_concepts} concepts",
                "languages": ", ".join(self._options.languages),
                "seeds": self._options.seeds,
            },
            card=report.card(),
        )


PARTS: tuple[type[Part], ...] = (
    Distribution, Memory, Variety, Agreement, Concepts, Rebuilding,
)  # fmt: skip
"""In the order of the report."""
