"""State that the routes share: models with their batcher, access control, finished pictures."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from PIL import Image
from starlette.requests import HTTPConnection, Request

from limner.errors import DataError, LimnerError, UsageError
from limner.generation.explaining import NearPicture
from limner.generation.inpainting import MaskedPicture, mask_of, read_pixels
from limner.generation.picture import Picture
from limner.generation.provenance import ContentSigner
from limner.generation.records import Record, read_record
from limner.generation.references import SeenReference
from limner.generation.requests import DrawRequest
from limner.generation.restoring import Restored
from limner.generation.source_pictures import SourcePicture
from limner.serving.batcher import Batcher
from limner.serving.capacity import workers_for
from limner.serving.categories import Stage
from limner.serving.connections import unless_gone
from limner.serving.errors import ApiError, of_limner
from limner.serving.gallery import Gallery
from limner.serving.keys import user_with
from limner.serving.logs import request_facts
from limner.serving.metrics import Metrics
from limner.serving.model_runner import ModelRunner
from limner.serving.models import Models, ModelVersion, ServedModel
from limner.serving.moderation import Flag, Moderator, flags_as_json
from limner.serving.pictures import PictureLinks
from limner.serving.quotas import Limited, Quotas
from limner.serving.reader import Reader, read_file
from limner.serving.settings import ServerSettings
from limner.serving.tasks import Task
from limner.serving.wire import Asked, OutputFormat
from limner.serving.workers import Worker
from limner.text.rewrite import load_rewriter
from limner.threads import usable_cpus

_log = logging.getLogger(__name__)
MOST_EDITED_PIXELS = 4096 * 4096
_ADMIN = "admin"
"""The user who may reload models."""


class SentPicture(NamedTuple):
    """An uploaded picture: its features as a reference, and its moderation flags.

    The reference is None for a picture that is edited rather than used as a reference.
    """

    reference: SeenReference | None
    flags: tuple[Flag, ...]


class Server:
    """State that the routes share.

    Args:
        models: the served models.
        settings: settings of the server.
        gallery: stores the pictures; None to store none.
        moderator: flags or refuses prompts and pictures; None for no moderation.
        signer: signs the files in responses; None for unsigned files.

    Attributes:
        batcher: queues and executes requests.
        reader: captioner, aligner and index.
        links: finished pictures by their addresses.
        metrics: what ``/metrics`` reports.
        quotas: what each API key has left.
        rewriter: rewrites prompts on request.
    """

    def __init__(
        self,
        models: Models,
        settings: ServerSettings,
        gallery: Gallery | None = None,
        moderator: Moderator | None = None,
        signer: ContentSigner | None = None,
    ) -> None:
        self.moderator, self.signer = moderator or Moderator(), signer
        self.models, self.settings, self.gallery = models, settings, gallery
        self._reloading = threading.Lock()
        self.rewriter = load_rewriter(
            settings.rewriter, base_url=settings.base_url, device=settings.device
        )
        self.quotas = Quotas(settings.keys, None if gallery is None else gallery.spend)
        self.links = PictureLinks(settings.link_seconds)
        self.reader = Reader(settings.index, settings.preferences)
        self.metrics = Metrics(lambda: self.batcher.waiting, lambda: self.batcher.drawing)
        runners = _model_runners(models, settings, self.reader)
        self.batcher = Batcher(
            models, runners, self.metrics, memory=settings.memory,
            most_waiting=settings.most_waiting, most_seconds=settings.most_seconds,
        )  # fmt: skip

    def check(self, model: ServedModel, request: DrawRequest) -> tuple[Flag, ...]:
        """Check the options of a request against the model, and moderate its prompt.

        Returns:
            The prompt's flags.
        """
        model.check_options(request.settings)
        return self.check_prompt("; ".join((request.prompt, *request.edits)))

    def check_prompt(self, prompt: str) -> tuple[Flag, ...]:
        """Moderate a prompt; returns its flags."""
        self.note_prompt(prompt)
        return self._counted(self.moderator.check_prompt(prompt))

    async def rewritten(self, model: ServedModel, asked: Asked) -> tuple[Asked, tuple[Flag, ...]]:
        """A request with its prompt rewritten, if it asks for that.

        The given prompt is moderated before a language model sees it; the rewritten one is
        moderated like any other, by :meth:`check`.

        Returns:
            The request, and the flags of the given prompt.

        Raises:
            ApiError: the prompt or an option is refused, or the rewriter fails.
        """
        if not asked.rewrite:
            return asked, ()
        flags = self.check(model, asked.requests[0])
        try:
            return await asyncio.to_thread(asked.rewritten, self.rewriter), flags
        except LimnerError as error:
            raise of_limner(error) from error

    def see(self, model: ServedModel, file: BinaryIO) -> SentPicture:
        """What a model draws after in a picture that a client sent; refuses by moderation."""
        image = model.read(file)
        flags = self._counted(self.moderator.check_picture(image, Stage.INPUT))
        return SentPicture(model.outline.look(image), flags)

    def see_source(
        self, model: ServedModel, file: BinaryIO
    ) -> tuple[SourcePicture, tuple[Flag, ...]]:
        """A picture that a client sent to be changed, and its flags; refuses by moderation."""
        flags = self._counted(self.moderator.check_picture(model.read(file), Stage.INPUT))
        return self.source(file), flags

    def see_record(self, model: ServedModel, file: BinaryIO) -> tuple[Record, tuple[Flag, ...]]:
        """The record of a picture that a client sent, and its flags; refuses by moderation.

        Raises:
            ApiError: it has none, or another model drew it.
        """
        flags = self._counted(self.moderator.check_picture(model.read(file), Stage.INPUT))
        file.seek(0)
        try:
            record = read_record(Path("the picture"), file)
            if record.model != model.outline.hash:
                raise DataError(
                    f"the picture was drawn by model {record.model}, not {model.name}",
                    code="drawn_by_another_model",
                )
            if record.member is not None:
                raise DataError("the picture is of a set, which limner edit --say can change")
        except DataError as error:
            code = error.code or "invalid_image"
            raise ApiError(400, str(error), param="image", code=code) from error
        return record, flags

    def source(self, file: BinaryIO, keeps_style: bool = False) -> SourcePicture:
        """A picture to be changed, which was seen already."""
        pixels = read_pixels(read_file(file), MOST_EDITED_PIXELS)
        return SourcePicture.open(Image.fromarray(pixels), keeps_style=keeps_style)

    def see_masked(
        self, model: ServedModel, file: BinaryIO, masks: Sequence[BinaryIO]
    ) -> tuple[MaskedPicture, tuple[Flag, ...]]:
        """A picture that a client sent with its mask, to be drawn into; refuses by moderation.

        Returns:
            Both, and what the picture is flagged for.

        Raises:
            ApiError: one of them cannot be read, is too large, or they do not fit together.
        """
        if len(masks) > 1:
            raise ApiError(400, "send one mask", param="mask", code="too_many_images")
        flags = self._counted(self.moderator.check_picture(model.read(file), Stage.INPUT))
        pixels = read_pixels(read_file(file), MOST_EDITED_PIXELS)
        try:
            mask = Image.fromarray(read_pixels(read_file(masks[0]), MOST_EDITED_PIXELS))
            return MaskedPicture(pixels, mask_of(mask)), flags
        except DataError as error:
            why = f"the mask is refused: {error}"
            raise ApiError(400, why, param="mask", code="invalid_image") from error
        except UsageError as error:
            raise of_limner(error, "mask") from error

    def check_drawn(self, frames: Sequence[Picture | Restored | NearPicture]) -> tuple[Flag, ...]:
        """What the frames of a picture are flagged for; refuses by moderation."""
        found = [self.moderator.check_picture(each.image, Stage.OUTPUT) for each in frames]
        return self._counted(tuple(dict.fromkeys(flag for flags in found for flag in flags)))

    def _counted(self, flags: tuple[Flag, ...]) -> tuple[Flag, ...]:
        for flag in flags:
            self.metrics.flagged(*flag)
        return flags

    def keep(
        self,
        picture: Picture,
        file: bytes,
        kind: OutputFormat,
        user: str,
        *,
        size: tuple[int, int],
        score: float | None = None,
        flags: Sequence[Flag] = (),
    ) -> str | None:
        """Put a picture into the gallery; its id, None where it is kept nowhere."""
        if self.gallery is None:
            return None
        scores = None if score is None else {"aligner": score}
        try:
            row = self.gallery.add(
                picture, file, kind, user, size=size, scores=scores,
                flags=flags_as_json(flags),
            )  # fmt: skip
            return row.id
        except LimnerError as error:  # the response does not depend on it
            _log.error("a picture is not in the gallery: %s", error)
            return None

    def link(self, file: bytes, name: str | None, asked: Asked) -> str:
        """Name of a temporary address of a file: in the gallery if it is there, else in memory."""
        if self.gallery is None or name is None:
            return self.links.add(file, asked.format)
        return self.gallery.links.name(name, f".{asked.format}", self.settings.link_seconds)

    def tidy(self) -> None:
        """Remove leftovers of killed processes and expired pictures from the gallery."""
        if self.gallery is None:
            return
        try:
            self.gallery.sweep()
            self.gallery.prune(
                keep_days=self.settings.keep_days, keep_bytes=self.settings.keep_bytes
            )
        except (LimnerError, OSError) as error:
            _log.error("the gallery could not be tidied: %s", error)

    async def perform(self, request: Request, user: str, model: ServedModel, task: Task) -> Any:
        """Run a task with a served model, see :mod:`limner.serving.tasks`.

        Args:
            request: the HTTP request; the task is cancelled if its client disconnects.
            user: the client's user.
            model: the model to use.
            task: the task.

        Raises:
            ApiError: there are too many tasks, or it was refused, timed out or failed.
        """
        ticket = self.batcher.perform(model, task, user)
        cancel = partial(self.batcher.cancel, ticket)
        return await unless_gone(request, self.batcher.outcome(ticket), cancel)

    def answered(self, model: str, kind: str) -> None:
        """Count a picture in the current response, see :class:`Metrics`."""
        self.metrics.answered(model, kind)
        request_facts().pictures += 1

    def note_prompt(self, prompt: str) -> None:
        """Add a prompt to the log line of the current request, if prompts are logged."""
        if self.settings.log_prompts:
            request_facts().prompts.append(prompt)

    def reload(self, model: ServedModel) -> bool:
        """Reload a model from its file; False if the file has not changed.

        The file is loaded while the old version is still served; earlier requests are finished
        with the old version.

        Raises:
            ModelFileError: the file cannot be loaded; the old version stays.
            UsageError: the model has no file.
        """
        path = model.outline.source
        if path is None:
            raise UsageError(f"the model {model.name!r} has no file to be loaded again")
        with self._reloading:
            version = ModelVersion.read(path)
            if version.outline.hash == model.outline.hash:
                return False
            self.batcher.load(version).result()
            self.batcher.replace(model, version)
            return True

    def reload_all(self) -> None:
        """:meth:`reload` every model, and log the results."""
        for name, model in self.models.served.items():
            try:
                if self.reload(model):
                    _log.info("%s was reloaded, %s", name, model.outline.hash)
            except LimnerError as error:
                _log.error("%s could not be reloaded: %s", name, error)

    def check_admin(self, request: HTTPConnection) -> None:
        """Refuse requests of users other than ``admin``.

        Raises:
            ApiError: 403, or 401 without a valid key.
        """
        if not self.settings.keys or self.user_of(request) != _ADMIN:
            raise ApiError(403, f"only the key of the user {_ADMIN!r} may do that",
                           code="permission_denied")  # fmt: skip

    def user_of(self, request: HTTPConnection, key: str = "") -> str:
        """The user of a request: the name of its API key, or its IP address without keys.

        Args:
            request: a request with the key in its ``Authorization`` header.
            key: the key, for browsers that cannot send that header.

        Raises:
            ApiError: 401, if keys are required and it has none of them.
        """
        user = request_facts().user = self._user_of(request, key)
        return user

    def _user_of(self, request: HTTPConnection, key: str) -> str:
        if not self.settings.keys:
            return request.client.host if request.client else ""
        user = user_with(self.settings.keys, request.headers.get("authorization", ""), key)
        if user is None:
            raise ApiError(
                401, "give a key of this server: Authorization: Bearer KEY", code="invalid_api_key"
            )
        return user

    async def spend(self, user: str, what: Limited, amount: int = 1) -> None:
        """Charge a user's quota, see :meth:`Quotas.spend`."""
        if self.quotas.limit(user, what) is None:
            return
        try:
            await asyncio.to_thread(self.quotas.spend, user, what, amount)
        except LimnerError as error:
            raise of_limner(error) from error


def _model_runners(
    models: Models, settings: ServerSettings, reader: Reader
) -> list[ModelRunner] | list[Worker]:
    """The model runner of this process, or worker processes."""
    count = workers_for(models, settings)
    if count == 1:
        runner = ModelRunner(
            models.given, device=settings.device, threads=settings.threads,
            scorer=lambda: reader.scorer,
        )  # fmt: skip
        return [runner]
    threads = settings.threads or max(1, usable_cpus() // count)
    return [Worker(settings.device, threads, settings.log_format) for _ in range(count)]
