"""``limner text``: how a prompt is understood, and word vectors of a store's captions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.cli import print_json
from limner.cli.options import JsonOption
from limner.text import DEFAULT_ENCODER

if TYPE_CHECKING:
    from limner.text.base import TextEncoder

_EVERYDAY = (
    "red heart,cat,dog,pizza,house,tree,sun,moon,rocket,apple,banana,car,bicycle,clock,fish,"
    "flower,umbrella,smiling face,crying face,soccer ball,sunset,star,bird,boat,cup,person"
)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(
        help="See how a prompt is understood; train word vectors.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for command in (show, vectors):
        group.command()(command)
    app.add_typer(group, name="text")


def show(
    prompt: Annotated[str, typer.Argument(help="Any text, in any language.")],
    encoder: Annotated[
        str, typer.Option(help="e5-small, hf:PATH_OR_ID or vectors:PATH.")
    ] = DEFAULT_ENCODER,
    among: Annotated[str, typer.Option(help="Comma-separated words to compare with.")] = _EVERYDAY,
    as_json: JsonOption = False,
) -> None:
    """Print what a prompt asks for, its tokens and its plan.

    Words that only ask for a picture, or say how its file should look, are removed first. Each
    token is shown with the words nearest to it. The plan shows what a model that composes scenes
    draws: the things, their numbers, colours and places, and the background.
    """
    from limner.errors import UsageError
    from limner.generation.glossed_prompts import glossed
    from limner.text import load_encoder
    from limner.text.request_words import what_is_asked

    words = [word.strip() for word in among.split(",") if word.strip()]
    if not words:
        raise UsageError("--among names no words; separate them by commas")
    loaded = load_encoder(encoder)
    asked, transparent = what_is_asked(prompt)
    rows = _nearest(loaded, asked, words)
    plan = _plan(loaded, asked)
    if plan is not None and transparent:
        plan["background"] = "transparent"
    if as_json:
        found = {"encoder": loaded.spec, "asks": asked, "tokens": rows, "plan": plan}
        print_json(found, indent=None)
        return
    for row in rows:
        near = ", ".join(f"{name} {value:.2f}" for name, value in row["nearest"].items())
        typer.echo(f"{row['kind']:<9}{row['text']}  ({near})")
    if asked != prompt:
        typer.echo(f"asks     {asked}")
    if (said := glossed(asked, None)) != asked:
        typer.echo(f"reads    {said}")
    if plan is None:
        typer.echo(f"no plan: the planner reads with another encoder than {loaded.spec}")
        return
    for thing in plan["things"]:
        facts = [str(thing[key]) for key in ("size", "colour") if thing[key]]
        typer.echo(f"draws    {thing['count']} x {', '.join([thing['words'], *facts])}")
    if plan["relation"]:
        typer.echo(f"place    the first is {_PLACES[plan['relation']]} the second")
    for first, relation, second in plan["links"]:
        typer.echo(f"place    {first}: {relation} {second}")
    if plan["setting"]:
        typer.echo(f"where    {', '.join(plan['setting'])}")
    typer.echo(f"behind   {plan['background']}")


_PLACES = {"left": "left of", "right": "right of", "above": "above", "below": "below"}


def _plan(encoder: TextEncoder, prompt: str) -> dict[str, Any] | None:
    """What the planner reads in a prompt; None where it cannot read with this encoder."""
    from limner.errors import UsageError
    from limner.generation.glossed_prompts import glossed
    from limner.generation.scene_planning import ScenePlanner

    try:
        planner = ScenePlanner(encoder)
    except UsageError:
        return None
    said = glossed(prompt, None)
    scene = planner.understand([said], encoder.encode([said]))[0]
    if scene is None:  # the prompt is drawn as it stands
        thing = {"words": prompt, "count": 1, "size": None, "colour": None}
        return {"things": [thing], "relation": None, "links": [], "setting": [],
                "background": "white"}  # fmt: skip
    rgb = scene.plan.background
    background = "white" if rgb is None else f"#{bytes(round(255 * v) for v in rgb).hex()}"
    return {
        "things": [
            {"words": words, "count": thing.count, "size": thing.size, "colour": thing.tint}
            for words, thing in zip(scene.parts, scene.plan.things, strict=True)
        ],
        "relation": scene.plan.relation,
        "links": [
            [scene.parts[link.first], link.relation, scene.parts[link.second]]
            for link in scene.links
        ],
        "setting": [] if scene.setting is None else scene.setting.words,
        "background": background,
    }


def _nearest(encoder: TextEncoder, prompt: str, words: list[str]) -> list[dict[str, Any]]:
    import torch.nn.functional as nn

    from limner.text.segment import pieces_of
    from limner.text.validate import canonical

    features = encoder.encode([prompt])
    count = int(features.mask.sum())
    if features.pieces:
        cut = pieces_of(canonical(prompt), features.pieces[0])
        names = [(piece.kind, piece.text) for piece in cut]
        vectors = features.tokens[0, :count]
    else:
        names = [("whole", f"{canonical(prompt)} [{count} subwords]")]
        vectors = features.pooled
    known = nn.normalize(encoder.encode(words).pooled, dim=-1)
    likeness = nn.normalize(vectors, dim=-1) @ known.T
    rows: list[dict[str, Any]] = []
    for (kind, text), scores in zip(names, likeness, strict=True):
        best = scores.topk(min(3, len(words)))
        near = {
            words[int(i)]: round(float(v), 4)
            for v, i in zip(best.values, best.indices, strict=True)
        }
        rows.append({"kind": kind, "text": text, "nearest": near})
    return rows


def vectors(
    store: Annotated[Path, typer.Argument(help="A packed store; its captions are learned from.")],
    out: Annotated[Path, typer.Option(help="The file to write, in Word2Vec's binary format.")],
    dim: Annotated[int, typer.Option(min=1, help="Numbers per word.")] = 128,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the captions.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same file.")] = 0,
) -> None:
    """Train Word2Vec on a store's captions."""
    from limner.data.store import Store
    from limner.text.vectors import train_word2vec

    captions = Store.open(store).caption_table().texts
    count = train_word2vec(captions, out, dim, epochs=epochs, seed=seed)
    typer.echo(f"{out}: {count} words of {dim} numbers; use it as text.encoder=vectors:{out}")
