"""``limner generate``, ``limner replay`` and ``limner info``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.cli import print_json, say
from limner.cli.options import (
    BaseUrlOption,
    CandidatesOption,
    DeviceOption,
    DrawingCommand,
    HubLoadOptions,
    JsonOption,
    ModelOption,
    PreferOption,
    QuietOption,
    ReferenceOption,
    RewriteOption,
    SigningOptions,
    ThreadsOption,
    UserOption,
    drawing_options,
    with_groups,
)
from limner.cli.output import (
    OutputOptions,
    QualityOption,
    drawing_progress,
)
from limner.errors import LimnerError, PromptError, UsageError
from limner.generation.formats import PictureFormat, format_of

if TYPE_CHECKING:
    from limner.generation.generator import Generator
    from limner.generation.lists import ListedPrompt
    from limner.generation.picture import Picture
    from limner.generation.requests import DrawRequest, RefusedPromptError
    from limner.modelinfo import ModelInfo
    from limner.text.rewrite import Rewriter, Rewritten

_Texts = Annotated[
    list[str] | None,
    typer.Argument(help="Texts in any language; one that ends in ', NAME style' picks a style."),
]
_Count = Annotated[
    int, typer.Option("--n", "-n", help="Pictures per prompt: seeds SEED, SEED+1, …")
]
_Seed = Annotated[
    int | None, typer.Option(help="Seed of each prompt's first picture [default: random].")
]
_Source = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Read one prompt a line, JSON lines, or a .csv with a header; - is stdin.",
    ),
]
_LISTS = (".txt", ".csv", ".jsonl")
_COLOURS = frozenset({
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey",
})  # fmt: skip
_LONGEST_SENTENCE = 15


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(cls=DrawingCommand)(with_groups(generate))
    app.command()(replay)
    app.command()(info)


@dataclass(frozen=True)
class _Prompts:
    """What is to be drawn: prompts of the command line, then those of a list."""

    given: list[str]
    listed: list[ListedPrompt]
    name: str = ""

    @property
    def lines(self) -> list[int | None]:
        """For each prompt the line of the list that it stood on."""
        return [None] * len(self.given) + [each.line for each in self.listed]

    def located(self, error: RefusedPromptError) -> PromptError:
        """The same refusal, naming the line where the prompt came from a list."""
        line = self.lines[error.index]
        return error if line is None else PromptError(f"line {line} of {self.name}: {error.reason}")

    def requests(
        self, generator: Generator, seed: int | None, options: dict[str, Any]
    ) -> list[str | DrawRequest]:
        """All prompts, those with a seed or settings of their own as requests.

        Raises:
            UsageError: the model cannot do what a line asks for.
        """
        from limner.generation.requests import DrawRequest
        from limner.models.settings import make_settings, seed_or_random

        found: list[str | DrawRequest] = [*self.given]
        common = make_settings(**options)
        for each in self.listed:
            if each.seed is None and not each.settings.given:
                found.append(each.text)
                continue
            try:
                generator.check_settings(common.model_copy(update=each.settings.given))
            except LimnerError as error:
                raise UsageError(f"line {each.line} of {self.name}: {error}") from error
            own = seed_or_random(seed if each.seed is None else each.seed)
            found.append(DrawRequest(each.text, own, each.settings))
        return found


@dataclass(frozen=True)
class ChoiceOptions:
    """How pictures are chosen among those that are drawn of a prompt."""

    best_of: Annotated[
        int | None,
        typer.Option(metavar="N", help="Draw N per prompt, and keep the --n with the best scores."),
    ] = None
    prefer: PreferOption = None
    candidates: CandidatesOption = None
    user: UserOption = None

    def check(self, n: int) -> None:
        """Refuse what does not fit together, ``n`` pictures of each prompt being kept.

        Raises:
            UsageError: so it is.
        """
        if self.prefer is None and (self.candidates is not None or self.user is not None):
            raise UsageError("--candidates and --user go with --prefer FILE")
        if self.prefer is not None and self.best_of is not None:
            raise UsageError("--best-of and --prefer both choose among pictures: give one of them")
        if self.best_of is not None and self.best_of < n:
            few = f"--best-of {self.best_of} is less than --n {n}"
            raise UsageError(f"{few}: draw at least as many as kept")

    def of(
        self, n: int, device: str
    ) -> tuple[Callable[[Iterator[Picture]], Iterator[Picture]], int]:
        """What keeps the ``n`` best pictures of each prompt, and how many of it are drawn."""
        if self.prefer is not None:
            from limner.improve.feedback import load_preferences
            from limner.improve.preferred import best_liked, candidates_of

            head = load_preferences(self.prefer)
            drawn = candidates_of(n, self.candidates)
            return partial(best_liked, head=head, n=n, user=self.user), drawn
        if self.best_of is None:
            return iter, n
        from limner.improve.choosing import chosen
        from limner.improve.scoring import load_scorer

        return partial(chosen, count=n, scores=load_scorer(device=device).totals), self.best_of


def generate(
    context: typer.Context,
    *,
    prompts: _Texts = None,
    n: _Count = 1,
    seed: _Seed = None,
    choice: ChoiceOptions,
    reference: ReferenceOption = None,
    rewrite: RewriteOption = None,
    base_url: BaseUrlOption = None,
    files: OutputOptions,
    grid: Annotated[bool, typer.Option("--grid", help="Put all on one contact sheet.")] = False,
    captions: Annotated[
        bool, typer.Option("--captions", help="Put each prompt below its picture on the sheet.")
    ] = False,
    as_json: JsonOption = False,
    source: _Source = None,
    signing: SigningOptions,
    use: HubLoadOptions,
    quiet: QuietOption = False,
) -> None:
    """Generate pictures from text.

    Writes files and prints their names. Without --out each file is named after its prompt and
    seed, in the current folder, and no file is overwritten. A refused prompt is reported on
    stderr, the others are drawn, and the exit code is 2. With --rewrite, the rewritten prompts are
    printed there, too.
    """
    choice.check(n)
    asked = _read_prompts(prompts or [], source)
    total = len(asked.lines) * n
    options = drawing_options(context)
    output = files.output(total, grid=grid, captions=captions)
    if (signer := signing.signer()) is not None:
        signer.check_kind(output.kind)
        output = replace(output, signer=signer)
    if output.kind is PictureFormat.JPEG and options["transparent"]:
        raise UsageError("JPEG has no transparency: choose --format png, webp, svg or ico")
    if output.kind is PictureFormat.ICO and options["size"] is not None:
        from limner.generation.ico import check_side

        check_side(options["size"], options["size"])
    if source is None:
        _hint_at_quotes(asked.given)
    rewriter = _rewriter_of(rewrite, base_url, use.device)
    # torch takes a second to import: bad options and prompt files are answered before it.
    generator = use.load()
    refused: list[RefusedPromptError] = []

    def refuse(error: RefusedPromptError) -> None:
        refused.append(error)
        say("error", asked.located(error))

    requests = asked.requests(generator, seed, options)
    best, each = choice.of(n, use.device)
    with drawing_progress(use.spec, len(requests) * each, quiet=quiet) as on_progress:
        stream = generator.stream(
            requests, n=each, seed=seed, reference=reference, rewrite=rewriter,
            on_refused=refuse, on_progress=on_progress, **options,
        )  # fmt: skip
        entries = output.told(best(stream), asked.lines, as_json=as_json)
    if as_json:
        print_json(entries)
    if refused:
        raise typer.Exit(2)


class _Told:
    """A rewriter that says on stderr what it makes of each prompt."""

    def __init__(self, rewriter: Rewriter) -> None:
        self._rewriter, self.spec = rewriter, rewriter.spec

    def rewrite(self, prompt: str) -> Rewritten:
        found = self._rewriter.rewrite(prompt)
        if found.prompt != prompt:
            say("note", f"{prompt!r} is drawn as {found.prompt!r}, rewritten by {self.spec}")
        return found


def _rewriter_of(spec: str | None, base_url: str | None, device: str) -> Rewriter | None:
    """What ``--rewrite`` names; None where it is not given."""
    if spec is None:
        if base_url is not None:
            raise UsageError("--base-url is the address of --rewrite openai:MODEL; give both")
        return None
    from limner.text.rewrite import load_rewriter

    if spec.startswith("hf:"):
        from limner.loading import choose_device

        device = choose_device(device)
    return _Told(load_rewriter(spec, base_url=base_url, device=device))


def _hint_at_quotes(prompts: list[str]) -> None:
    """Say how quotes are used where several one-word prompts read as one sentence."""
    from limner.text.lexicon import LATIN

    words = [prompt.lower() for prompt in prompts]
    small = LATIN["en"].stops.union(*(each.stops for each in LATIN.values()), _COLOURS)
    if 1 < len(words) < _LONGEST_SENTENCE and all(map(str.isalpha, words)) and small & {*words}:
        say(
            "hint",
            f"each of the {len(words)} words is drawn as a prompt of its own; "
            f'for one picture write: limner generate "{" ".join(prompts)}"',
        )


def _read_prompts(given: list[str], source: str | None) -> _Prompts:
    from limner.generation.lists import read_list, read_source, source_name

    if "-" in given:
        raise UsageError("'-' is no prompt: to read prompts from standard input give --from -")
    for text in given:
        if text.endswith(_LISTS) and Path(text).is_file():
            say("hint", f"{text!r} is drawn as words; for the prompts in it give --from {text}")
    listed: list[ListedPrompt] = []
    name = ""
    if source is not None:
        name = source_name(source)
        listed = read_list(read_source(source), name)
        if not listed:
            raise UsageError(f"there is no prompt in {name}: put one on each line")
    if not given and not listed:
        raise UsageError('there is nothing to draw: give a prompt, as in: limner generate "a cat"')
    return _Prompts(given, listed, name)


def replay(
    picture: Annotated[Path, typer.Argument(help="A picture that limner drew.")],
    out: Annotated[
        Path,
        typer.Option(
            help="Where to write it again (.png, .webp, .jpg, .svg, .ico; .gif of a GIF)."
        ),
    ],
    *,
    quality: QualityOption = None,
    reference: ReferenceOption = None,
    model: ModelOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Draw a picture or sheet again, bit for bit, from its record.

    So are the animations of the server, frame by frame.
    """
    if out.suffix.lower() != ".gif":
        format_of(out)
    from limner.generation.replay import check_output, redraw_file

    check_output(picture, out)
    drawn = redraw_file(picture, model, device=device, threads=threads, reference=reference)
    same = drawn.same_as(picture)
    print(drawn.write(out, quality=quality))
    if not same:
        say(
            "warning",
            f"the pixels differ from those of {picture}: it was edited since, or drawn by "
            f"another version of limner or torch, or on another processor",
        )


def info(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="Model file, run folder or name of a shipped model [default: the shipped model]."
        ),
    ] = None,
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the model card.")] = False,
) -> None:
    """Show a model file's data, licences, training and quality."""
    from limner.modelinfo import read_info
    from limner.shipped import find_model
    from limner.tensorfile import count_parameters, file_hash

    path = find_model(model)
    card = read_info(path)
    count, kind, size = count_parameters(path), file_hash(path), path.stat().st_size
    if as_json:
        facts = {"path": str(path), "hash": kind, "bytes": size, "parameters": count}
        print_json(facts | card.model_dump(mode="json"))
        return
    if markdown:
        from limner.generation.card import markdown_card

        print(markdown_card(path.stem, card, {"parameters": count, "hash": kind, "bytes": size}))
        return
    print(f"{path.name}: {card.family}, {count / 1e6:.2f} M parameters, {size / 1e6:.1f} MB")
    for name, value in [("hash", kind), *_card_rows(card)]:
        print(f"  {name:<10} {value}")
    print("  the recipe and every figure: limner info --json")


def _card_rows(card: ModelInfo) -> Iterator[tuple[str, str]]:
    side = card.config.get("size", "?")
    yield "size", f"{side} x {side} pixels"
    yield "styles", ", ".join(card.config.get("styles", ())) or "none"
    yield "encoder", f"{card.encoder} ({card.encoder_fingerprint})"
    if card.tuning:
        yield "tuned", _plain(card.tuning)
    if card.image_encoder:
        yield "image", f"{card.image_encoder} ({card.image_encoder_fingerprint})"
    if card.defaults:
        yield "defaults", _plain(card.defaults).strip("{}")
    known = ", ".join(f"{len(names)} {lang}" for lang, names in card.concepts.items() if names)
    yield "concepts", known or "not stated"
    training = {k: v for k, v in card.training.items() if k not in {"recipe", "history"}}
    for name, facts in (
        ("data", card.data),
        ("licences", card.licences),
        ("training", training),
        ("quality", card.quality),
    ):
        lines = [f"{key}: {_plain(v)}" for key, v in facts.items()]
        if name == "licences" and lines:
            yield from ((name if i == 0 else "", line) for i, line in enumerate(lines))
        else:
            yield name, "; ".join(lines) or "not stated"
    yield "written by", f"limner {card.limner}"


def _plain(value: Any) -> str:
    """A figure, or a nested table of figures, on one line."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} {_plain(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return f"{len(value)} entries" if len(value) > 8 else ", ".join(map(_plain, value))
    return str(value)
