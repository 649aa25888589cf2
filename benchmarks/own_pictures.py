"""One's own pictures: what ``limner train quickstart`` learns of a folder, and what it keeps.

The folder holds 300 captioned pictures of openmoji, an icon set that no model is trained on. They
are packed and trained on as a user would do it. ``LIMNER_ICONS`` names the real icons of other sets
that drawings are searched among, ``LIMNER_OPENMOJI_256`` openmoji's at 256 px.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from evaluate import icons, packed
from exemplars import decibels
from limner.datasets.icons import IconOptions
from limner.evaluation.concept_prompts import ConceptPrompt, load_prompts
from limner.generation.generator import Generator, load
from limner.generation.requests import DrawRequest
from limner.generation.sheets import grid
from limner.metrics.judge import load_judge
from limner.metrics.recall import Gallery, Target, plain_key, recall_of
from limner.models.exemplars import ExemplarPrior
from limner.models.settings import Settings
from limner.models.vae import VAE
from limner.training.loop import train
from limner.training.recipe import load_recipe
from limner.vision.pixels import to_tensor, to_uint8

OWN, JUDGED, MINUTES = 300, 150, 5.0
EXAMPLES = 24
"""Drawings of each style that its mean is made of."""
STYLE = "mine"
OWN_GOAL, LOST_GOAL, UNSEEN_GOAL = 0.9, 0.03, 0.5
DRAWINGS = 96
SHEET = Path(__file__).with_name("sheets") / "own_pictures.png"
"""Unseen concepts in the new style."""


def drawn(
    generator: Generator, prompts: Sequence[ConceptPrompt], styles: Sequence[str]
) -> tuple[Tensor, list[Target]]:
    """A picture ``(B, 3, S, S)`` of each prompt, the styles taking turns, and what it should show.

    A picture that was redrawn from an icon set is not searched for in that set.
    """
    requests = [
        DrawRequest(prompt.texts["en"], i, Settings(style=styles[i % len(styles)]))
        for i, prompt in enumerate(prompts)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles that things lack
        found = list(generator.draw(requests))
    sources = [next((d.redrawn_from for d in p.drawn_from if d.redrawn_from), "") for p in found]
    targets = [
        Target(prompt.key, source or request.settings.style or "")
        for prompt, source, request in zip(prompts, sources, requests, strict=True)
    ]
    return torch.cat([to_tensor([np.asarray(p.image)]) for p in found]), targets


def top5(gallery: Gallery, images: Tensor, requests: Sequence[Target]) -> float:
    """Share of pictures whose concept is among the five nearest."""
    return recall_of(gallery.ranks(gallery.judge.features(images), requests))["top5"]


class StyleClassifier:
    """Nearest mean of the styles, in Mahalanobis' distance with a common covariance.

    Features are means and deviations of the maps of a network's first layers, which say more of
    style than of content (Gatys, Ecker and Bethge 2016; Huang and Belongie 2017).
    """

    def __init__(self, pictures: dict[str, Tensor]) -> None:
        self.names = list(pictures)
        found = [self.features(images) for images in pictures.values()]
        self.means = torch.stack([each.mean(0) for each in found])
        rest = torch.cat([each - each.mean(0) for each in found])
        spread = rest.T @ rest / len(rest)
        scale = torch.diagonal(spread).mean()
        self.inverse = torch.linalg.inv(spread + 0.1 * scale * torch.eye(len(spread)))

    @staticmethod
    def features(images: Tensor) -> Tensor:
        """``(B, D)`` of pictures ``(B, 3, S, S)``."""
        maps = load_judge().layers(images)[:3]
        return torch.cat([f for each in maps for f in (each.mean((2, 3)), each.std((2, 3)))], 1)

    def share(self, images: Tensor, name: str) -> float:
        """Share of pictures that are nearest to a style."""
        gaps = self.features(images)[:, None] - self.means  # (B, S, D)
        distances = torch.einsum("bsd,de,bse->bs", gaps, self.inverse, gaps)
        return float((distances.argmin(1) == self.names.index(name)).float().mean())


def write_folder(folder: Path, captions: Sequence[str], images: np.ndarray) -> None:
    """Pictures with their captions beside them."""
    folder.mkdir()
    for number, (caption, pixels) in enumerate(zip(captions, images, strict=True)):
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
        (folder / f"{number:03d}.txt").write_text(caption, encoding="utf-8")


def examples(after: Generator) -> dict[str, Tensor]:
    """What the model keeps of some training pictures of each style, own ones among them."""
    return {
        name: after.model.examples(number, EXAMPLES) for number, name in enumerate(after.styles)
    }


def run() -> dict[str, Any]:
    """Train, and measure before and after."""
    gallery = Gallery(icons(), [prompt.key for prompt in load_prompts()])
    unseen_set = packed("LIMNER_OPENMOJI_256", "openmoji-256", IconOptions(256, ("openmoji",)))
    rows = {plain_key(str(key)): row for row, key in enumerate(unseen_set.column("concept"))}
    order = np.random.default_rng(0).permutation(len(load_prompts()))
    prompts = [load_prompts()[i] for i in order]
    prompts = [p for p in prompts if p.key in rows and gallery.can_score(Target(p.key))]
    own, unseen = prompts[:OWN], prompts[OWN : OWN + JUDGED]
    true = {p.key: unseen_set.batch([rows[p.key]])[0] for p in [*own, *unseen]}
    real = {key: to_tensor([pixels]) for key, pixels in true.items()}
    with tempfile.TemporaryDirectory() as place:
        pictures = np.stack([true[p.key] for p in own])
        after = trained(Path(place), [p.texts["en"] for p in own], pictures)
        return compared(load(), after, gallery, own, unseen, real)


def trained(place: Path, captions: Sequence[str], pictures: np.ndarray) -> Generator:
    """The shipped model with own pictures, as the quickstart makes it of a folder."""
    write_folder(place / STYLE, captions, pictures)
    store, pack = place / "stores" / STYLE, ["data", "pack", str(place / STYLE), "--out"]
    subprocess.run([sys.executable, "-m", "limner", *pack, str(store)], check=True)
    recipe = load_recipe("quickstart", [f"data.store={store}"])
    return load(train(recipe, place / "run", minutes=MINUTES, quiet=True))


def compared(
    before: Generator,
    after: Generator,
    gallery: Gallery,
    own: Sequence[ConceptPrompt],
    unseen: Sequence[ConceptPrompt],
    real: dict[str, Tensor],
) -> dict[str, Any]:
    """What was learned of own pictures and what was kept.

    Args:
        before: the shipped model.
        after: the same with own pictures.
        gallery: real icons of other sets.
        own: prompts of the pictures that were learned.
        unseen: those of others in their style.
        real: key of a prompt -> its true picture ``(1, 3, S, S)`` in the new style.
    """
    assert isinstance(after.model, VAE) and isinstance(after.model.prior, ExemplarPrior)
    assert isinstance(before.model, VAE)
    drawn_own, mine = drawn(after, own[:JUDGED], [STYLE])
    drawn_unseen, new_targets = drawn(after, unseen, [STYLE])
    old = [style for style in gallery.styles if style in before.styles]
    drawn_old, turns = drawn(before, unseen, old)
    kept = top5(gallery, drawn_old, turns), top5(gallery, *drawn(after, unseen, old))
    unknown = [Target(p.key, STYLE) for p in unseen]
    own_true = torch.cat([real[p.key] for p in own[:JUDGED]])
    unseen_true = torch.cat([real[p.key] for p in unseen])
    styles = StyleClassifier(examples(after))
    SHEET.parent.mkdir(exist_ok=True)
    grid(
        [Image.fromarray(each).resize((128, 128)) for each in to_uint8(drawn_unseen[:100]).numpy()]
    ).save(SHEET)
    spread = torch.linspace(0, int(after.model.prior.first) - 1, DRAWINGS).long()
    with torch.inference_mode():
        latents = after.model.prior.latents(spread)
        psnr = decibels(*(m.decode(latents).clamp(-1, 1) for m in (after.model, before.model)))
    share = {"unit": "", "better": "higher"}
    recognised = top5(gallery, drawn_own, mine) / top5(gallery, own_true, mine)
    new = top5(gallery, drawn_unseen, new_targets)
    figures = {
        "own captions recognised, of true pictures": share | {
            "value": recognised, "goal": OWN_GOAL
        },
        "shipped concepts recognised before": share | {"value": kept[0]},
        "shipped concepts recognised after": share | {
            "value": kept[1], "goal": kept[0] - LOST_GOAL
        },
        "shipped drawings, after against before: PSNR": {
            "value": psnr, "unit": "dB", "better": "higher"
        },
        "unseen concepts in the new style recognised": share | {"value": new, "goal": UNSEEN_GOAL},
        "the same of true pictures": share | {"value": top5(gallery, unseen_true, unknown)},
        "unseen concepts nearest to the new style": share | {
            "value": styles.share(drawn_unseen, STYLE), "goal": 0.5
        },
        "true pictures nearest to the new style": share | {
            "value": styles.share(unseen_true, STYLE)
        },
        "drawings of other styles nearest to the new style": {
            "value": styles.share(drawn_old, STYLE),
            "unit": "", "better": "lower",
        },
    }  # fmt: skip
    return {"headline": "unseen concepts in the new style recognised", "figures": figures}
