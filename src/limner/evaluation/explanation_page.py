"""An explanation of a picture as an HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
from html import escape

from PIL import Image

from limner.evaluation.page import definitions, document, section, table
from limner.generation.explaining import ExplainedWord, Explanation, MapSource
from limner.generation.heat_maps import heat_map
from limner.vision.images import png_bytes

_SAYS = {
    MapSource.PLAN: "The prompt was planned, and each thing drawn by itself: a word is mapped to "
    "the visible pixels of the drawing that it stands for, a relation to both of its things.",
    MapSource.INFORMATION: "How much better the network predicts each place of this picture by "
    "the prompt than by the prompt without the word.",
    MapSource.ATTENTION: "What the vectors of the word add to each place by the attention of the "
    "network: weight times value, projected by the output matrix.",
    MapSource.GRADIENT: "How much each pixel changes with the vectors of the word: gradient times "
    "input.",
    MapSource.CHANGE: "What changes in the picture without the word.",
}
_STYLE = """<style>
.pictures {
  display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr));
}
.pictures img, td img {
  width: 100%; display: block; image-rendering: pixelated; border-radius: 4px;
}
.pictures figure.nothing img { opacity: .45; }
.pictures figcaption { margin: 6px 0 0; overflow-wrap: anywhere; }
td img { width: 88px; } td { vertical-align: middle; }
.pictures.whole { grid-template-columns: minmax(150px, 320px); }
td.words { white-space: normal; min-width: 12em; text-align: left; }
</style>"""


def explanation_page(explanation: Explanation) -> str:
    """The page: the picture, the maps of its words, each word left out, and what is near."""
    picture = explanation.picture
    found = "" if explanation.score is None else f", matches the prompt by {explanation.score:.2f}"
    style = picture.settings.style
    parts = [
        _STYLE,
        f"<h1>{escape(picture.prompt)}</h1>",
        f'<p class="soft">seed {picture.seed}'
        f"{', ' + escape(style) if style else ''}{found} · model {escape(picture.model)}</p>",
        f'<div class="pictures whole">{_image(picture.image, picture.prompt)}</div>',
        section("What each word did", _SAYS[explanation.source], _maps(explanation)),
        section(
            "Without each word",
            "The same seed and style, one word less. The change is the mean difference of the "
            "channels, in per cent of their range; the score is the cosine of the picture with the "
            "whole prompt by the aligner.",
            _without(explanation),
        ),
    ]
    if picture.drawn_from:
        rows = [(each.phrase, f"{each.drawn} ({each.similarity:.2f})")
                for each in picture.drawn_from]  # fmt: skip
        parts.append(section(
            "What each phrase was drawn from", "With the similarity of both.",
            f'<div class="card"><dl>{definitions(rows, code=False)}</dl></div>',
        ))  # fmt: skip
    if explanation.captions:
        parts.append(section(
            "Nearest known captions", "By one less the similarity of the texts.",
            _captions(explanation),
        ))  # fmt: skip
    if explanation.pictures:
        parts.append(section(
            "Nearest training pictures", "By the difference of the mean colours of 16 x 16 fields.",
            _pictures(explanation),
        ))  # fmt: skip
    return document(f"limner explain: {picture.prompt}", parts)


def _image(image: Image.Image, what: str) -> str:
    data = base64.b64encode(png_bytes(image)).decode("ascii")
    return f'<img alt="{escape(what, quote=True)}" src="data:image/png;base64,{data}">'


def _maps(explanation: Explanation) -> str:
    figures = []
    for word in explanation.words:
        image = heat_map(explanation.picture.image, word.map)
        nothing = not word.map.any()
        note = f'<br><span class="soft">{escape(_note(word))}</span>'
        figures.append(
            f"<figure{' class=nothing' if nothing else ''}>"
            f"{_image(image, f'map of {word.text}')}"
            f"<figcaption><strong>{escape(word.text)}</strong>{note}</figcaption></figure>"
        )
    return f'<div class="pictures">{"".join(figures)}</div>'


def _note(word: ExplainedWord) -> str:
    if word.changes_nothing:
        return "changes nothing"
    return f"drawn from “{word.drawn.drawn}”" if word.drawn is not None else ""


def _without(explanation: Explanation) -> str:
    rows = []
    for word in explanation.words:
        cells = [f"<td><strong>{escape(word.text)}</strong></td>"]
        if word.without is None:
            cells += ['<td class="words soft">nothing is left that could be drawn</td>',
                      "<td></td>", "<td>–</td>", "<td>–</td>"]  # fmt: skip
        elif word.changes_nothing:
            cells += [
                f'<td class="words">{escape(word.without.prompt)}</td>',
                '<td class="soft">the same</td>',
                "<td>nothing</td>",
                "<td>–</td>",
            ]
        else:
            change = 100 * (word.change or 0)
            score = "–" if word.score_change is None else f"{word.score_change:+.2f}"
            cells += [
                f'<td class="words">{escape(word.without.prompt)}</td>',
                f"<td>{_image(word.without.image, word.without.prompt)}</td>",
                f"<td>{change:.1f} %</td>",
                f"<td>{score}</td>",
            ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    names = ("word", "what is left", "picture", "change", "score")
    return table((f"<th>{name}</th>" for name in names), rows)


def _captions(explanation: Explanation) -> str:
    names = ("phrase", "caption", "distance")
    rows = (
        f"<tr><td>{escape(each.phrase)}</td><td>{escape(each.caption)}</td>"
        f"<td>{each.distance:.2f}</td></tr>"
        for each in explanation.captions
    )
    return table((f"<th>{name}</th>" for name in names), rows)


def _pictures(explanation: Explanation) -> str:
    figures = []
    for each in explanation.pictures:
        facts = ", ".join(filter(None, (each.style, each.licence)))
        copied = ": a copy" if each.copied else ""
        figures.append(
            f"<figure>{_image(each.image, each.shows)}<figcaption>"
            f"<strong>{escape(each.shows)}</strong> {each.distance:.2f}{copied}<br>"
            f'<span class="soft">{escape(facts)}</span></figcaption></figure>'
        )
    return f'<div class="pictures">{"".join(figures)}</div>'
