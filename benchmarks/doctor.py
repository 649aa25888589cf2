"""Are planted faults found, how long does it take, and does cleaning help training?

Into drawings (64 px) and Fashion-MNIST pictures (28 px) 5 % of each fault are planted
(``_faults.py``), and into a folder of picture files those that only files have. Recall is the share
of the planted ones that are found as what they are; false alarms are the untouched pictures that
would be removed. The thresholds were chosen on the other half of the drawings and on the training
set of Fashion-MNIST; measured are pictures that nothing was chosen on. Untouched pictures count as
faultless: what is wrong with them by nature counts as a false alarm too.

Captions that do not match are planted into icons (64 px) as well: the shipped aligner was trained
on those, with these captions, so that recall there is of pictures it knows. It was trained on
drawings of even rows too, and on none that looks like one of the odd rows, which are measured; but
a sixth of these are of the five sets of icons, which it has seen (``tools/aligner_drawings.py``).
So they are planted into the two sets of drawings that it has never seen as well, and into drawings
without those five sets. The map of known drawings (``tools/caption_map.py``) was fitted to the same
pictures as the aligner.

Time is the processor time of one thread, without an aligner and with it (and an empty cache of
texts); and with two threads in a process of its own, since the goal of 60 seconds is for two cores:
the time on the clock, with the load of the machine in the notes, and the processor time of both.

The same small classifier is trained with as many steps on a store with all those faults and on
what ``limner data clean`` makes of it, and measured on clean test pictures; ten seeds, the same of
both, Student's intervals of the differences.

How well captions are told at any threshold is said by the area under the ROC curve, and by recall
where the threshold is set so that 1, 2, 5 and 10 % of the right ones are doubted.

Where captions cannot be judged, the worst two percent are listed and stay: how many of those have a
planted fault is a figure of its own, beside what was estimated without knowing the planted ones.
What the lists of other lengths would hold is measured wherever captions are compared.

Photographs are whole ones that come with packages of Debian and PyPI (``_photographs.py``); nothing
was chosen on them. False alarms are those among all of them, before anything is planted.

The upper bound of wrong classes is what the same kind of network reaches that was trained on the
60,000 training pictures with their right classes: of the same pictures and planted faults, at the
threshold at which it doubts 2 % of the right ones.

``LIMNER_DOCTOR_DRAWINGS`` names the store of drawings, ``LIMNER_ICONS`` that
of icons, ``LIMNER_DOCTOR_PHOTOGRAPHS`` the folder of packages with photographs, without which
these are not measured, ``LIMNER_DOCTOR_COUNT`` the pictures of each.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

import _faults as faults
from _figures import curve_figures
from _photographs import FOLDER, whole_photographs
from fashion import clothes
from limner.data.pack import PackOptions
from limner.data.pictures import Cleaning
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter
from limner.generation.sheets import grid
from limner.improve.checked_source import CheckedSource, FileSource, StoreSource
from limner.improve.classifier import train_classifier
from limner.improve.clean import clean
from limner.improve.examination import CheckOptions, Diagnosis, check
from limner.metrics.intervals import t_interval, wilson
from limner.reading.aligner import load_aligner
from limner.text.disk import default_cache_dir
from limner.vision.aligner import Aligner
from limner.vision.pixels import to_tensor

COUNT = int(os.environ.get("LIMNER_DOCTOR_COUNT", "1000"))
DRAWINGS = os.environ.get("LIMNER_DOCTOR_DRAWINGS")
ICONS = os.environ.get("LIMNER_ICONS")
SHARE = 0.05
SIZES = (2500, 5000, 10_000)
SEEDS, STEPS = 10, 200
BOUND_STEPS = 5000
LISTED = (0.01, 0.02, 0.05, 0.1)
UNSEEN = ("noto-v1", "streamline-freehand-color")
"""Sets of drawings that the shipped aligner was not trained on."""
ICON_SETS = ("noto", "twemoji", "fluent-emoji-flat", "emojione", "fxemoji")
"""The sets of icons, all of which the judges of captions learned from."""
RECALL_GOAL, FALSE_GOAL, SECONDS_GOAL = 0.9, 0.02, 60.0
SHEETS = Path(__file__).with_name("sheets")
TEXT_FAULTS = ("placeholder", "repetitive", "long")

Part = Literal["chosen on", "measured"]
Entry = tuple[faults.Pixels, str, str]
"""A picture, its caption, and what it shows."""


def drawings(
    count: int, part: Part, side: int = 64, style: str | None = None, *, icon_sets: bool = True
) -> list[Entry]:
    """Drawings with an English caption; even rows are those that thresholds were chosen on."""
    store = Store.open(DRAWINGS or default_cache_dir() / "stores" / "drawings-256")
    rows = np.random.default_rng(3).permutation(len(store) // 2) * 2 + (part == "measured")
    if style is not None:
        rows = rows[store.style_ids[rows] == store.styles.index(style)]
    if not icon_sets:
        known = [store.styles.index(name) for name in ICON_SETS]
        rows = rows[~np.isin(store.style_ids[rows], known)]
    found: list[Entry] = []
    for row in rows.tolist():
        text = next((c.text for c in store.captions(row) if c.lang == "en"), None)
        if text is not None:
            image = Image.fromarray(store.images[row]).resize(
                (side, side), Image.Resampling.LANCZOS
            )
            found.append((np.asarray(image), text, str(store.metadata(row).get("concept", text))))
        if len(found) == count:
            break
    return found


def icons(count: int) -> list[Entry]:
    """Icons of the sets that the shipped aligner was trained on, with an English caption."""
    store = Store.open(ICONS or default_cache_dir() / "stores" / "icons-64")
    found: list[Entry] = []
    for row in np.random.default_rng(8).permutation(len(store)).tolist():
        text = next((c.text for c in store.captions(row) if c.lang == "en"), None)
        if text is not None and len(found) < count:
            found.append((np.array(store.images[row]), text, str(store.metadata(row)["concept"])))
    return found


def garments(count: int, part: Part) -> list[Entry]:
    """Fashion-MNIST: the training set is what thresholds were chosen on."""
    store = clothes("train" if part == "chosen on" else "test")
    rows = np.random.default_rng(4).permutation(len(store))[:count].tolist()
    names = (store.captions(row)[0].text for row in rows)
    return [(np.array(store.images[row]), n, n) for row, n in zip(rows, names, strict=True)]


def planted(
    clean_ones: Sequence[Entry], out: Path, wrong: str
) -> tuple[Store, dict[int, str], dict[int, int]]:
    """A store with 5 % of each fault.

    Returns:
        The store; picture -> the fault that it has; copied picture -> the copy.
    """
    rng = np.random.default_rng(5)
    each = round(SHARE * len(clean_ones))
    kinds = [*faults.PICTURE_FAULTS, *TEXT_FAULTS, wrong]
    chosen = rng.permutation(len(clean_ones))
    of = {int(row): kinds[at // each] for at, row in enumerate(chosen[: each * len(kinds)])}
    untouched = chosen[each * len(kinds) :]
    originals = untouched[: 2 * each].tolist()
    texts = [text for _, text, _ in clean_ones]
    rows: list[tuple[faults.Pixels, str, str]] = []
    for row, (pixels, text, what) in enumerate(clean_ones):
        kind = of.get(row, "")
        rows.append((*_with_fault(kind, pixels, text, rng, texts), kind))
        if kind == wrong:
            other = int(rng.integers(len(clean_ones)))
            while clean_ones[other][2] == what:
                other = int(rng.integers(len(clean_ones)))
            rows[-1] = (pixels, texts[other], kind)
    for number, row in enumerate(originals):
        pixels, text, _ = clean_ones[row]
        near = number >= each
        rows.append((faults.copied(pixels, rng) if near else pixels, text,
                     "near-duplicate" if near else "exact-duplicate"))  # fmt: skip
    order = rng.permutation(len(rows))
    place = {int(row): at for at, row in enumerate(order)}
    with StoreWriter(out, len(rows[0][0]), out.name, licences={out.name: "various"}) as writer:
        for row in order.tolist():
            pixels, text, kind = rows[row]
            writer.add(pixels, [Caption(text)], {"id": str(row), "fault": kind})
        store = writer.finish()
    copies = {place[row]: place[len(clean_ones) + n] for n, row in enumerate(originals)}
    return store, {place[row]: kind for row, (*_, kind) in enumerate(rows) if kind}, copies


def _with_fault(
    kind: str, pixels: faults.Pixels, text: str, rng: np.random.Generator, texts: Sequence[str]
) -> tuple[faults.Pixels, str]:
    """A picture and its caption with a fault of one of them."""
    if kind in faults.PICTURE_FAULTS:
        return faults.PICTURE_FAULTS[kind](pixels, rng), text
    if kind == "placeholder":
        return pixels, faults.placeholder(rng)
    if kind == "repetitive":
        return pixels, faults.repetitive(text, rng)
    return pixels, faults.lengthy(texts, rng) if kind == "long" else text


def shares(
    found: Diagnosis, kinds: dict[int, str], copies: dict[int, int], name: str
) -> dict[str, Any]:
    """Recall of each fault, and false alarms."""
    issues: dict[int, set[str]] = {}
    for finding in found.findings:
        issues.setdefault(finding.item, set()).add(finding.issue)
    of = {copy: original for original, copy in copies.items()}
    figures: dict[str, Any] = {}
    for kind in dict.fromkeys(kinds.values()):
        items = [item for item, its in kinds.items() if its == kind]
        # Of two copies either may be the one that stays.
        right = sum(kind in issues.get(i, set()) | issues.get(of.get(i, i), set()) for i in items)
        figures[f"{name}, recall: {kind}"] = share(right, len(items), RECALL_GOAL, "higher")
    removed = found.removals()
    clear = clear_rows(found, kinds, copies)
    wrong = sum(item in removed for item in clear)
    figures[f"{name}, false alarms"] = share(wrong, len(clear), FALSE_GOAL, "lower")
    always = {"mismatch"} & set(kinds.values())
    for issue in sorted(always | {f.issue for i, f in removed.items() if i in set(clear)}):
        many = sum(1 for i in clear if i in removed and removed[i].issue == issue)
        figures[f"{name}, false alarms: {issue}"] = share(many, len(clear), None, "lower")
    return figures


def clear_rows(found: Diagnosis, kinds: dict[int, str], copies: dict[int, int]) -> list[int]:
    """The pictures that nothing was planted into, and that have no copy."""
    return [row for row in range(len(found.keys)) if row not in kinds and row not in copies]


def ranked(
    found: Diagnosis, kinds: dict[int, str], copies: dict[int, int], name: str
) -> dict[str, Any]:
    """How well the scores of captions tell wrong ones from right ones, at whatever threshold."""
    right, wrong = judged_rows(found, kinds, copies)
    scores = found.scores["mismatch"]
    return curve_figures(scores[right], scores[wrong], f"{name}, mismatch")


def judged_rows(
    found: Diagnosis, kinds: dict[int, str], copies: dict[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The pictures whose captions were judged: those with the right one, and with a wrong one."""
    judged = np.flatnonzero(np.isfinite(found.scores["mismatch"]))
    right = [row for row in judged.tolist() if row not in copies and row not in kinds]
    wrong = [row for row in judged.tolist() if kinds.get(row) == "mismatch"]
    return np.array(right, np.int64), np.array(wrong, np.int64)


def share(hits: int, trials: int, goal: float | None, better: str) -> dict[str, Any]:
    """A share with Wilson's interval."""
    low, high = wilson(hits, trials)
    return {"value": hits / trials, "low": low, "high": high, "goal": goal, "better": better}


def listed_figures(found: Diagnosis, kinds: dict[int, str]) -> dict[str, Any]:
    """What the captions that are only listed are worth: those listed, and if more were."""
    figures: dict[str, Any] = {}
    listed = {finding.item for finding in found.of("doubtful")}
    right = sum(kinds.get(item) == "mismatch" for item in listed)
    if listed:
        figures["drawings, planted among those listed as doubtful"] = share(
            right, len(listed), None, "higher"
        )
    if found.doubted is not None:
        figures["drawings, planted among those listed, as estimated"] = {
            "value": found.doubted.right, "better": "higher",
        }  # fmt: skip
        figures["drawings, share of captions that are wrong, as estimated"] = {
            "value": found.doubted.most, "better": "lower",
        }  # fmt: skip
    places = badness_places(found.scores["mismatch"])
    planted_ones = {item for item, kind in kinds.items() if kind == "mismatch"}
    for part in LISTED:
        some = set(np.flatnonzero(places < part).tolist())
        hits = len(some & planted_ones)
        name = f"drawings, of the {part:.0%} doubted most"
        figures[f"{name}: planted"] = share(hits, len(some), None, "higher")
        figures[f"{name}: of all planted"] = share(hits, len(planted_ones), None, "higher")
    return figures


def badness_places(scores: np.ndarray) -> np.ndarray:
    """The share of the captions that are doubted more, by their scores; 1 where there is none."""
    rows = np.flatnonzero(np.isfinite(scores))
    places = np.ones(len(scores))
    places[rows[np.argsort(-scores[rows], kind="stable")]] = np.arange(len(rows)) / len(rows)
    return places


def class_bound(store: Store, kinds: dict[int, str], copies: dict[int, int]) -> dict[str, Any]:
    """Recall of wrong classes by a network that learned from 60,000 right ones."""
    train = clothes("train")
    texts = [train.captions(row)[0].text for row in range(len(train))]
    names = sorted(set(texts))
    labels = torch.tensor([names.index(text) for text in texts])
    net = train_classifier(to_tensor(np.asarray(train.images)), labels, len(names),
                           steps=BOUND_STEPS, change=mirrored)  # fmt: skip
    rows = [r for r in range(len(store)) if r not in copies
            and kinds.get(r, "wrong-class") == "wrong-class"]  # fmt: skip
    said = torch.tensor([names.index(store.captions(row)[0].text) for row in rows])
    chances = net.chances(to_tensor(store.batch(rows)))[torch.arange(len(rows)), said]
    planted_ones = torch.tensor([row in kinds for row in rows])
    limit = chances[~planted_ones].quantile(FALSE_GOAL)
    hits = int((chances[planted_ones] < limit).sum())
    return {"clothes, recall: wrong-class, upper bound at 2 % false alarms": share(
        hits, int(planted_ones.sum()), None, "higher")}  # fmt: skip


def mirrored(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Every second picture of a batch, mirrored."""
    turned = torch.rand(len(images), generator=rng) < 0.5
    return torch.where(turned[:, None, None, None], images.flip(3), images)


def folder_of(entries: Sequence[Entry], out: Path) -> tuple[dict[str, str], set[str]]:
    """Picture files with text files beside them; 5 % of each fault that only files have.

    Returns:
        File -> its fault, and the files that are unusual but right: turned by EXIF, CMYK, 16 bits,
        transparent, animated.
    """
    rng = np.random.default_rng(6)
    each = round(SHARE * len(entries))
    kinds = ("unreadable", "small", "shape", "no-caption")
    of, unusual = {}, set()
    out.mkdir()
    for number, (pixels, text, _) in enumerate(entries):
        image, name = Image.fromarray(pixels), f"{number:05}.png"
        kind = kinds[number // each] if number < each * len(kinds) else ""
        path = out / name
        odd = (number - each * len(kinds)) // 8 if not kind else -1
        if kind == "small":
            image = image.resize((24, 24), Image.Resampling.LANCZOS)
        elif kind == "shape":
            image = image.resize((256, 256 // int(rng.integers(4, 9))), Image.Resampling.LANCZOS)
        if odd == 0:
            path = path.with_suffix(".jpg")
            exif = Image.Exif()
            exif[0x0112] = 6
            image.rotate(90, expand=True).save(path, quality=95, exif=exif)
        elif odd == 1:
            path = path.with_suffix(".jpg")
            image.convert("CMYK").save(path, quality=95)
        elif odd == 2:
            path = path.with_suffix(".tiff")
            Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path)
        elif odd == 3:
            image.convert("RGBA").save(path)
        elif odd == 4:
            path = path.with_suffix(".gif")
            image.save(path, save_all=True, append_images=[image.rotate(5)], duration=100)
        else:
            image.save(path)
        if 0 <= odd <= 4:
            unusual.add(path.name)
        if kind == "unreadable":
            data = path.read_bytes()
            broken = (data[: len(data) // 3], b"not a picture", b"",
                      data[:16] + (60_000).to_bytes(4, "big") * 2 + data[24:])  # fmt: skip
            path.write_bytes(broken[number % 4])
        if kind != "no-caption":
            path.with_suffix(".txt").write_text(text, encoding="utf-8")
        if kind:
            of[path.name] = kind
    return of, unusual


def files_figures(entries: Sequence[Entry], folder: Path) -> dict[str, Any]:
    """Recall and false alarms among files."""
    of, unusual = folder_of(entries, folder / "files")
    cleaning = Cleaning(size=128, min_side=1)
    found = check(FileSource(folder / "files", PackOptions(cleaning=cleaning, workers=1)),
                  CheckOptions(near=False))  # fmt: skip
    issues = {(found.keys[f.item], f.issue) for f in found.findings if f.item >= 0}
    figures: dict[str, Any] = {}
    for kind in dict.fromkeys(of.values()):
        names = [name for name, its in of.items() if its == kind]
        right = sum((name, kind) in issues for name in names)
        figures[f"files, recall: {kind}"] = share(right, len(names), RECALL_GOAL, "higher")
    removed = {found.keys[item] for item in found.removals()}
    clear = [name for name in found.keys if name not in of]
    wrong = sum(name in removed for name in clear)
    figures["files, false alarms"] = share(wrong, len(clear), FALSE_GOAL, "lower")
    odd = sum(name in removed for name in unusual)
    figures["files, false alarms among CMYK, 16-bit, turned, transparent, animated"] = {
        "value": odd / max(len(unusual), 1), "better": "lower",
    }  # fmt: skip
    return figures


def photograph_figures(folder: Path) -> dict[str, Any]:
    """Whole photographs of several packages: all of them untouched, and with planted faults."""
    entries = whole_photographs(Path(FOLDER or ""))
    with StoreWriter(folder / "taken", len(entries[0][0]), "taken", licences={"taken": "various"}
                     ) as writer:  # fmt: skip
        for number, (pixels, text, _) in enumerate(entries):
            writer.add(pixels, [Caption(text)], {"id": str(number)})
        taken = writer.finish()
    found = check(StoreSource(taken.path))
    figures = {f"photographs, untouched, {key.partition(', ')[2]}": value
               for key, value in shares(found, {}, {}, "photographs").items()}  # fmt: skip
    sheet(found, None, SHEETS / "doctor-photographs.png")
    store, kinds, copies = planted(entries, folder / "photographs", "mismatch")
    kinds = {row: kind for row, kind in kinds.items() if kind != "mismatch"}
    some = shares(check(StoreSource(store.path)), kinds, copies, "photographs")
    return figures | {key: value for key, value in some.items() if "recall" in key}


def leak_figures(entries: Sequence[Entry], folder: Path) -> dict[str, Any]:
    """Are copies of held-out pictures found among those for training?"""
    rng, half = np.random.default_rng(7), len(entries) // 2
    train, held = list(entries[:half]), entries[half:]
    many = round(SHARE * half)
    leaks = [(faults.copied(pixels, rng), text, "leak") for pixels, text, _ in held[:many]]
    stores = {}
    for name, rows in (("train", [*leaks, *train[many:]]), ("held", held)):
        with StoreWriter(folder / name, 64, name, licences={name: "various"}) as writer:
            for number, (pixels, text, _) in enumerate(rows):
                writer.add(pixels, [Caption(text)], {"id": str(number)})
            stores[name] = StoreSource(writer.finish().path)
    found = check(stores["train"], CheckOptions(holdout=stores["held"]))
    items = {finding.item for finding in found.of("leak")}
    right = sum(item < many for item in items)
    return {
        "leaks, recall": share(right, many, RECALL_GOAL, "higher"),
        "leaks, false alarms": share(len(items) - right, half - many, FALSE_GOAL, "lower"),
    }


def timed(entries: Sequence[Entry], folder: Path, aligner: Aligner | None) -> dict[str, float]:
    """Processor seconds of checking so many pictures, and seconds of each stage."""
    with StoreWriter(folder, 64, "timed", licences={"timed": "various"}) as writer:
        for number, (pixels, text, _) in enumerate(entries):
            writer.add(pixels, [Caption(text)], {"id": str(number)})
        store = writer.finish()
    started = time.process_time()
    found = check(StoreSource(store.path), CheckOptions(aligner=aligner))
    return found.seconds | {"all": time.process_time() - started}


def training_figures(dirty: Store, cleaned: Store) -> dict[str, Any]:
    """Accuracy on clean test pictures after training on either store."""
    test = garments(10_000, "measured")
    names = sorted({what for *_, what in test})
    images = to_tensor([pixels for pixels, *_ in test])
    answers = torch.tensor([names.index(what) for *_, what in test])
    accuracy: dict[str, list[float]] = {"dirty": [], "cleaned": []}
    for way, store in (("dirty", dirty), ("cleaned", cleaned)):
        # A caption that names no class says nothing to a classifier: such pictures are left out.
        known = [(r, c.text) for r in range(len(store)) for c in store.captions(r)[:1]]
        rows = [row for row, text in known if text in names]
        labels = torch.tensor([names.index(text) for _, text in known if text in names])
        pictures = to_tensor(store.batch(rows))
        for seed in range(SEEDS):
            net = train_classifier(pictures, labels, len(names), steps=STEPS, seed=seed)
            accuracy[way].append((net.chances(images).argmax(1) == answers).double().mean().item())
    gain = [b - a for a, b in zip(accuracy["dirty"], accuracy["cleaned"], strict=True)]
    figures: dict[str, Any] = {}
    for way, values in (*accuracy.items(), ("gain of cleaning", gain)):
        low, high = t_interval(values)
        figures[f"classifier's accuracy, {way}"] = {
            "value": float(np.mean(values)), "low": low, "high": high, "better": "higher",
            "goal": 0.0 if way.startswith("gain") else None,
        }  # fmt: skip
    return figures


def examined(source: CheckedSource, aligner: Aligner | None) -> Diagnosis:
    """The diagnosis, with what the checks that were left out say on stderr."""
    return check(source, CheckOptions(aligner=aligner))


def sheet(found: Diagnosis, untouched: Sequence[int] | None, out: Path) -> None:
    """False alarms among the untouched pictures (all where None), to be looked at."""
    removed = found.removals()
    clear = set(removed if untouched is None else untouched)
    wrong = [item for item in removed if item in clear][:60]
    captions = [f"{removed[i].issue} {removed[i].detail}"[:40] for i in wrong]
    pictures = found.source.pick(wrong)
    shown = [Image.fromarray(pictures[i]).resize((64, 64)) for i in wrong]
    if shown:
        grid(shown, columns=12, captions=captions).quantize(256).save(out)


def run() -> dict[str, Any]:
    """Plant, check, clean, train; on pictures that nothing was chosen on."""
    return figures_of("measured")


def figures_of(part: Part) -> dict[str, Any]:
    """All figures; without time and training of the part that thresholds are chosen on."""
    figures: dict[str, Any] = {}
    notes: dict[str, Any] = {"pictures": COUNT, "share of each fault": SHARE}
    SHEETS.mkdir(exist_ok=True)
    aligner = load_aligner()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        drawn, worn = drawings(COUNT, part), garments(COUNT, part)
        store, kinds, copies = planted(drawn, folder / "drawings", "mismatch")
        found = examined(StoreSource(store.path), aligner)
        figures |= shares(found, kinds, copies, "drawings")
        figures |= ranked(found, kinds, copies, "drawings")
        figures |= listed_figures(found, kinds)
        notes["drawings, not checked"] = found.skipped
        notes["drawings, remarks"] = found.remarks
        sheet(found, clear_rows(found, kinds, copies), SHEETS / "doctor.png")
        dirty, kinds, copies = planted(worn, folder / "clothes", "wrong-class")
        found = examined(StoreSource(dirty.path), aligner)
        figures |= shares(found, kinds, copies, "clothes")
        notes["clothes, not checked"] = found.skipped
        if part == "measured":
            figures |= class_bound(dirty, kinds, copies)
        if part == "chosen on":
            sheet(found, clear_rows(found, kinds, copies), SHEETS / "doctor-clothes.png")
            return {"figures": figures, **notes}
        known, kinds, copies = planted(icons(COUNT), folder / "icons", "mismatch")
        found = examined(StoreSource(known.path), aligner)
        of_icons = shares(found, kinds, copies, "icons")
        figures |= {key: value for key, value in of_icons.items() if "mismatch" in key}
        others = {f"drawings of an unseen set, {style}": drawings(COUNT, part, style=style)
                  for style in UNSEEN}  # fmt: skip
        others["drawings without the sets of icons"] = drawings(COUNT, part, icon_sets=False)
        for number, (name, entries) in enumerate(others.items()):
            other, kinds, copies = planted(entries, folder / f"others-{number}", "mismatch")
            found = examined(StoreSource(other.path), aligner)
            figures |= {k: v for k, v in shares(found, kinds, copies, name).items()
                        if "mismatch" in k}  # fmt: skip
            figures |= ranked(found, kinds, copies, name)
            notes[f"{name}, not checked"] = found.skipped
            notes[f"{name}, remarks"] = found.remarks
        figures |= files_figures(drawings(400, part, 128), folder)
        figures |= leak_figures(drawn, folder)
        if FOLDER:
            figures |= photograph_figures(folder)
        # The test set, which training is measured on, is not trained on.
        dirty, *_ = planted(garments(COUNT, "chosen on"), folder / "worn", "wrong-class")
        report = clean(examined(StoreSource(dirty.path), aligner), folder / "worn-cleaned")
        figures |= training_figures(dirty, report.store)
        figures |= time_figures(part, folder, notes)
    return {"headline": "drawings, false alarms", "figures": figures, **notes}


def time_figures(part: Part, folder: Path, notes: dict[str, Any]) -> dict[str, Any]:
    """Time by the number of pictures, and what it comes to for a million."""
    figures: dict[str, Any] = {}
    many, seconds = drawings(SIZES[-1], part), {}
    for size in SIZES:
        seconds[size] = timed(many[:size], folder / f"timed-{size}", None)
        figures[f"processor seconds for {size:,} pictures"] = {
            "value": seconds[size]["all"], "unit": "s", "better": "lower",
            "goal": SECONDS_GOAL if size == SIZES[-1] else None,
        }  # fmt: skip
        notes[f"{size:,} pictures, seconds of stages"] = {
            k: round(v, 2) for k, v in seconds[size].items() if k != "all"
        }
        shutil.rmtree(folder / f"timed-{size}")
    first, last = seconds[SIZES[0]]["all"], seconds[SIZES[-1]]["all"]
    growth = (last / first) / (SIZES[-1] / SIZES[0])
    figures["time over linear, from 2,500 to 10,000 pictures"] = {
        "value": growth, "better": "lower", "goal": 1.2,
    }  # fmt: skip
    slope = (last - first) / (SIZES[-1] - SIZES[0])
    figures["planned for 1,000,000 pictures"] = {
        "value": slope * 1e6 / 3600, "unit": "h", "better": "lower",
    }  # fmt: skip
    os.environ["LIMNER_CACHE"] = str(folder / "cache")
    with_aligner = timed(many, folder / "timed", load_aligner())
    figures[f"processor seconds for {len(many):,} pictures with captions compared"] = {
        "value": with_aligner["all"], "unit": "s", "better": "lower",
    }  # fmt: skip
    notes["with captions compared, seconds of stages"] = {
        k: round(v, 2) for k, v in with_aligner.items() if k != "all"
    }
    return figures | two_cores(folder / "timed", folder, notes)


TWO = """
import json, sys, time
from pathlib import Path
import torch
torch.set_num_threads(2)
from limner.improve.checked_source import StoreSource
from limner.improve.examination import CheckOptions, check
from limner.reading.aligner import load_aligner
aligner = load_aligner()
used, begun = time.process_time(), time.monotonic()
check(StoreSource(Path(sys.argv[1])), CheckOptions(aligner=aligner))
print(json.dumps([time.monotonic() - begun, time.process_time() - used]))
"""


def two_cores(store: Path, folder: Path, notes: dict[str, Any]) -> dict[str, Any]:
    """Time of the same with two threads and an empty cache of texts, in a process of its own."""
    how = os.environ | {"OMP_NUM_THREADS": "2", "LIMNER_CACHE": str(folder / "second-cache")}
    before = os.getloadavg()[0]
    done = subprocess.run([sys.executable, "-c", TWO, str(store)], env=how, check=True,
                          capture_output=True, text=True)  # fmt: skip
    clock, used = json.loads(done.stdout.splitlines()[-1])
    notes["two threads: load of the machine before and after, over one minute"] = [
        round(before, 1), round(os.getloadavg()[0], 1),
    ]  # fmt: skip
    name = f"{SIZES[-1]:,} pictures with captions compared, two threads"
    return {
        f"{name}: seconds on the clock": {
            "value": clock, "unit": "s", "better": "lower", "goal": SECONDS_GOAL,
        },
        f"{name}: processor seconds of both": {
            "value": used, "unit": "s", "better": "lower",
        },
    }  # fmt: skip
