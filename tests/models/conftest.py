"""What the tests of the families share: text features and batches of random numbers."""

from collections.abc import Callable, Iterator

import pytest
import torch

from limner.models.base import Batch, Parses
from limner.models.image_model import ImageModel
from limner.text.base import TextFeatures

FeatureMaker = Callable[..., TextFeatures]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_features() -> FeatureMaker:
    """``make_features(count, dim=16, length=5, seed=0)``: random features, lengths 1..length."""

    def make(count: int, dim: int = 16, length: int = 5, seed: int = 0) -> TextFeatures:
        g = torch.Generator().manual_seed(seed)
        lengths = torch.randint(1, length + 1, (count, 1), generator=g)
        mask = torch.arange(length) < lengths
        tokens = torch.randn(count, length, dim, generator=g) * mask.unsqueeze(-1)
        return TextFeatures(tokens, mask, torch.randn(count, dim, generator=g))

    return make


def make_parses(count: int, seed: int = 0, length: int = 5) -> Parses:
    """Random parses, every third without a ground."""
    g = torch.Generator().manual_seed(seed + 7)
    kinds, counts, sizes, paints = (
        torch.randint(low, high, (count, length), generator=g)
        for low, high in ((0, 4), (1, 5), (0, 3), (0, 12))
    )
    ground = torch.rand(count, 3, generator=g)
    ground[::3] = -1
    relations = torch.randint(0, 5, (count,), generator=g)
    return Parses(kinds, counts, sizes, paints, relations, ground)


@pytest.fixture
def make_batch(make_features: FeatureMaker) -> Callable[..., Batch]:
    """``make_batch(model, count=8, seed=0, progress=0.0)``: random pictures and captions."""

    def make(model: ImageModel, count: int = 8, seed: int = 0, progress: float = 0.0) -> Batch:
        c = model.config
        g = torch.Generator().manual_seed(seed)
        return Batch(
            images=torch.rand(count, 3, c.size, c.size, generator=g) * 2 - 1,
            text=make_features(count, c.text_dim, seed=seed),
            styles=torch.randint(-1, len(c.styles), (count,), generator=g),
            generator=torch.Generator().manual_seed(seed + 1),
            progress=progress,
            captions=[f"picture {i}" for i in range(count)],
            parses=make_parses(count, seed) if model.reads_scenes else None,
        )

    return make


@pytest.fixture
def stir() -> Callable[[ImageModel], ImageModel]:
    """Move every parameter away from its (possibly zero) start, as training would."""

    @torch.no_grad()
    def stirred(model: ImageModel) -> ImageModel:
        g = torch.Generator().manual_seed(5)
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=g))
        return model.eval()

    return stirred
