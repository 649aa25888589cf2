"""The trace of a refinement: every picture, what was looked for in it, what was changed and why."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from limner.evaluation.page import document, section
from limner.improve.composing import Composition
from limner.improve.refinement import Attempt, Refinement
from limner.vision.images import png_bytes

_STYLE = """<style>
.round { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); }
.round figure { margin: 0; }
.round figure.best { outline: 3px solid #2a9d8f; border-radius: 6px; }
.round img { width: 100%; display: block; border-radius: 4px; }
.round figcaption { margin: 6px; overflow-wrap: anywhere; }
.round ul { margin: 4px 0 0; padding: 0; list-style: none; }
.round li.missed { color: #b3261e; }
</style>"""
_GOOD = 0.5


def trace_page(refinement: Refinement) -> str:
    """One HTML page that needs nothing beside it: a section for each round."""
    best = refinement.best
    things = ", ".join(
        f"{thing.count} x {' '.join(filter(None, (thing.colour, thing.phrase)))}"
        for thing in refinement.asked.things
    )
    reference = ""
    if refinement.caption:
        reference = f"The reference picture is read as: {refinement.caption}. "
    elif best.picture.settings.reference is not None:
        reference = "Drawn after a reference picture. "
    ended = "reached" if refinement.reached else "not reached"
    parts = [
        _STYLE,
        f"<h1>{escape(refinement.asked.prompt)}</h1>",
        f'<p class="soft">{escape(reference)}Looked for: {escape(things)}. '
        f"{pictures_said(refinement)}, best score {best.score.total:.3f}, "
        f"target {refinement.target:g} {ended} · model {escape(best.picture.model)}. The best is "
        "that of the highest score, less a little for variety, instructions, and what is held "
        "standing beside who holds it.</p>",
    ]
    for number, some in enumerate(refinement.rounds, 1):
        figures = "".join(_figure(each, each is best) for each in some)
        why = next((each.why for each in some if each.why), "")
        said = f"The best before: {why}. " if why and number > 1 else ""
        if screened := refinement.screened.get(number):
            said += (
                f"{screened.begun} were begun; of these the best {screened.finished} after "
                f"{screened.after} of {screened.evaluations} network evaluations are drawn to the "
                "end."
            )
        composed = refinement.composed.get(number)
        if not some:
            said += "The things were drawn one by one, and could not be cut out."
        elif composed is not None and composed.begun > 1:
            said += (
                f"Each thing was begun {composed.begun} times; the scene is put together of the "
                f"best of each{_after(composed)}."
            )
        parts.append(section(f"Round {number}", said, f'<div class="round">{figures}</div>'))
    return document(f"limner refine: {refinement.asked.prompt}", parts)


def _after(composed: Composition) -> str:
    """When the drawings of things were compared, where that was before they were finished."""
    if composed.after == composed.evaluations:
        return ""
    return f", compared after {composed.after} of {composed.evaluations} network evaluations"


def pictures_said(refinement: Refinement) -> str:
    """How many pictures were drawn, and of how many that were begun."""
    drawn, begun = len(refinement.attempts), refinement.begun
    return f"{drawn} pictures" + (f" of {begun} begun" if begun > drawn else "")


def _figure(attempt: Attempt, best: bool) -> str:
    picture, score = attempt.picture, attempt.score
    data = base64.b64encode(png_bytes(picture.image)).decode("ascii")
    checks = "".join(
        f"<li{' class=missed' if check.score < _GOOD else ''}>{escape(check.wanted)}: "
        f"{escape(check.seen)} ({check.score:.2f})</li>"
        for check in score.checks
    )
    first = attempt.why if attempt.round == 1 else ""  # later ones are said once, of the round
    why = f'<br><span class="soft">({escape(first)})</span>' if first else ""
    return (
        f"<figure{' class=best' if best else ''}>"
        f'<img alt="{escape(picture.prompt, quote=True)}" src="data:image/png;base64,{data}">'
        f"<figcaption><strong>{score.total:.3f}</strong>{_counted(attempt)} "
        f"{escape(attempt.what)}{why}<br>"
        f'<span class="soft">{escape(_drawn_by(attempt))} · likeness {score.likeness:.2f} · '
        f"quality {score.quality:.2f}</span><ul>{checks}</ul></figcaption></figure>"
    )


def _counted(attempt: Attempt) -> str:
    """What an attempt's score counts as where the best is chosen."""
    less = attempt.score.total - attempt.value
    return f' <span class="soft">less {less:.3f}</span>' if less > 0 else ""


def _drawn_by(attempt: Attempt) -> str:
    """Prompt, seed, settings and instructions, which draw the picture again."""
    picture = attempt.picture
    settings = picture.settings.given | (
        {"reference": "picture"} if picture.settings.reference else {}
    )
    given = ", ".join(f"{name} {value}" for name, value in settings.items())
    said = "; ".join((picture.prompt, *picture.edits))
    return f"{said}, seed {picture.seed}" + (f", {given}" if given else "")


def refinement_as_json(refinement: Refinement) -> dict[str, Any]:
    """What ``limner refine --json`` prints: scores and changes, without pictures."""
    best = refinement.attempts.index(refinement.best)
    return {
        "prompt": refinement.asked.prompt,
        "reference": refinement.caption or None,
        "target": refinement.target,
        "reached": refinement.reached,
        "score": round(refinement.best.score.total, 4),
        "best": best,
        "screened": [
            {"round": number, **asdict(each)} for number, each in refinement.screened.items()
        ],
        "composed": [
            {"round": number, **asdict(each)} for number, each in refinement.composed.items()
        ],
        "attempts": [_attempt(each) for each in refinement.attempts],
    }


def _attempt(attempt: Attempt) -> Mapping[str, Any]:
    picture, score = attempt.picture, attempt.score
    checks: Sequence[Mapping[str, Any]] = [
        {"kind": c.kind, "wanted": c.wanted, "seen": c.seen, "score": round(c.score, 4)}
        for c in score.checks
    ]
    return {
        "round": attempt.round, "changed": attempt.what, "why": attempt.why or None,
        "prompt": picture.prompt, "seed": picture.seed, "edits": list(picture.edits),
        "settings": picture.settings.given, "score": round(score.total, 4),
        "counted": round(attempt.value, 4),
        "cosine": round(score.cosine, 4), "likeness": round(score.likeness, 4),
        "quality": round(score.quality, 4), "checks": checks,
    }  # fmt: skip
