"""ar: an image generator that is a language model over picture codes, with the text as its prefix.

A picture is a sequence of cells, row by row, of one or several symbols each; a causal transformer
predicts each from all before it (Yu et al. 2022, "Parti", section 2; Sun et al. 2024, "LlamaGen",
arXiv:2406.06525). A cell is a code of a trained autoencoder (``latents``) or a patch of pixels
rounded to ``levels`` (:mod:`limner.models.vocabulary`); the transformer is in
:mod:`limner.models.decoder` or, from the hub, in :mod:`limner.models.lm`. The chances of all
pictures sum to one, so the likelihood is exact.

Shape letters: B pictures, N cells, M symbols a cell, V values of a symbol, D width, L text tokens,
P = 1 + L prefix positions, K numbers kept of a text vector.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import UsageError
from limner.models.autoencoder import AutoencoderConfig, LatentMemory, frozen
from limner.models.base import Batch, Model, register
from limner.models.conditioning import GuidedConfig, TextConditioning, choose_styles
from limner.models.decoder import CausalAttention, Decoder, DecoderConfig
from limner.models.fusion import Fusion
from limner.models.image_model import ImageModel, image_noise
from limner.models.layers import grey
from limner.models.lm import HubBody, read_config
from limner.models.preference_loss import preference_losses
from limner.models.rows import Rows, SampleRequest
from limner.models.samplers import choose_codes
from limner.models.settings import Capability
from limner.models.token_maps import recorded
from limner.models.vocabulary import CodeVocabulary, PatchVocabulary, neighbour_table
from limner.text.base import TextFeatures, concatenate
from limner.vision.base import ImageFeatures

_REACH, _SCALE = 0.2, 0.1
"""Of preference losses: what is liked is told by few of a picture's symbols, so that the mean over
all of them is small."""
_CODE_STREAM = 3
_LIKELIHOOD_ROWS = 64


class ARConfig(GuidedConfig):
    """Configuration of the autoregressive family."""

    size: int = Field(64, ge=2, le=1024, description="picture side in pixels")
    latents: AutoencoderConfig | None = Field(
        None, description="the autoencoder whose fsq codes are drawn; none: pixels"
    )
    patch: int = Field(4, ge=1, le=64, description="pixels: side of the patch that is one cell")
    channels: Literal[1, 3] = Field(3, description="pixels: 1 for grey pictures")
    levels: int = Field(16, ge=2, le=256, description="pixels: values of each, black and white two")
    patch_width: int = Field(32, ge=1, le=1024, description="pixels: hidden numbers per symbol")
    body_path: str | None = Field(
        None, description="folder or hub id of the language model to start from; gives 'body'"
    )
    body: Literal["own"] | dict[str, Any] = Field(
        default_factory=lambda known: read_config(path) if (path := known["body_path"]) else "own",
        description="own: dim, depth, heads, ...; or a causal language model's hub config; left "
        "out, own or that of 'body_path'",
    )
    lora: int = Field(
        0, ge=0, le=1024, description="rank of what learns beside a hub body's weights; 0: all do"
    )
    dim: int = Field(192, ge=8, description="own body: width")
    depth: int = Field(6, ge=1, description="own body: blocks")
    heads: int = Field(3, ge=1, description="own body: query heads")
    kv_heads: int | None = Field(None, ge=1, description="own body: key and value heads")
    text_width: int = Field(256, ge=1, description="numbers kept of each text vector")
    max_tokens: int = Field(8, ge=1, le=256, description="text tokens in the prefix")
    guidance: float = Field(1.5, ge=0, le=50, description="classifier-free guidance")
    temperature: float = Field(1.0, ge=0, le=10)
    top_k: int = Field(0, ge=0, description="codes that may be drawn; 0 for all")
    top_p: float = Field(1.0, gt=0, le=1, description="mass of the codes that may be drawn")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.latents is not None:
            if self.latents.bottleneck != "fsq":
                raise ValueError(
                    "'latents' has a 'kl' bottleneck, which has no codes; train the autoencoder "
                    "with model.bottleneck=fsq"
                )
            if self.latents.size != self.size:
                raise ValueError(f"'latents' are of {self.latents.size} px, not of {self.size}")
        elif self.size % self.patch:
            raise ValueError(f"patch {self.patch} does not divide size {self.size}")
        if self.body == "own":
            if self.lora or self.body_path is not None:
                raise ValueError("'lora' and 'body_path' are for a body from the hub")
            try:
                self.decoder()
            except ValidationError as error:
                raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        return self

    def decoder(self) -> DecoderConfig:
        """The shape of the own body."""
        return DecoderConfig(
            dim=self.dim, depth=self.depth, heads=self.heads, kv_heads=self.kv_heads
        )

    @property
    def grid(self) -> int:
        """Cells along one side of a picture."""
        return self.latents.grid if self.latents else self.size // self.patch

    @property
    def symbols(self) -> int:
        """M, the number of symbols of one cell."""
        return 1 if self.latents else self.channels * self.patch**2

    @property
    def values(self) -> int:
        """V, the number of values of one symbol."""
        return self.latents.codebook_size if self.latents else self.levels


class Prefix(TextConditioning):
    """Words and style to the vectors a picture's codes follow.

    The first carries sentence and style, the others a text token each. Missing tokens are one
    learned vector instead of a mask, so that the sequence has the same shape for every text.
    """

    def __init__(self, config: ARConfig, dim: int) -> None:
        super().__init__()
        width = min(config.text_width, config.text_dim)
        self.max_tokens = config.max_tokens
        self.add_whitening(config.text_dim, width)
        self.fusion = Fusion(width, config.fusion)
        self.pooled_in, self.token_in = nn.Linear(width, dim), nn.Linear(width, dim)
        self.style = nn.Embedding(len(config.styles) + 1, dim)  # the last row is "unknown"
        self.null_pooled = nn.Parameter(torch.empty(dim))
        self.no_token = nn.Parameter(torch.empty(dim))
        for table in (self.style.weight, self.null_pooled, self.no_token):
            nn.init.normal_(table)

    def forward(
        self,
        text: TextFeatures,
        styles: Tensor,
        picture: ImageFeatures | None = None,
        drop: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Embed B texts, cut or padded to ``max_tokens``, as ``(B, P, D)``.

        Args:
            text: of any token axis.
            styles: ``(B,)`` int64, -1 where unknown.
            picture: reference pictures, or None.
            drop: ``(B,)`` bool, rows that get the null condition.
            generator: given while learning; see :class:`limner.models.fusion.Fusion`.
        """
        text = self.read_text(text.padded(self.max_tokens), picture, generator)  # (B, L, K)
        first, mask = self.pooled_in(text.pooled), text.mask  # (B, D), (B, L)
        if drop is not None:
            first = torch.where(drop[:, None], self.null_pooled, first)
            mask = mask & ~drop[:, None]
        words = torch.where(mask.unsqueeze(-1), self.token_in(text.tokens), self.no_token)
        return torch.cat(((first + self.embed_styles(styles))[:, None], words), 1)  # (B, P, D)


@register("ar", ARConfig)
class ARModel(ImageModel):
    """A causal language model whose words are pieces of a picture."""

    config: ARConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({
        Capability.GENERATE, Capability.GUIDANCE, Capability.STYLE, Capability.REFERENCE,
        Capability.TEMPERATURE, Capability.TOP_K, Capability.TOP_P, Capability.LIKELIHOOD,
        Capability.RECONSTRUCT, Capability.INPAINT, Capability.RESTYLE, Capability.EXPLAIN,
    })  # fmt: skip
    neighbours: Tensor

    def __init__(self, config: ARConfig) -> None:
        super().__init__()
        c = config
        self.body: Decoder | HubBody = (
            HubBody(c.body, start=c.body_path, lora=c.lora)
            if isinstance(c.body, dict)
            else Decoder(c.decoder())
        )
        # what the body started from is in the file from now on
        self.config = c.model_copy(update={"body_path": None})
        dim, cells = self.body.dim, c.grid**2
        self.prefix = Prefix(c, dim)
        self.autoencoder = frozen(c.latents) if c.latents else None
        self.vocabulary: CodeVocabulary | PatchVocabulary = (
            CodeVocabulary(c.values, dim)
            if c.symbols == 1
            else PatchVocabulary(c.symbols, c.values, dim, c.patch_width)
        )
        self.start = nn.Parameter(torch.randn(dim))
        self.place = nn.Parameter(0.5 * torch.randn(cells, dim))  # of the cell that comes next
        self.register_buffer("neighbours", neighbour_table(c.grid), persistent=False)
        self._known = LatentMemory()
        if isinstance(self.body, HubBody):
            self.body.check_length(1 + c.max_tokens + self.prefix.fusion.extra_tokens + cells)
            self._grow(self.body)

    @torch.no_grad()
    def _grow(self, body: HubBody) -> None:
        """Begin the new words, and all that stands beside them, where the old ones lie."""
        if isinstance(self.vocabulary, CodeVocabulary):
            words, heads = body.new_rows(self.config.values)
            self.vocabulary.table.weight.copy_(words)
            self.vocabulary.head.weight.copy_(heads)
        for table in (self.start, self.place, self.prefix.style.weight, self.prefix.no_token,
                      self.prefix.null_pooled):  # fmt: skip
            table.mul_(body.embedding_scale)
        layers = [self.prefix.pooled_in, self.prefix.token_in]
        if isinstance(self.vocabulary, PatchVocabulary):
            layers.append(self.vocabulary.patch_in)
        for layer in layers:
            layer.weight.mul_(body.embedding_scale)
            layer.bias.mul_(body.embedding_scale)

    def train(self, mode: bool = True) -> Self:
        """As for any module, but the autoencoder stays in eval mode."""
        super().train(mode)
        if self.autoencoder is not None:
            self.autoencoder.eval()
        return self

    def prepare(self, text: TextFeatures) -> None:
        """Fit the whitening of sentence and token vectors."""
        self.prefix.prepare(text)

    @torch.no_grad()
    def grown(self, size: int) -> Model:
        """This model for pictures of another size, whose cells lie where the old ones lay."""
        other = super().grown(size)
        assert isinstance(other, ARModel)
        mine = self.place.T.unflatten(1, (self.config.grid, -1))  # type: ignore[no-untyped-call]
        side = other.config.grid
        wide = F.interpolate(mine[None], (side, side), mode="bilinear", align_corners=False)
        other.place.copy_(wide[0].flatten(1).T)
        return other

    # -- pictures and codes ---------------------------------------------------------------------

    def encode(self, images: Tensor) -> Tensor:
        """Codes ``(B, N, M)`` int64 of ``(B, 3, S, S)`` pictures in [-1, 1].

        Raises:
            UsageError: the model is of grey pictures, and these have colours.
        """
        c = self.config
        if self.autoencoder is not None:
            return self.autoencoder.codes(images).unsqueeze(-1)
        if c.channels == 1:
            images = grey(images)
        levels = ((images.float().clamp(-1, 1) + 1) * ((c.levels - 1) / 2)).round().long()
        return F.pixel_unshuffle(levels, c.patch).flatten(2).transpose(1, 2)  # (B, N, M)

    def decode(self, codes: Tensor) -> Tensor:
        """Pictures ``(B, 3, S, S)`` of codes ``(B, N, M)``."""
        c = self.config
        if self.autoencoder is not None:
            return self.autoencoder.decode(self.autoencoder.from_codes(codes[..., 0]))
        grid = codes.transpose(1, 2).reshape(len(codes), -1, c.grid, c.grid)  # (B, M, G, G)
        levels = F.pixel_shuffle(grid, c.patch)  # (B, C, S, S)
        return (levels * (2.0 / (c.levels - 1)) - 1).expand(-1, 3, -1, -1)

    @torch.inference_mode()
    def reconstruct(self, images: Tensor) -> Tensor:
        """What the codes keep of ``(B, 3, S, S)`` pictures in [-1, 1]; the same shape and range."""
        return self.decode(self.encode(images)).clamp(-1, 1)

    @torch.no_grad()
    def _codes(self, batch: Batch) -> Tensor:
        """Codes of a batch, remembered by picture where an autoencoder has to find them."""
        if self.autoencoder is None:
            return self.encode(batch.images)
        codes = self._known.recall(batch, lambda images: self.encode(images).float())
        return codes.long()  # below 2^24, which float32 holds exactly

    # -- learning -------------------------------------------------------------------------------

    def logits(self, prefix: Tensor, codes: Tensor) -> Tensor:
        """Logits of every symbol given the prefix and all symbols before: ``(B, N, M, V)``.

        Args:
            prefix: ``(B, P, D)``.
            codes: ``(B, N, M)`` int64.
        """
        words = torch.cat(
            (self.start.expand(len(codes), 1, -1), self.vocabulary.embed(codes[:, :-1])), 1
        )
        states = self.body(torch.cat((prefix, words + self.place), 1))  # (B, P+N, D)
        padded = F.pad(codes, (0, 0, 0, 1), value=-1)  # (B, N+1, M)
        around = padded[:, self.neighbours]  # (B, N, 4, M)
        context = self.vocabulary.context(states[:, prefix.shape[1] :], around)
        return self.vocabulary(context, codes)  # type: ignore[no-any-return]

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """``nll``: mean negative log-likelihood of a symbol, in nats."""
        codes = self._codes(batch)  # (B, N, M)
        drop, styles = self.config.drop(batch)
        prefix = self.prefix(batch.text, styles, batch.picture, drop, batch.generator)
        logits = self.logits(prefix, codes).float()
        return {"nll": F.cross_entropy(logits.flatten(0, 2), codes.flatten())}

    def preference_losses(
        self, better: Batch, worse: Batch, reference: Model, group: str
    ) -> dict[str, Tensor]:
        """See :mod:`limner.models.preference_loss`; the error is the negative log-likelihood."""
        assert isinstance(reference, ARModel)
        scale = torch.full((len(better.images),), _SCALE, device=better.images.device)
        return preference_losses(
            self, reference, better, worse, errors=ARModel._errors, scale=scale, reach=_REACH
        )

    def _errors(self, batch: Batch) -> Tensor:
        """Mean negative log-likelihood of a symbol of each picture, ``(B,)``, in nats."""
        codes = self._codes(batch)  # (B, N, M)
        prefix = self.prefix(batch.text, batch.styles, batch.picture)
        logits = self.logits(prefix, codes).float()
        costs = F.cross_entropy(logits.flatten(0, 2), codes.flatten(), reduction="none")
        return costs.view(len(codes), -1).mean(1)

    # -- likelihood -----------------------------------------------------------------------------

    @torch.inference_mode()
    def log_likelihood(
        self, images: Tensor, text: TextFeatures, styles: Tensor | None = None
    ) -> Tensor:
        """Log p(picture | text) of B pairs, ``(B,)`` float32 in nats.

        Exact over what the model draws: over pixels rounded to ``levels``, or over the codes of
        the autoencoder, whose decoder turns each sequence of codes into one picture.
        """
        device = self.start.device
        if styles is None:
            styles = torch.full((len(images),), -1)
        found = [images.new_zeros(0, device=device)]
        for start in range(0, len(images), _LIKELIHOOD_ROWS):
            rows = slice(start, start + _LIKELIHOOD_ROWS)
            codes = self.encode(images[rows].to(device))  # (B, N, M)
            prefix = self.prefix(text[rows].to(device), styles[rows].to(device))
            chances = self.logits(prefix, codes).float().log_softmax(-1)
            found.append(chances.gather(-1, codes.unsqueeze(-1)).sum((1, 2, 3)))
        return torch.cat(found)

    # -- drawing --------------------------------------------------------------------------------

    @property
    def positions(self) -> int:
        """One: a network evaluation draws one cell."""
        return 1

    def start_rows(self, request: SampleRequest) -> Rows:
        """The prefixes, with the words and without or with negative ones, and an empty cache."""
        c, device = self.config, self.start.device
        request = request.to(device)
        styles = choose_styles(request, c.styles)
        given = self.prefix(request.text, styles, request.picture)  # (B, P, D)
        unknown = torch.full_like(styles, -1)
        if request.negative is None:
            free = self.prefix(request.text, unknown, request.picture, drop=unknown < 0)
        else:
            free = self.prefix(request.negative, unknown, request.picture)
        count, cells = len(request), c.grid**2
        noise = image_noise(request.seeds, (cells, c.symbols), device, _CODE_STREAM)
        shape = self.body.cache_shape(given.shape[1] + cells)
        return Rows.begun(
            request,
            [cells] * count,
            {
                "prefix": torch.stack((given, free), 1),  # (B, 2, P, D)
                "uniform": torch.special.ndtr(noise.double()),  # (B, N, M)
                "codes": torch.full((count, cells + 1, c.symbols), -1, device=device),
                "known": self._known_symbols(request),
                "cache": given.new_zeros(count, 2, *shape),
                "temperature": given.new_tensor(
                    request.values("temperature", c.temperature), dtype=torch.float64
                ),
                "top_k": styles.new_tensor(request.values("top_k", c.top_k)),
                "top_p": given.new_tensor(request.values("top_p", c.top_p), dtype=torch.float64),
                "scale": given.new_tensor(request.values("guidance", c.guidance)),
            },
        )

    def _known_symbols(self, request: SampleRequest) -> Tensor:
        """The symbols that are known, ``(B, N, M)`` int64; -1 where they are to be drawn."""
        c, known = self.config, request.known
        if known is None:
            return torch.full((len(request), c.grid**2, c.symbols), -1, device=self.start.device)
        if self.autoencoder is not None:  # whose code of a cell depends on the cells around it
            hole = known.cells(c.grid, reach=1).flatten(1).unsqueeze(-1)
        else:
            hole = known.hole.expand(-1, c.channels, -1, -1)
            hole = F.pixel_unshuffle(hole.float(), c.patch).flatten(2).transpose(1, 2) > 0
        # Of a picture that is changed the first cells stay.
        place = torch.arange(c.grid**2, device=hole.device)[:, None]  # (N, 1)
        kept = ((1 - request.strengths) * c.grid**2).round().view(-1, 1, 1).to(hole.device)
        return self.encode(request.seen).masked_fill(hole & (place >= kept), -1)

    def shapes(self, rows: Rows) -> list[Hashable]:
        """Of each row its position (docs/ar.md says why), and whether it is guided."""
        guided = (rows.state["scale"] != 1).tolist()
        return list(zip(rows.done.tolist(), guided, strict=True))

    def evaluate(self, rows: Rows) -> Rows:
        """Draw the next cell of each row, all of them at one position.

        Guided rows are evaluated with and without their condition in one pass of twice the rows:
        logits u + scale (c - u) (Sun et al. 2024, section 3.3).
        """
        state, cell, count = rows.state, int(rows.done[0]), len(rows)
        uniform, codes, scale = state["uniform"], state["codes"], state["scale"][:, None]
        ways = 2 if float(scale[0]) != 1 else 1
        prefix, cache = (state[name][:, :ways].flatten(0, 1) for name in ("prefix", "cache"))
        if cell:
            x = self.vocabulary.embed(codes[:, cell - 1 : cell]) + self.place[cell]  # (B, 1, D)
            x = x.repeat_interleave(ways, 0)
        else:
            word = (self.start + self.place[0]).expand(len(prefix), 1, -1)
            x = torch.cat((prefix, word), 1)
        filled = prefix.shape[1] + cell if cell else 0
        out = self.body(x, self.body.open_cache(cache, filled))[:, -1:]  # (B * ways, 1, D)
        around = codes[:, None, self.neighbours[cell]].repeat_interleave(ways, 0)  # (., 1, 4, M)

        def choose(symbol: int, logits: Tensor) -> Tensor:
            if ways == 2:
                given, free = logits.unflatten(0, (count, 2)).unbind(1)  # type: ignore[no-untyped-call]
                logits = free + scale * (given - free)  # (B, V)
            chosen = choose_codes(
                logits, uniform[:, cell, symbol],
                state["temperature"], state["top_k"], state["top_p"],
            )  # fmt: skip
            known = state["known"][:, cell, symbol]
            chosen = torch.where(known < 0, chosen, known)
            return chosen.repeat_interleave(ways)

        drawn = self.vocabulary.draw(self.vocabulary.context(out, around)[:, 0], choose)
        codes = codes.clone()
        codes[:, cell] = drawn[::ways]
        kept = cache.unflatten(0, (count, ways))  # type: ignore[no-untyped-call]
        if ways == 1:
            kept = torch.cat((kept, state["cache"][:, 1:]), 1)
        return rows.stepped(codes=codes, cache=kept)

    @torch.inference_mode()
    def token_maps(self, request: SampleRequest, images: Tensor) -> Tensor:
        """Projected attention outputs, summed over blocks, at the positions that draw each cell."""
        if not isinstance(self.body, Decoder):
            raise UsageError("there are no attention maps of a body from the hub; leave maps out")
        c, request = self.config, request.to(self.start.device)
        count = request.text.tokens.shape[1]
        prefix = self.prefix(request.text, choose_styles(request, c.styles), request.picture)
        words, found = prefix.shape[1], list[Tensor]()
        layers = [each for each in self.body.modules() if isinstance(each, CausalAttention)]

        def of(layer: CausalAttention, x: Tensor, turns: tuple[Tensor, Tensor], _: None) -> Tensor:
            return layer.contributions(x, turns, words)

        if c.channels == 1:
            images = images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        with recorded(layers, found, of):
            self.logits(prefix, self.encode(images.to(self.start.device)))
        maps = torch.stack(found).sum(0).transpose(1, 2)  # (B, P, N)
        read = min(c.max_tokens, count)
        maps = maps[:, 1 : 1 + read] * request.text.mask[:, :read, None]
        return F.pad(maps, (0, 0, 0, count - read)).view(len(maps), count, c.grid, -1)

    @torch.inference_mode()
    def word_information(
        self, request: SampleRequest, others: TextFeatures, images: Tensor
    ) -> Tensor:
        """Pointwise information of cells with words, ``log (p(cell | text) / p(cell | other))``.

        In nats, each cell given those before it (Church and Hanks 1990, eq. 1, with p(cell | other)
        for p(cell)).
        """
        c, device, picture = self.config, self.start.device, request.picture
        text = concatenate([request.text, others]).to(device)
        rows = [0] * len(text)
        styles = choose_styles(request.to(device), c.styles)[rows]
        prefix = self.prefix(text, styles, None if picture is None else picture.to(device)[rows])
        if c.channels == 1:
            images = images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        codes = self.encode(images.to(device))[rows]  # (1 + W, N, M)
        chances = self.logits(prefix, codes).float().log_softmax(-1)
        found = chances.gather(-1, codes.unsqueeze(-1)).sum((2, 3))  # (1 + W, N)
        return (found[:1] - found[1:]).view(len(others), c.grid, -1).cpu()

    def show(self, rows: Rows) -> Tensor:
        """The cells that are drawn, ``(B, 3, S, S)``; the others are grey."""
        codes, side = rows.state["codes"][:, :-1], self.config.grid
        drawn = (codes[:, :, 0] >= 0).view(-1, 1, side, side).float()  # (B, 1, G, G)
        known = F.interpolate(drawn, self.config.size, mode="nearest") > 0
        return torch.where(known, self.decode(codes.clamp_min(0)), 0)


def rank_captions(
    model: Model, images: Tensor, texts: TextFeatures, styles: Tensor | None = None
) -> Tensor:
    """How well each of K captions fits each of B pictures: log p(text | picture), ``(B, K)``.

    Bayes' rule with captions equally likely beforehand: the log-likelihoods of a picture given
    each caption, less their log-sum-exp (the "generative classifier" of Ng and Jordan 2001).

    Args:
        model: of a family with a likelihood.
        images: ``(B, 3, S, S)`` float32 in [-1, 1].
        texts: features of the K captions.
        styles: ``(B,)`` int64, -1 or None where unknown.

    Raises:
        CapabilityError: the model has no likelihood.
    """
    count = len(texts)
    columns = [model.log_likelihood(images, texts[[k] * len(images)], styles) for k in range(count)]
    return torch.stack(columns, 1).log_softmax(1)
