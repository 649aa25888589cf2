"""Votes as training pictures: pairs of what is liked and what is not, a function of the step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limner.errors import DataError
from limner.generation.prompts import split_style
from limner.generation.votes import Vote, of_user, pictures_of, read_votes, voted_pixels
from limner.models.base import Batch, Model
from limner.models.conditioning import choose_by_seed
from limner.models.image_model import ImageModel
from limner.models.layers import sent
from limner.models.words import TunedModel
from limner.text.base import TextEncoder
from limner.text.bulk import FeatureTable, encode_table
from limner.training.recipe import PreferencesSection, Recipe
from limner.vision.pixels import to_tensor

_STREAM = 7
"""Of random numbers, apart from those that order the training pictures."""


@dataclass(frozen=True)
class VotedPictures:
    """The pictures that were voted on, as a run learns from them.

    Attributes:
        images: ``(N, S, S, 3)`` uint8.
        captions: N prompts without the words for their style.
        features: of the captions.
        styles: ``(N,)`` int64, -1 where unknown.
        liked: ``(N,)`` float64, mean vote on each in [-1, 1].
        rivals: for each picture those that it was preferred to: by a choice, else by thumbs on the
            same prompt, else by thumbs of the same user; empty where there is none.
        section: of the recipe.
    """

    images: NDArray[np.uint8]
    captions: list[str]
    features: FeatureTable
    styles: Tensor
    liked: NDArray[np.float64]
    rivals: list[NDArray[np.int64]]
    section: PreferencesSection

    @classmethod
    def of(cls, votes: Sequence[Vote], model: Model, encoder: TextEncoder, recipe: Recipe) -> Self:
        """Read the pictures of votes, at the model's size.

        Raises:
            DataError: a picture cannot be read, or nothing was preferred to anything.
        """
        assert recipe.preferences is not None
        known = [each for _, each in pictures_of(votes)]
        place = {each.file: number for number, each in enumerate(known)}
        names = model.config.styles
        prompts = [split_style(each.record.prompt, names) for each in known]
        asked = [each.record.settings.style or prompt[1] for each, prompt in
                 zip(known, prompts, strict=True)]  # fmt: skip
        seeds = [each.record.seed for each in known]
        drawn_in = choose_by_seed(seeds, len(names)).tolist() if names else [-1] * len(seeds)
        styles = [names.index(a) if a in names else own for a, own in
                  zip(asked, drawn_in, strict=True)]  # fmt: skip
        said: list[list[int]] = [[] for _ in known]
        for vote in votes:
            if vote.better is not None:
                said[place[vote.better.file]].append(1)
            if vote.worse is not None:
                said[place[vote.worse.file]].append(-1)
        liked = np.array([float(np.mean(each)) for each in said])
        captions = [text for text, _ in prompts]
        found = cls(
            images=np.stack([voted_pixels(each.path, model.config.size) for each in known]),
            captions=captions,
            features=encode_table(encoder, captions, max_tokens=recipe.text.max_tokens),
            styles=torch.tensor(styles), liked=liked,
            rivals=_rivals(votes, place, captions, liked), section=recipe.preferences,
        )  # fmt: skip
        if not any(len(each) for each in found.rivals):
            raise DataError(
                f"nothing in {recipe.preferences.file} is preferred to anything: vote up and down, "
                "or compare two pictures"
            )
        return found

    def pairs(self, step: int, part: int, parts: int, seed: int, like: Batch) -> tuple[Batch, ...]:
        """B pictures that are liked, and for each one that is less, for a step.

        The first are drawn with chances that grow as exp(mean vote / temperature): the
        expectation of their loss is the reward-weighted one (Peters and Schaal 2007, eq. 8).

        Args:
            step: and ``part`` decide, with the run's ``seed``.
            part: of the step's micro-batches.
            parts: how many there are; each has its share of the section's batch size.
            seed: of the run.
            like: a training batch, on whose device and with whose generator the two are.
        """
        philox = np.random.Philox(key=[seed, step], counter=[0, part, 0, _STREAM])
        random = np.random.Generator(philox)
        count = max(1, self.section.batch_size // parts)
        chances = np.exp(self.liked / self.section.temperature)
        chances = chances * np.array([len(each) > 0 for each in self.rivals])
        better = random.choice(len(chances), count, p=chances / chances.sum())
        worse = np.array([random.choice(self.rivals[row]) for row in better])
        return self._batch(better, like), self._batch(worse, like)

    def _batch(self, rows: NDArray[np.int64], like: Batch) -> Batch:
        device = like.images.device
        index = torch.from_numpy(rows)
        return Batch(
            images=to_tensor(sent(torch.from_numpy(self.images[rows]), device)),
            text=self.features[index].each(lambda x: sent(x, device)),
            styles=sent(self.styles[index], device), generator=like.generator,
            progress=like.progress, captions=[self.captions[row] for row in rows],
            lengths=self.features.lengths[index],
        )  # fmt: skip


def _rivals(
    votes: Sequence[Vote],
    place: dict[str, int],
    captions: Sequence[str],
    liked: NDArray[np.float64],
) -> list[NDArray[np.int64]]:
    chosen: dict[int, set[int]] = defaultdict(set)
    up: dict[str, set[int]] = defaultdict(set)
    down: dict[str, set[int]] = defaultdict(set)
    for vote in votes:
        if vote.better is not None and vote.worse is not None:
            chosen[place[vote.better.file]].add(place[vote.worse.file])
        elif vote.better is not None:
            up[vote.user].add(place[vote.better.file])
        elif vote.worse is not None:
            down[vote.user].add(place[vote.worse.file])
    compared = set(chosen)
    for user, rows in up.items():
        for row in rows - compared:
            others = {other for other in down[user] if liked[other] < liked[row]}
            same = {other for other in others if captions[other] == captions[row]}
            chosen[row] |= same or others
    return [np.array(sorted(chosen[row]), np.int64) for row in range(len(liked))]


def open_preferences(recipe: Recipe, model: Model, encoder: TextEncoder) -> VotedPictures | None:
    """The votes that a recipe names; None where it names none.

    Raises:
        RecipeError: they cannot be used, naming the key.
    """
    section = recipe.preferences
    if section is None:
        return None
    if recipe.init is None:
        raise recipe.error("init", "votes change a trained model; name it: init=MODEL")
    if not recipe.data.holdout.share:
        raise recipe.error(
            "data.holdout", "votes are learned from under a guard, which needs held-out pictures; "
            "give data.holdout=0.1",
        )  # fmt: skip
    if recipe.text.tune != "frozen" or recipe.train.grow or isinstance(model, TunedModel):
        raise recipe.error(
            "preferences", "votes are learned from with a frozen text encoder and at one size; "
            "leave text.tune and train.grow out",
        )  # fmt: skip
    if not isinstance(model, ImageModel) or model.draws_training_pictures:
        why = "draws the training pictures that it keeps" if isinstance(model, ImageModel) else (
            "draws nothing")  # fmt: skip
        raise recipe.error(
            "preferences", f"this {model.family} model {why}, so that votes cannot change what it "
            "draws; choose among its drawings with limner generate --prefer",
        )  # fmt: skip
    with recipe.explained("preferences.file"):
        votes = of_user(read_votes(Path(section.file)), section.user)
        return VotedPictures.of(votes, model, encoder, recipe)


def with_preferences(recipe: Recipe, file: Path | None, init: str | None) -> Recipe:
    """The recipe with a file of votes, and the model that it starts from, where they are given."""
    update: dict[str, object] = {}
    if file is not None:
        before = recipe.preferences or PreferencesSection(file="")
        update["preferences"] = before.model_copy(update={"file": str(file)})
    if init is not None:
        update["init"] = init
    return recipe.model_copy(update=update)
