"""What was found out about a data set as one page, with the pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.evaluation.page import definitions, document, section, table
from limner.evaluation.plots import bars
from limner.evaluation.report import number
from limner.improve.checks import BY_NAME, CHECKS, Finding
from limner.improve.examination import Diagnosis
from limner.vision.images import png_bytes

SHOWN = 24
"""Pictures of each fault on the page."""
_LISTED = 500
_QUOTED = frozenset((
    "placeholder", "long", "repetitive", "common", "mismatch", "wrong-class", "doubtful",
))  # fmt: skip
"""Checks whose findings name the caption."""
_BARS = 30
_SIDE = 112
_STYLE = (
    "<style>.faults{display:flex;flex-wrap:wrap;gap:10px}.faults figure{margin:0;width:122px}"
    ".faults figure.two{width:240px}.faults img{width:112px;height:112px;image-rendering:auto;"
    "border:1px solid #8884;border-radius:6px;margin-right:4px;background:#fff}"
    ".faults figcaption{font-size:11px;line-height:1.3;overflow-wrap:anywhere}"
    ".checks td,.checks th{white-space:normal;text-align:left;vertical-align:top}"
    ".checks small{display:block}.checks .none{opacity:.55}</style>"
)


def check_page(found: Diagnosis, title: str) -> str:
    """The page: the table, the pictures of every fault, captions, classes, and removals."""
    shown = {check.name: _chosen(found.of(check.name)) for check in CHECKS}
    needed = {
        n
        for each in shown.values()
        for finding in each
        for n in (finding.item, finding.like)
        if n is not None and 0 <= n < len(found.keys)
    }
    pictures = found.source.pick(_numbers(found, needed)) if needed else {}
    places = dict(zip(sorted(needed), _numbers(found, needed), strict=True))
    known = {item: pictures[place] for item, place in places.items() if place in pictures}
    parts = [_STYLE, _head(found, title), _table(found)]
    parts += [_faults(found, name, each, known) for name, each in shown.items() if each]
    parts += [_captions(found), *_classes(found), _removals(found), *_left_aside(found)]
    return document(title, parts)


def _numbers(found: Diagnosis, items: set[int]) -> list[int]:
    """Where in the source pictures are: entries that are no pictures count there too."""
    return [found.places[item] for item in sorted(items)]


def _chosen(findings: Sequence[Finding]) -> list[Finding]:
    """Some findings, evenly spread from the clearest to the least clear."""
    if len(findings) <= SHOWN:
        return list(findings)
    check = BY_NAME[findings[0].issue]
    falling = check.fault == "above"
    ranked = sorted(findings, key=lambda f: -(f.score or 0) if falling else f.score or 0)
    return [ranked[at] for at in np.linspace(0, len(ranked) - 1, SHOWN).astype(int)]


def _head(found: Diagnosis, title: str) -> str:
    faulty, removed = len({f.item for f in found.findings if f.item >= 0}), len(found.removals())
    facts = [
        ("pictures", f"{len(found.keys):,}"),
        ("side", f"{found.source.size} px"),
        ("with a fault", f"{faulty:,}"),
        ("that clean leaves out", f"{removed:,}"),
    ]
    if found.held:
        facts.append(("held out", f"{found.held:,}"))
    return f"<h1>{escape(title)}</h1><dl>{definitions(facts, code=False)}</dl>"


def _table(found: Diagnosis) -> str:
    head = ("<th>check</th>", "<th>found</th>", "<th>threshold</th>",
            "<th>scores at 1, 50, 99 %</th>")  # fmt: skip
    rows = []
    for row in found.table():
        limit = "" if row["threshold"] is None else f"{row['side']} {row['threshold']:g}"
        spread = ", ".join(f"{value:.3g}" for value in row["scores at 1, 50 and 99 %"])
        note = f"not checked: {row['not checked']}" if row["not checked"] else row["fault"]
        note += f" ({row['remark']})" if row["remark"] else ""
        kind = "" if row["found"] or row["not checked"] else ' class="none"'
        rows.append(
            f"<tr{kind}><td>{escape(row['check'])} <small>{escape(note)}</small></td>"
            f"<td><strong>{'–' if row['not checked'] else format(row['found'], ',')}</strong></td>"
            f"<td>{escape(limit)} <small>{escape(row['measure'])}</small></td>"
            f"<td>{spread}</td></tr>"
        )
    shown = f'<div class="checks">{table(head, rows)}</div>'
    return section("Checks", "What was looked for, and what was found.", shown)


def _faults(
    found: Diagnosis, name: str, findings: Sequence[Finding], known: dict[int, NDArray[np.uint8]]
) -> str:
    check, many = BY_NAME[name], len(found.of(name))
    some = f", {len(findings)} of them shown" if len(findings) < many else ""
    note = f"{check.about}: {many:,}{some}"
    figures = "".join(_figure(found, finding, known) for finding in findings)
    return section(name, note, f'<div class="faults card">{figures}</div>')


def _figure(found: Diagnosis, finding: Finding, known: dict[int, NDArray[np.uint8]]) -> str:
    items = [n for n in (finding.item, finding.like) if n is not None and n in known]
    images = "".join(_image(known[item]) for item in items)
    key = found.keys[finding.item] if finding.item >= 0 else ""
    score = "" if finding.score is None else f" <strong>{number(finding.score)}</strong>"
    detail = _detail(finding)
    words = f"{escape(key[-60:])}{score}<br>{escape(detail[:120])}"
    kind = ' class="two"' if len(items) > 1 else ""
    return f"<figure{kind}>{images}<figcaption>{words}</figcaption></figure>"


def _detail(finding: Finding) -> str:
    """What is said of a fault beside its picture; a caption is quoted."""
    if finding.like is not None:
        return f"like {finding.detail}, which stays"
    if finding.issue == "no-caption" and finding.detail == "no caption":
        return ""
    return f"“{finding.detail}”" if finding.issue in _QUOTED else finding.detail


def _image(pixels: NDArray[np.uint8]) -> str:
    image = Image.fromarray(pixels)
    if image.width > _SIDE:
        image = image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    data = base64.b64encode(png_bytes(image)).decode("ascii")
    return f'<img alt="" src="data:image/png;base64,{data}">'


def _captions(found: Diagnosis) -> str:
    total = max(len(found.keys), 1)
    facts = [("pictures with a caption", f"{found.captions[''] / total:.1%}")]
    facts += [(name, f"{many:,} captions") for name, many in found.captions.most_common() if name]
    rows = f'<div class="card"><dl>{definitions(facts, code=False)}</dl></div>'
    return section("Captions", "How many there are, by language.", rows)


def _classes(found: Diagnosis) -> list[str]:
    parts = []
    for key, counts in found.classes.items():
        rows = [(name, float(many), 0) for name, many in list(counts.items())[:_BARS]]
        more = f", the largest {_BARS} of {len(counts)}" if len(counts) > _BARS else ""
        plot = f'<div class="card" style="max-width:640px">{bars(rows, "pictures")}</div>'
        parts.append(section(f"By {key}", f"Pictures of each{more}.", plot))
    return parts


def _removals(found: Diagnosis) -> str:
    removals = found.removals()
    rows = [
        f"<tr><td>{escape(found.keys[item])}</td><td>{escape(finding.issue)}</td>"
        f"<td>{'' if finding.score is None else number(finding.score)}</td>"
        f"<td>{escape(finding.detail[:200])}</td></tr>"
        for item, finding in list(removals.items())[:_LISTED]
    ]
    more = f", the first {_LISTED} listed" if len(removals) > _LISTED else ""
    head = [f"<th>{name}</th>" for name in ("picture", "for", "score", "detail")]
    note = f"What limner data clean leaves out: {len(removals):,} pictures{more}."
    shown = f'<div class="checks">{table(head, rows)}</div>'
    return section("Removals", note, shown)


def _left_aside(found: Diagnosis) -> list[str]:
    """Files that are no pictures, if there are any."""
    rows = [
        f"<tr><td>{escape(key)}</td><td>{escape(why)}</td></tr>"
        for key, why in list(found.unused.items())[:_LISTED]
    ]
    if not rows:
        return []
    shown = f'<div class="checks">{table(["<th>file</th>", "<th>why</th>"], rows)}</div>'
    note = f"Files that are no pictures, or belong to none: {len(found.unused):,}."
    return [section("Left aside", note, shown)]
