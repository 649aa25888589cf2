"""Drawings that join, leave and are looked at while others are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limner.errors import LimnerError, PromptError, UsageError
from limner.generation.generator import Generator, load
from limner.generation.partial_drawing import Numbered, Seeded
from limner.generation.request_reader import Job
from limner.generation.requests import DrawRequest
from limner.generation.session import Drawing, DrawingSession
from limner.modelinfo import ModelInfo
from limner.models.base import build
from limner.models.settings import Capability, Settings
from limner.text import load_encoder
from limner.vision.base import ImageFeatures
from limner.vision.pixels import to_images
from tiny_models import STYLES, TINY, save_tiny

PROMPTS = ["a red heart", "一只可爱的小狗", "a very large green apple on a small round table"]


def job_of(generator: Generator, request: DrawRequest) -> Job:
    (job,) = generator.jobs([request])
    assert isinstance(job, Job)
    return job


def requests_of(generator: Generator) -> list[DrawRequest]:
    """Of different lengths, seeds and, where the family has them, steps and guidance."""
    can = generator.model.capabilities
    options = [
        {}, {"steps": 5} if Capability.STEPS in can else {},
        {"guidance": 3.0, "negative": "blue"} if Capability.GUIDANCE in can else {},
    ]  # fmt: skip
    return [
        DrawRequest(prompt, seed, Settings(**option))
        for seed, (prompt, option) in enumerate(zip(PROMPTS, options, strict=True))
    ]


def alone(generator: Generator, request: DrawRequest) -> bytes:
    return next(generator.stream([request])).image.tobytes()


def finish(generator: Generator, session: DrawingSession, jobs: dict[int, Job]) -> dict[int, bytes]:
    """Advance until all are drawn; the pictures by the number of their drawing."""
    found = {}
    while not session.idle:
        for drawing in session.advance():
            for number, job in jobs.items():
                if job.drawing is drawing:
                    found[number] = generator.finished(job).image.tobytes()
    return found


@pytest.mark.parametrize("tile", [1, 3, None])
def test_drawings_that_join_later_have_the_bits_they_have_alone(model_path, tile):
    generator = load(model_path, tile=tile)
    requests = requests_of(generator)
    expected = {n: alone(generator, request) for n, request in enumerate(requests)}
    assert len(set(expected.values())) == len(expected)
    session, found, jobs = generator.session(), {}, {}
    for number, request in enumerate(requests):
        jobs[number] = job_of(generator, request)
        session.add(jobs[number].drawing)
        if number < 2:
            for drawing in session.advance():
                done = next(n for n, job in jobs.items() if job.drawing is drawing)
                found[done] = generator.finished(jobs[done]).image.tobytes()
    assert found | finish(generator, session, jobs) == expected


def test_dropped_drawings_leave_the_others_as_they_are(generator):
    requests = requests_of(generator)
    jobs = {n: job_of(generator, request) for n, request in enumerate(requests)}
    session = generator.session()
    for job in jobs.values():
        session.add(job.drawing)
    session.drop(jobs[0].drawing)
    drawn = session.advance(1)
    early = {number for number, job in jobs.items() if job.drawing in drawn}
    if 1 not in early:
        session.drop(jobs[1].drawing)
    session.drop(jobs[0].drawing)
    found = finish(generator, session, jobs)
    assert jobs[0].drawing.image is None
    assert set(found) == ({2} - early)
    last = generator.finished(jobs[2]).image.tobytes()
    assert last == alone(generator, requests[2])


@pytest.mark.parametrize("tile", [1, 2])
def test_the_right_one_of_drawings_of_one_seed_is_dropped(model_path, tile):
    generator = load(model_path, tile=tile)
    requests = [DrawRequest(prompt, 7) for prompt in PROMPTS]
    jobs = {n: job_of(generator, request) for n, request in enumerate(requests)}
    session = generator.session()
    for job in jobs.values():
        session.add(job.drawing)
        session.add(job_of(generator, job.request).drawing)
    session._begin()  # rows of all, none of them evaluated
    session.drop(jobs[1].drawing)
    assert set(finish(generator, session, jobs)) == {0, 2}


def test_drawings_with_and_without_a_reference_picture_are_begun_apart():
    fusion = {"kind": "concat", "image_dim": 6, "max_tokens": 2}
    config = {"size": 32, "text_dim": 384, "styles": STYLES, **TINY["flow"], "fusion": fusion}
    torch.manual_seed(0)
    model = build("flow", config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    encoder = load_encoder("e5-small", cache=False)
    info = ModelInfo(
        family="flow", config=model.config.model_dump(mode="json"), encoder=encoder.spec,
        encoder_fingerprint=encoder.fingerprint,
    )  # fmt: skip
    generator = Generator(model, info, encoder, tile=2)

    def jobs() -> dict[int, Job]:
        found = {n: job_of(generator, DrawRequest("a cat", 7)) for n in range(4)}
        for n in (1, 3):  # after two pictures
            seen = torch.Generator().manual_seed(n)
            found[n].drawing.reference = ImageFeatures(
                torch.randn(1, 2, 6, generator=seen), torch.randn(1, 6, generator=seen)
            )
        return found

    def drawn(some: dict[int, Job]) -> dict[int, bytes]:
        session = generator.session()
        for job in some.values():
            session.add(job.drawing)
        return finish(generator, session, some)

    single = {n: drawn({n: job})[n] for n, job in jobs().items()}
    assert single[0] == single[2] and len(set(single.values())) == 3
    assert drawn(jobs()) == single


def test_users_of_a_limited_advance_take_turns(tmp_path):
    generator = load(save_tiny(tmp_path / "flow.safetensors", "flow"), tile=1)
    jobs = {n: job_of(generator, DrawRequest("a cat", n)) for n in range(3)}
    session = generator.session()
    for job in jobs.values():
        session.add(job.drawing)
    order = []
    while not session.idle:
        drawn = session.advance(1)
        order += [n for n, job in jobs.items() if job.drawing in drawn]
        shares = [session.progress(job.drawing) for job in jobs.values()]
        if not order:
            assert max(shares) - min(shares) < 0.5
    assert sorted(order) == [0, 1, 2]


def test_a_limited_advance_evaluates_the_tiles_that_waited_longest(tmp_path):
    generator = load(save_tiny(tmp_path / "flow.safetensors", "flow"), tile=1)
    together = generator.model.most_together
    jobs = [job_of(generator, DrawRequest("a cat", n)) for n in range(2 * together + 1)]
    session = generator.session()
    for job in jobs:
        session.add(job.drawing)
    begun = []
    for wanted in ([together], [together], [1]):
        session.advance(1)
        assert session.evaluated == wanted
        begun.append([session.share_drawn(job.drawing) > 0 for job in jobs])
    counts = [sum(each) for each in begun]
    assert counts == [together, 2 * together, 2 * together + 1]
    session.advance(together + 1)
    assert session.evaluated == [together, together], "a tile is whole"
    while not session.idle:
        session.advance()
    assert {session.share_drawn(job.drawing) for job in jobs} == {1.0}
    assert {session.progress(job.drawing) for job in jobs} == {0.0}, "nothing is drawn of them now"


def test_further_parts_of_a_picture_are_finished_under_their_own_numbers(tmp_path):
    """A scene that asks for two parts and then for two more: they are parts 0, 1, and 5, 6."""
    generator = load(save_tiny(tmp_path / "flow.safetensors", "flow"))
    text, made = generator.encoder.encode(["a cat", "a dog"]), []

    def steps():
        first = yield Seeded(text, [3, None])
        second = yield Numbered(text, 5)
        assert len(first) == len(second) == 2
        return second[1]

    def finish(pixels, own, part, seed):
        made.append((part, seed, own.pooled.tolist()))
        return to_images(pixels[None])[0], None

    drawing = Drawing(steps(), 9, Settings(), finish)
    session = generator.session()
    session.add(drawing)
    while not session.idle:
        session.advance()
    vectors = [row[None].tolist() for row in text.pooled]
    assert sorted(made) == sorted([
        (0, 3, vectors[0]), (1, 9, vectors[1]), (5, 9, vectors[0]), (6, 9, vectors[1])
    ])  # fmt: skip
    assert drawing.image is not None


def test_previews_approach_the_picture(tmp_path):
    generator = load(save_tiny(tmp_path / "flow.safetensors", "flow"))
    request = DrawRequest("a cat", 3, Settings(steps=8))
    job = job_of(generator, request)
    session = generator.session()
    session.add(job.drawing)
    looks = []
    while not session.advance():
        (image,) = session.preview(job.drawing)
        looks.append(np.asarray(image, np.float64))
    final = np.asarray(generator.finished(job).image, np.float64)
    errors = [float(np.abs(look - final).mean()) for look in looks]
    assert len(errors) > 4
    assert errors[-1] < errors[0]
    assert session.progress(job.drawing) == 0
    assert session.preview(job.drawing) == []


def test_what_is_refused_is_said_for_its_own_request(generator):
    wrong = [
        DrawRequest("a cat", 1), DrawRequest("", 1), DrawRequest("a cat", -1),
        DrawRequest("a dog", 2), DrawRequest("a cat", 1, Settings(style="no such style")),
    ]  # fmt: skip
    found = generator.jobs(wrong)
    assert [isinstance(each, Job) for each in found] == [True, False, False, True, False]
    assert isinstance(found[1], PromptError)
    assert isinstance(found[2], UsageError)
    assert isinstance(found[4], LimnerError)
    assert "prompt 2" not in str(found[1])
