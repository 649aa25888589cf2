"""One-shot text-conditional variational autoencoder: words -> latent -> picture in one pass.

An autoencoder maps pictures to a small grid of latents and back, and a learned prior models
p(latents | text) (Kingma and Welling 2013, arXiv:1312.6114; with a learned prior: Sohn, Lee and
Yan 2015). The prior is a mixture, so that *fruit* gives one fruit or another, depending on the
seed, and not the average of all. Training has three stages, by the share of the budget spent:

1. *autoencode*: encoder and decoder are trained to reconstruct from noisy or rounded latents;
2. *prior*: both are frozen, and the prior p(latent | text, style) is trained, which is cheap;
3. *joint*: prior and decoder are trained together, from text to pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from limner.errors import UsageError
from limner.models.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    LatentMemory,
    Posterior,
    build_decoder,
    build_encoder,
    edge_loss,
    layers_of,
    pyramid_loss,
)
from limner.models.base import Batch, Model, ParameterGroup, register
from limner.models.conditioning import PooledConditioning, PooledConfig, choose_styles
from limner.models.critic import PatchCritic, hinge
from limner.models.exemplar_fitting import fitted_latents
from limner.models.exemplars import ExemplarMixture, ExemplarPrior
from limner.models.image_model import image_noise
from limner.models.layers import normal_like
from limner.models.likelihood import (
    cell_log_mass,
    gaussian_kl,
    mixture_kl_bound,
    pixel_log_likelihood,
)
from limner.models.one_shot import OneShotModel
from limner.models.prior import Mixture, Prior
from limner.models.rows import SampleRequest
from limner.models.settings import Capability
from limner.models.sharpening import sharpened
from limner.models.similarity import code_use, psnr, ssim, structure_loss
from limner.text.base import TextFeatures
from limner.vision.base import ImageFeatures

Stage = Literal["autoencode", "prior", "joint"]
_MODE_STREAM = 2
_BOUND_STREAM = 3
_LEAST_SPREAD = 1e-3
_SHARPENED = 256, 2
"""Side from which on pictures of a few hundred bytes each are sharpened, and in how many steps."""
_SEARCH_NOISE = 0.2
"""Standard deviation of the seed's noise added to the likeliest code at the start of a search."""


class VAEConfig(PooledConfig, AutoencoderConfig):
    """Configuration of the VAE family. The defaults are those of recipes/icons-64."""

    text_noise: float = Field(0.3, ge=0, description="noise on text vectors while learning")
    prior_kind: Literal["network", "exemplars"] = Field(
        "network", description="a network that predicts latents, or a choice among those of the "
        "training pictures of the nearest caption",
    )  # fmt: skip
    exemplars: int = Field(
        0, ge=0, description="training pictures whose latents are kept; a recipe leaves it out"
    )
    exemplar_texts: int = Field(
        0, ge=0, description="captions of theirs; a recipe leaves it out, too"
    )
    exemplar_bytes: int = Field(400, ge=1, le=65_536, description="bytes kept of each picture")
    exemplar_steps: int = Field(
        0, ge=0, le=1000, description="gradient steps that bring what is drawn of the latents kept "
        "of a picture nearer to it",
    )  # fmt: skip
    sharpening: int | None = Field(
        None, ge=0, le=16, description="steps of the shock filter that makes edges of finished "
        f"pictures sharper; left out, {_SHARPENED[1]} for exemplars of {_SHARPENED[0]} px or more "
        "and 0 for others",
    )  # fmt: skip
    prior_width: int = Field(768, ge=16)
    prior_depth: int = Field(3, ge=1, le=32)
    autoencode: float = Field(0.4, ge=0, le=1, description="share of the budget in stage 1")
    crop: int | None = Field(
        None, ge=8, description="side of the random squares of pictures that stage 1 trains on, a "
        "multiple of the decoder's stride; left out, it sees whole pictures",
    )  # fmt: skip
    frozen_levels: int | None = Field(
        None, ge=0, le=6, description="levels of the decoder, from the latents on, that stage 1 "
        "leaves as they are, and the encoder with them; 0 freezes the encoder alone",
    )  # fmt: skip
    prior: float = Field(0.25, ge=0, le=1, description="share of the budget in stage 2")
    modes: int = Field(4, ge=1, le=64, description="components of the prior")
    mode_rank: int = Field(64, ge=1, description="numbers by which components differ")
    mode_share: float = Field(0.1, ge=0, lt=1, description="of a target for the modes not nearest")
    temperature: float = Field(0.3, ge=0, le=2, description="of a component when drawing")
    mode_temperature: float = Field(0.7, ge=0, le=2, description="of the choice of a component")
    beta: float = Field(1.0, ge=0, description="factor of the kl loss in stage 1")
    beta_schedule: Literal["constant", "linear", "cyclical"] = Field(
        "constant", description="how that factor comes up from zero over stage 1"
    )
    beta_cycles: int = Field(4, ge=1, le=100, description="cycles of the cyclical schedule")
    beta_rise: float = Field(0.5, gt=0, le=1, description="share of a cycle spent rising")
    free_bits: float = Field(
        0.0, ge=0, description="nats of each latent channel and picture that cost no more than free"
    )
    structure: bool = Field(False, description="also learn structural similarity (1 - SSIM)")
    adversarial: float = Field(
        0.0, ge=0, description="weight of the score of a patch critic, which has its own optimizer"
    )
    critic_width: int = Field(32, ge=4, le=512, description="channels of the critic's first layer")
    bound_samples: int = Field(8, ge=1, le=1024, description="latents per likelihood bound")

    @model_validator(mode="after")
    def _fits(self) -> VAEConfig:
        if self.prior_kind == "exemplars" and (self.autoencode or self.prior):
            raise ValueError(
                "exemplars are latents of a trained encoder: give its file under 'autoencoder', "
                "and 'autoencode' and 'prior' of 0"
            )
        if self.autoencode + self.prior > 1:
            raise ValueError("'autoencode' and 'prior' are shares of one budget: at most 1 in sum")
        if self.adversarial and self.size < 16:
            raise ValueError("'adversarial' needs pictures of 16 pixels or more")
        if self.crop is not None and (self.crop % self.stride or self.crop > self.size):
            raise ValueError(
                f"'crop' is {self.crop}; it must be a multiple of {self.stride} and at most the "
                f"picture's {self.size} pixels"
            )
        if self.frozen_levels is not None and self.frozen_levels >= len(self.decoder):
            raise ValueError(
                f"'frozen_levels' is {self.frozen_levels}; of {len(self.decoder)} decoder levels "
                "one at least must learn"
            )
        return self

    @property
    def sharpening_steps(self) -> int:
        """Steps of :func:`limner.models.sharpening.sharpened` on decoded pictures."""
        if self.sharpening is not None:
            return self.sharpening
        least, steps = _SHARPENED
        return steps if self.prior_kind == "exemplars" and self.size >= least else 0

    def beta_at(self, progress: float) -> float:
        """The factor of the kl loss when ``progress`` of the run's budget is spent.

        Over stage 1 it is constant, or rises linearly for a share ``beta_rise`` and then stays
        (warm-up), or does that ``beta_cycles`` times over (Fu et al. 2019, eq. 6 and 7).
        """
        if self.beta_schedule == "constant" or not self.autoencode:
            return self.beta
        cycles = self.beta_cycles if self.beta_schedule == "cyclical" else 1
        spent = min(progress / self.autoencode, 1.0) * cycles
        share = 1.0 if spent == cycles else spent % 1.0
        return self.beta * min(share / self.beta_rise, 1.0)


@register("vae", VAEConfig)
class VAE(OneShotModel):
    """Text to image in one pass; also reconstructs, interpolates and bounds likelihoods."""

    capabilities = frozenset({
        Capability.GENERATE, Capability.STYLE, Capability.RECONSTRUCT, Capability.REFERENCE,
        Capability.TEMPERATURE, Capability.LIKELIHOOD, Capability.INPAINT, Capability.RESTYLE,
        Capability.EXPLAIN,
    })  # fmt: skip
    staged_losses = frozenset({"pixels", "edges", "kl", "prior", "gate", "spread"})
    search_steps = 20
    config: VAEConfig

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config)
        self.decoder = build_decoder(config)
        if config.prior_kind == "exemplars":
            self.prior: Prior | ExemplarPrior = ExemplarPrior(config)
        else:
            self.reader = PooledConditioning(config)
            self.prior = Prior(config, self.reader.width)
        if config.adversarial:
            self.critic = PatchCritic(config.critic_width)
        self._memory = LatentMemory()
        self._before: tuple[nn.Sequential, ...] = ()

    @property
    def draws_training_pictures(self) -> bool:
        """True with a prior of exemplars."""
        return isinstance(self.prior, ExemplarPrior)

    def drawn_styles(self, text: TextFeatures, styles: Sequence[int]) -> list[int]:
        """With a prior of exemplars, a style in which the text has exemplars."""
        if not isinstance(self.prior, ExemplarPrior):
            return list(styles)
        vectors = text.pooled.to(self._device)
        return [self.prior.drawn_style(*each) for each in zip(vectors, styles, strict=True)]

    @torch.inference_mode()
    def examples(self, style: int, count: int) -> Tensor:
        """Decode at most ``count`` exemplars of a style, ``(N, 3, S, S)`` in [-1, 1]."""
        if not isinstance(self.prior, ExemplarPrior):
            return super().examples(style, count)
        latents = self.prior.latents(self.prior.rows_of(style, count))
        drawn = [self.render(latents[[row]]) for row in range(len(latents))]
        return torch.cat(drawn) if drawn else super().examples(style, count)

    @torch.inference_mode()
    def exemplars_of(self, text: TextFeatures, most: int) -> tuple[Tensor, list[int]]:
        """The training pictures that a text means, in all styles: ``(N, 3, H, W)`` in [-1, 1]."""
        prior = self.prior
        if not isinstance(prior, ExemplarPrior):
            return super().exemplars_of(text, most)
        rows = prior.meant(text.pooled[0].to(prior.keys.device))[:most]
        pictures = [self.render(prior.latents(rows[[n]])) for n in range(len(rows))]
        found = torch.cat(pictures) if pictures else super().exemplars_of(text, most)[0]
        return found.float().clamp(-1, 1).cpu(), prior.styles[rows].tolist()

    @property
    def colourful_styles(self) -> Tensor | None:
        """Computed from the colours of the exemplars."""
        return self.prior.colourful.cpu() if isinstance(self.prior, ExemplarPrior) else None

    @property
    def autoencoder(self) -> Autoencoder:
        """Encoder and decoder by themselves, sharing this model's weights."""
        view = Autoencoder(self.config, self.encoder, self.decoder)
        if view.quantiser is not None:
            view.quantiser.to(self._device)
        return view

    @property
    def optimizer_groups(self) -> dict[str, ParameterGroup]:
        """The model, and with ``adversarial`` the critic."""
        groups = super().optimizer_groups
        if self.config.adversarial:
            critic = list(self.critic.parameters())
            theirs = set(critic)
            own = [p for p in groups["model"].parameters if p not in theirs]
            groups = {
                "model": ParameterGroup(own),
                "critic": ParameterGroup(critic, betas=(0.5, 0.99)),
            }
        return groups

    def prepare(self, text: TextFeatures) -> None:
        """Fit the whitening of sentence and token vectors."""
        if isinstance(self.prior, ExemplarPrior):
            self.prior.whitening.fit(text.pooled)
        else:
            self.reader.prepare(text)

    def remember(self, batches: Iterable[Batch]) -> None:
        """Keep the latents of every training picture, for a prior of exemplars."""
        if isinstance(self.prior, ExemplarPrior):
            kind, steps = self._device.type, self.config.exemplar_steps
            fast, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)

            def decode(latents: Tensor) -> Tensor:
                with torch.autocast(kind, dtype=dtype, enabled=fast):
                    return self.decode(latents)

            fit = partial(fitted_latents, decode=decode, steps=steps) if steps else None
            with torch.autocast(kind, enabled=False):  # what is kept is exact
                self.prior.remember(batches, self.autoencoder.encode, fit)

    def state_from(self, other: Model) -> dict[str, Tensor]:
        """The other's state, with room for more exemplars.

        If exemplars are added, the decoder is also trained to decode the old ones as the other
        model's decoder does (rehearsal: Robins 1995; Li and Hoiem 2016, arXiv:1606.09282, eq. 2).
        """
        state = super().state_from(other)
        if not isinstance(self.prior, ExemplarPrior):
            return state
        assert isinstance(other, VAE)
        if isinstance(other.prior, ExemplarPrior) and len(other.prior.texts) < len(
            self.prior.texts
        ):
            self._before = (other.decoder,)  # a tuple hides it from the state
        own = {n.removeprefix("prior."): t for n, t in state.items() if n.startswith("prior.")}
        return state | {f"prior.{name}": t for name, t in self.prior.padded_state(own).items()}

    def stage(self, progress: float) -> Stage:
        """The stage of a run at ``progress`` of its budget."""
        if progress < self.config.autoencode:
            return "autoencode"
        return "prior" if progress < self.config.autoencode + self.config.prior else "joint"

    def reads_words(self, progress: float) -> bool:
        """Whether the stage without text, *autoencode*, is over."""
        return self.stage(progress) != "autoencode"

    # -- learning -----------------------------------------------------------------------------

    def losses(self, batch: Batch, group: str) -> dict[str, Tensor]:
        """The stage's losses, unweighted.

        * autoencode: ``pixels``, ``edges`` of the reconstruction, and for the kl bottleneck
          ``kl`` of the posterior from N(0, 1) in nats per latent number, times
          :meth:`VAEConfig.beta_at`; with ``free_bits`` a channel counts at least those (Kingma et
          al. 2016, eq. 15);
        * prior: ``prior`` (squared error of the component nearest to the posterior mean, in
          units of latent_noise, with a small share of the others' so that none dies: relaxed
          winner-takes-all, Rupprecht et al. 2017, eq. 6), ``gate`` (cross-entropy of the
          components' chances with the nearest) and ``spread`` (negative log-likelihood of the
          deviation around that component as it is);
        * joint: these, and ``pixels`` and ``edges`` of what the nearest component draws; with
          exemplars those of what is drawn of a picture's own, and ``rehearsal`` where there are
          exemplars of a model before (:meth:`state_from`).

        Where pictures are drawn there is also ``structure`` (see
        :func:`limner.models.similarity.structure_loss`) and ``adversarial`` (minus the critic's
        score), if the configuration has them; the optimizer group *critic* has ``critic``.
        """
        stage = self.stage(batch.progress)
        if stage == "autoencode":
            self._memory.clear()
            batch = self._cropped(batch)
        if group == "critic":
            return {"critic": self._critic_loss(batch, stage)}
        losses, drawn = self._autoencode(batch) if stage == "autoencode" else self._read(batch)
        return losses if drawn is None else losses | self._picture_losses(drawn, batch.images)

    def _cropped(self, batch: Batch) -> Batch:
        """The batch with a random crop of each picture, from the batch's generator."""
        side, crop = batch.images.shape[-1], self.config.crop
        if crop is None:
            return batch
        images, count = batch.images, len(batch.images)
        corners = torch.randint(
            side - crop + 1, (count, 2), generator=batch.generator, device=images.device
        )
        places = corners[:, :, None] + torch.arange(crop, device=images.device)  # (B, 2, crop)
        picture = torch.arange(count, device=images.device)[:, None, None]
        squares = images.permute(0, 2, 3, 1)[picture, places[:, 0, :, None], places[:, 1, None]]
        return replace(batch, images=squares.permute(0, 3, 1, 2).contiguous())

    def _autoencode(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        levels = self.config.frozen_levels
        frozen = layers_of(self.config, levels or 0)
        with torch.set_grad_enabled(torch.is_grad_enabled() and levels is None):
            posterior = self.autoencoder.posterior(batch.images)
            known = self.decoder[:frozen](self._blurred(posterior, batch))
        drawn = self.decoder[frozen:](known)
        if self.config.bottleneck == "fsq":
            return {}, drawn
        return {"kl": self.config.beta_at(batch.progress) * self._kl(posterior)}, drawn

    def _kl(self, posterior: Posterior) -> Tensor:
        """Mean over latent numbers of KL(q(z | x) || N(0, 1))."""
        nats = gaussian_kl(posterior.mean.float(), posterior.deviation, 0.0, 1.0)  # (B, C, G, G)
        if not self.config.free_bits:
            return nats.mean()
        channels = nats.mean(0).sum((1, 2))  # (C,)
        return channels.clamp_min(self.config.free_bits).sum() / nats[0].numel()

    def _read(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor | None]:
        """Losses of the prior; in the joint stage also the decoded nearest components."""
        if isinstance(self.prior, ExemplarPrior):
            drawn = self.decoder(_like_images(self.prior.own(batch), batch))
            return self._rehearsed(self.prior, batch), drawn
        mixture = self.mixture(batch.text, batch.styles, batch.generator, batch.picture)
        posterior = self._latents(batch)
        errors = (mixture.means - posterior.mean[:, None]).square()  # (B, M, C, G, G)
        distances = errors.mean((2, 3, 4))  # (B, M)
        nearest = distances.detach().argmin(1)  # (B,)
        rows = torch.arange(len(nearest), device=nearest.device)
        expected = errors[rows, nearest].detach() + posterior.deviation.square()  # (B, C, G, G)
        losses = {
            "prior": self._relaxed(distances, distances[rows, nearest]),
            "gate": F.cross_entropy(mixture.logits, nearest),
            "spread": self._spread(expected, mixture.deviation),
        }
        if self.stage(batch.progress) == "prior":
            return losses, None
        best = Posterior(mixture.component(nearest), posterior.deviation)
        return losses, self.decoder(_like_images(self._blurred(best, batch), batch))

    def _rehearsed(self, prior: ExemplarPrior, batch: Batch) -> dict[str, Tensor]:
        """``rehearsal``: how far as many exemplars of the model before are drawn from before."""
        if not self._before or not prior.kept_before:
            return {}
        count = len(batch.images)
        rows = torch.randint(prior.kept_before, (count,), generator=batch.generator,
                             device=batch.images.device)  # fmt: skip
        latents = _like_images(prior.latents(rows), batch)
        with torch.no_grad():
            before = self._before[0].to(latents.device)(latents)
        drawn = self.decoder(latents)
        return {"rehearsal": pyramid_loss(drawn, before) + edge_loss(drawn, before)}

    def mixture(
        self,
        text: TextFeatures,
        styles: Tensor,
        generator: torch.Generator | None = None,
        picture: ImageFeatures | None = None,
    ) -> Mixture | ExemplarMixture:
        """The prior p(latents | text) of B texts in ``(B,)`` int64 styles, -1 where unknown.

        Args:
            text: features of the texts.
            styles: styles of the pictures.
            generator: given in training, for the noise that is added to the text's vectors.
            picture: features of reference pictures.
        """
        if isinstance(self.prior, ExemplarPrior):
            return self.prior(text, styles)  # type: ignore[no-any-return]
        return self.prior(self.reader(text, styles, generator, picture))  # type: ignore[no-any-return]

    def _blurred(self, posterior: Posterior, batch: Batch) -> Tensor:
        """Samples of the posterior, or rounded latents (``fsq``), to train the decoder on."""
        if self.config.bottleneck == "fsq":
            return self.autoencoder.snap(posterior.mean)
        noise = normal_like(posterior.mean, batch.generator)
        return posterior.mean + posterior.deviation * noise

    def _relaxed(self, distances: Tensor, nearest: Tensor) -> Tensor:
        share = self.config.mode_share if self.config.modes > 1 else 0.0
        mixed = (1 - share) * nearest.mean() + share * distances.mean()
        return mixed / (2 * self.config.latent_noise**2)

    def _spread(self, expected: Tensor, deviation: Tensor) -> Tensor:
        """E over the posterior of -log N(latent; component, deviation^2), without its constant."""
        return (expected / (2 * deviation.square()) + deviation.log()).mean()

    def _picture_losses(self, drawn: Tensor, real: Tensor) -> dict[str, Tensor]:
        losses = {"pixels": pyramid_loss(drawn, real), "edges": edge_loss(drawn, real)}
        if self.config.structure:
            losses["structure"] = structure_loss(drawn.float(), real)
        if self.config.adversarial:
            losses["adversarial"] = -self.config.adversarial * self.critic(drawn).mean()
        return losses

    def _critic_loss(self, batch: Batch, stage: Stage) -> Tensor:
        """The critic's loss; zero in the prior stage, which decodes no pictures."""
        if stage == "prior":
            return torch.stack([p.sum() for p in self.critic.parameters()]).sum() * 0
        with torch.no_grad():
            drawn = (self._autoencode(batch) if stage == "autoencode" else self._read(batch))[1]
        assert drawn is not None
        return hinge(self.critic(batch.images), self.critic(drawn))

    def _latents(self, batch: Batch) -> Posterior:
        """The posterior of the frozen encoder, cached by picture."""
        auto = self.autoencoder
        if self.config.posterior == "fixed":
            mean = self._memory.recall(batch, auto.encode)
            deviation = 0.0 if self.config.bottleneck == "fsq" else self.config.latent_noise
            return Posterior(mean, mean.new_full((1, 1, 1, 1), deviation))
        both = self._memory.recall(batch, lambda images: torch.cat(auto.posterior(images), 1))
        return Posterior(*both.chunk(2, 1))

    @torch.no_grad()
    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """Reconstruction: ``psnr`` in dB, ``ssim``, and the use of the codebook."""
        drawn = self.reconstruct(batch.images)
        found = {"psnr": psnr(drawn, batch.images).mean()}
        if self.config.size >= 11:
            found["ssim"] = ssim(drawn, batch.images).mean()
        if self.config.bottleneck == "fsq":
            used, even = code_use(self.autoencoder.codes(batch.images), self.config.codebook_size)
            found |= {"codes_used": torch.tensor(used), "code_perplexity": torch.tensor(even)}
        return found

    # -- drawing ------------------------------------------------------------------------------

    def latents(self, request: SampleRequest) -> Tensor:
        """Mean + temperature * deviation * noise of each seed, ``(B, C, G, G)``."""
        mean, spread, noise = self._imagine(request)
        return mean + spread * noise

    def changed_latents(self, request: SampleRequest) -> Tensor:
        """The encoder's latents ``(B, C, G, G)``, interpolated linearly to those of the text."""
        own = self.autoencoder.encode(request.to(self._device).seen).float()
        share = request.strengths.to(own)
        return torch.where(share == 0, own, torch.lerp(own, self.latents(request), share))

    def search_start(self, request: SampleRequest) -> dict[str, Tensor]:
        """The likeliest latents, with those around the hole replaced by the encoder's.

        The code is their difference from the mean of the text's component, in its standard
        deviations; with exemplars, the coordinates on the principal axes of all exemplars. Each
        seed adds noise to the start.
        """
        assert request.known is not None
        known = request.known.to(self._device)
        latents = self.autoencoder.encode(known.filled).float()
        hole = known.cells(self.config.grid).expand_as(latents)
        if isinstance(self.prior, ExemplarPrior):
            pairs = zip(latents.flatten(1), ~hole.flatten(1), strict=True)
            code = torch.stack([self.prior.code.likeliest(*pair) for pair in pairs])
            state = {}
        else:
            mean, spread, _ = self._imagine(request)
            spread = spread.clamp_min(_LEAST_SPREAD).expand_as(mean)
            code = torch.where(hole, 0.0, (latents - mean) / spread)
            state = {"latents": mean, "spread": spread}
        noise = image_noise(request.seeds, tuple(code.shape[1:]), self._device)
        return {"code": code + _SEARCH_NOISE * noise, **state}

    def searched_latents(self, code: Tensor, state: dict[str, Tensor]) -> Tensor:
        """The latents ``(B, C, G, G)`` of a code."""
        if isinstance(self.prior, ExemplarPrior):
            return self.prior.code.vectors(code).view(-1, *self.prior.shape)
        return state["latents"] + state["spread"] * code

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents ``(B, C, G, G)`` to pictures ``(B, 3, S, S)``, which are not clamped."""
        if self.config.bottleneck == "fsq":
            latents = self.autoencoder.snap(latents)
        # Kernels for this layout give the same bits by any number of threads, and are no slower.
        drawn = self.decoder(latents.contiguous(memory_format=torch.channels_last))
        return drawn.contiguous()  # type: ignore[no-any-return]

    def finished(self, images: Tensor) -> Tensor:
        """Clamp to [-1, 1] and sharpen edges in ``sharpening_steps`` steps."""
        return sharpened(images.clamp(-1, 1), self.config.sharpening_steps)

    def _imagine(self, request: SampleRequest) -> tuple[Tensor, Tensor, Tensor]:
        """Sample a component per seed; returns it, its deviation at the temperature, and the noise.

        By default exemplars get no noise: it would be invisible (one level of 255), and without
        it, each exemplar is decoded only once for all seeds (:meth:`remember_pictures`).
        """
        c, request = self.config, request.to(self._device)
        factors = torch.tensor(request.values("temperature", 1.0), dtype=torch.float64)  # (B,)
        styles = choose_styles(request, c.styles)
        mixture = self.mixture(request.text, styles, picture=request.picture)
        heat = (factors * c.mode_temperature).float().to(self._device)
        mean = mixture.component(self._choose_modes(mixture.logits, request.seeds, heat))
        noise = image_noise(request.seeds, tuple(mean.shape[1:]), self._device)
        if isinstance(self.prior, ExemplarPrior):
            factors = torch.tensor(request.values("temperature", 0.0), dtype=torch.float64)
        cooled = (factors * c.temperature).float().to(self._device)
        return mean, cooled.view(-1, 1, 1, 1) * mixture.deviation, noise

    def _choose_modes(self, logits: Tensor, seeds: Sequence[int], temperature: Tensor) -> Tensor:
        """Each seed's component, ``(B,)`` int64, by the Gumbel-max trick (Maddison et al. 2014)."""
        uniform = torch.special.ndtr(image_noise(seeds, (logits.shape[1],), stream=_MODE_STREAM))
        gumbel = -(-uniform.clamp(1e-6, 1 - 1e-6).log()).log().to(logits.device)
        return torch.argmax(logits + temperature[:, None] * gumbel, 1)

    @torch.inference_mode()
    def interpolate(
        self,
        first: SampleRequest,
        second: SampleRequest,
        shares: Sequence[float],
        noise: Literal["spherical", "linear"] = "spherical",
    ) -> Tensor:
        """Interpolate between two requests.

        Means and deviations are interpolated linearly; the noise spherically (slerp, Shoemake
        1985), which keeps its norm, or linearly. Shares of 0 and 1 give exactly the pictures of
        :meth:`sample`.

        Args:
            first: requests of B pictures.
            second: the same for the other end.
            shares: S weights of the second in [0, 1].
            noise: kind of interpolation of the noise.

        Returns:
            ``(B, S, 3, H, W)`` in [-1, 1].

        Raises:
            UsageError: the requests differ in length, a share is outside [0, 1], or a request
                does not fit the model.
            CapabilityError: the family does not support an option of a request.
        """
        for request in (first, second):
            self.check(request)
        if len(first.seeds) != len(second.seeds):
            raise UsageError(
                f"cannot interpolate from {len(first.seeds)} to {len(second.seeds)} pictures; give "
                "equally many"
            )
        if not shares or not all(0 <= share <= 1 for share in shares):
            raise UsageError("the shares of an interpolation are one or more numbers in 0..1")
        rows = []
        for i in range(len(first.seeds)):
            a, b = self._imagine(first[[i]]), self._imagine(second[[i]])
            ways = (_straight, _straight, slerp if noise == "spherical" else _straight)
            for share in shares:
                mean, spread, drawn = (
                    way(x, y, share) for way, x, y in zip(ways, a, b, strict=True)
                )
                rows.append(self.render(mean + spread * drawn))
        pictures = torch.cat(rows).float().clamp(-1, 1)
        return pictures.view(len(first.seeds), len(shares), *pictures.shape[1:])

    # -- pictures in --------------------------------------------------------------------------

    @torch.inference_mode()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Encode and decode ``(B, 3, S, S)`` pictures in [-1, 1]; the same shape and range."""
        return self.decoder(self.autoencoder.encode(images)).clamp(-1, 1)  # type: ignore[no-any-return]

    @torch.inference_mode()
    def log_likelihood(
        self, images: Tensor, text: TextFeatures, styles: Tensor | None = None
    ) -> Tensor:
        """A lower bound of log p(picture | text), ``(B,)`` float32 in nats.

        The evidence lower bound of a picture of 256 values a number, under the decoder's
        discretised Laplace distribution (:func:`~limner.models.likelihood.pixel_log_likelihood`):
        an average over ``bound_samples`` fixed draws of the posterior, less its divergence from
        the text's mixture at temperature 1, which is itself bounded
        (:func:`~limner.models.likelihood.mixture_kl_bound`). With fsq the latent is certain, and
        the second term the mass that the mixture has in its cells. A picture's value does not
        depend on its batch.
        """
        if styles is None:
            styles = torch.full((len(images),), -1)
        bounds = []
        for i in range(len(images)):
            mixture = self.mixture(text[[i]].to(self._device), styles[[i]].to(self._device))
            bounds.append(self._bound(images[[i]].to(self._device), mixture))
        return torch.cat(bounds).float()

    def _bound(self, image: Tensor, mixture: Mixture | ExemplarMixture) -> Tensor:
        """The bound of one picture, ``(1,)`` float64."""
        auto, count = self.autoencoder, self.config.bound_samples
        posterior = auto.posterior(image)
        weights = mixture.logits.double().log_softmax(1)  # (1, M)
        mean, means = posterior.mean.double(), mixture.means.double()
        deviation = mixture.deviation.double()
        if auto.quantiser is not None:
            masses = cell_log_mass(mean, means[0], deviation, auto.quantiser.cells)
            prior = torch.logsumexp(weights + masses.flatten(1).sum(1), 1)  # (1,)
            return pixel_log_likelihood(auto.decode(posterior.mean), image) + prior
        nats = gaussian_kl(mean, posterior.deviation.double(), means[0], deviation)
        price = mixture_kl_bound(nats.flatten(1).sum(1)[None], weights)  # (1,)
        noise = image_noise([0], (count, *mean.shape[1:]), self._device, _BOUND_STREAM)[0]
        drawn = auto.decode(posterior.mean + posterior.deviation * noise)  # (K, 3, S, S)
        return pixel_log_likelihood(drawn, image.expand_as(drawn)).mean() - price


def slerp(first: Tensor, second: Tensor, share: float) -> Tensor:
    """The point at a share of the great circle between two rows ``(1, ...)`` (Shoemake 1985)."""
    a, b = first.flatten().double(), second.flatten().double()
    angle = torch.arccos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))
    if share in (0.0, 1.0) or float(angle.sin()) < 1e-6:
        return _straight(first, second, share)
    parts = (torch.sin((1 - share) * angle), torch.sin(share * angle))
    mixed = (parts[0] * first.double() + parts[1] * second.double()) / torch.sin(angle)
    return mixed.to(first.dtype)


def _straight(first: Tensor, second: Tensor, share: float) -> Tensor:
    if share in (0.0, 1.0):
        return second if share else first
    return torch.lerp(first, second, share)


def _like_images(latents: Tensor, batch: Batch) -> Tensor:
    """The latents in the memory layout of the pictures, which the convolutions prefer."""
    if batch.images.is_contiguous(memory_format=torch.channels_last):
        return latents.contiguous(memory_format=torch.channels_last)
    return latents
