"""The data-set doctor beside cleanvision, imagehash and cleanlab: what each finds of faults.

Two sets: drawings (64 px, those of ``doctor.py``) and crops of photographs (128 px, those that
scikit-image brings with it), each with faults of pictures and copies planted by ``_faults.py``.
cleanvision runs with its own thresholds; a copy found by imagehash is one whose perceptual hash
(``phash``, 64 bits) differs in five bits at most. Untouched pictures count as faultless: what is
wrong with them by nature, such as a crop out of focus, counts as a false alarm of whoever says so.
That soft parts of photographs were called blurred was seen here; what is measured instead, and its
threshold, were chosen on other photographs: those of Debian's mate-backgrounds and
plasma-workspace-wallpapers, and scikit-learn's.

Captions that do not match are compared by their scores alone, each at the threshold at which it
doubts 2 % of the right ones (and by the area under the ROC curve): what limner says; the cosine of
limner's aligner, as pairs from the web are filtered by that of CLIP; and cleanlab, which judges
labels, with the words of a caption for its labels (``multilabel_classification``): chances by one
logistic regression for each word that two captions or more have, of the same aligner's vectors, out
of fold. A caption of which no word comes a second time has nothing that cleanlab could judge, and
the score of a caption with usual words.

``LIMNER_DOCTOR_PEERS`` names the Python of a virtual environment with ``cleanvision imagehash
scikit-image cleanlab``.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import _faults as faults
from _figures import curve_figures
from _photographs import OF_SKIMAGE
from doctor import drawings, judged_rows, planted, share
from limner.data.store import Store
from limner.errors import UsageError
from limner.improve.checked_source import StoreSource
from limner.improve.examination import CheckOptions, check
from limner.reading.aligner import load_aligner
from limner.vision.pixels import to_tensor

CROP, DRAWINGS = 128, 1000
KINDS = (*faults.PICTURE_FAULTS, "exact-duplicate", "near-duplicate")
OF_CLEANVISION = {
    "blank": "low_information", "low-information": "low_information", "dark": "dark",
    "light": "light", "blurred": "blurry", "exact-duplicate": "exact_duplicates",
    "near-duplicate": "near_duplicates",
}  # fmt: skip
PEERS = """
import itertools, json, sys
from importlib.metadata import version
from pathlib import Path
from PIL import Image
import imagehash
from cleanvision import Imagelab
folder = sys.argv[1]
lab = Imagelab(data_path=folder)
lab.find_issues(n_jobs=1, verbose=False)
found = {}
for column in lab.issues.columns:
    if column.startswith("is_"):
        name = column[3:-6]
        for path in lab.issues.index[lab.issues[column]]:
            found.setdefault(Path(path).stem, []).append(name)
hashes = {p.stem: imagehash.phash(Image.open(p)) for p in sorted(Path(folder).glob("*.png"))}
alike = set()
for (one, a), (other, b) in itertools.combinations(hashes.items(), 2):
    if a - b <= 5:
        alike |= {one, other}
versions = {name: version(name) for name in ("cleanvision", "imagehash")}
print(json.dumps({"cleanvision": found, "imagehash": sorted(alike), "versions": versions}))
"""

WORDS = """
import json, re, sys
from importlib.metadata import version
import numpy as np
from cleanlab.multilabel_classification import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
given = np.load(sys.argv[1])
vectors, texts = given["vectors"], given["texts"].tolist()
words = [set(re.findall(r"\\w+", text.lower())) for text in texts]
count = {}
for each in words:
    for word in each:
        count[word] = count.get(word, 0) + 1
known = sorted(word for word, many in count.items() if 2 <= many < len(texts))
has = np.array([[word in each for word in known] for each in words])
chances = np.zeros(has.shape)
for train, test in KFold(5, shuffle=True, random_state=0).split(vectors):
    for column in range(len(known)):
        if not has[train, column].any():
            continue
        fitted = LogisticRegression(C=10, max_iter=200).fit(vectors[train], has[train, column])
        chances[test, column] = fitted.predict_proba(vectors[test])[:, 1]
some = has.any(1)
labels = [np.flatnonzero(row).tolist() for row in has[some]]
quality = np.zeros(len(texts))
quality[some] = get_label_quality_scores(labels, chances[some])
quality[~some] = np.median(quality[some])
print(json.dumps({"doubt": (-quality).tolist(), "version": version("cleanlab")}))
"""


def peers() -> str:
    """The Python of the peers' environment."""
    found = os.environ.get("LIMNER_DOCTOR_PEERS")
    if not found:
        raise UsageError("LIMNER_DOCTOR_PEERS is not set: name a Python with cleanvision in it")
    return found


def photographs() -> list[tuple[faults.Pixels, str, str]]:
    """Crops side by side of scikit-image's photographs, each with a caption of its own."""
    say = "import skimage, pathlib; print(pathlib.Path(skimage.__file__).parent / 'data')"
    folder = subprocess.run([peers(), "-c", say], capture_output=True, text=True, check=True)
    found = []
    for name in OF_SKIMAGE:
        whole = np.asarray(Image.open(Path(folder.stdout.strip()) / name).convert("RGB"))
        for top in range(0, whole.shape[0] - CROP + 1, CROP):
            for left in range(0, whole.shape[1] - CROP + 1, CROP):
                text = f"{Path(name).stem} from {top}, {left}"
                found.append((whole[top : top + CROP, left : left + CROP], text, text))
    order = np.random.default_rng(9).permutation(len(found))
    return [found[row] for row in order.tolist()]


def figures(name: str, store: Store, kinds: dict[int, str], copies: dict[int, int],
            folder: Path) -> tuple[dict[str, Any], dict[str, str]]:  # fmt: skip
    """Recall and false alarms of the three, and versions of the peers."""
    folder.mkdir()
    for row in range(len(store)):
        Image.fromarray(store.images[row]).save(folder / f"{row}.png")
    done = subprocess.run(
        [peers(), "-c", PEERS, str(folder)], capture_output=True, text=True, check=True
    )
    theirs = json.loads(done.stdout.splitlines()[-1])
    ours: dict[int, set[str]] = {}
    for finding in check(StoreSource(store.path)).findings:
        ours.setdefault(finding.item, set()).add(finding.issue)
    said = {
        "limner": ours,
        "cleanvision": {int(k): set(v) for k, v in theirs["cleanvision"].items()},
        "imagehash": {int(k): {"alike"} for k in theirs["imagehash"]},
    }
    of = {copy: original for original, copy in copies.items()}
    clear = [r for r in range(len(store)) if r not in kinds and r not in copies]
    found: dict[str, Any] = {}
    for tool, issues in said.items():
        for kind in KINDS:
            wanted = {"limner": kind, "cleanvision": OF_CLEANVISION[kind], "imagehash": "alike"}
            if tool == "imagehash" and not kind.endswith("duplicate"):
                continue
            rows = [row for row, its in kinds.items() if its == kind]
            hits = sum(
                _has(issues, row, wanted[tool]) or _has(issues, of.get(row, row), wanted[tool])
                for row in rows
            )
            found[f"{name}, {tool}: {kind}"] = share(hits, len(rows), None, "higher")
        every = {*KINDS, *OF_CLEANVISION.values(), "alike"}
        alarms = sum(bool(issues.get(row, set()) & every) for row in clear)
        found[f"{name}, {tool}: false alarms"] = share(alarms, len(clear), None, "lower")
        for kind in sorted(every):
            count = sum(kind in issues.get(row, set()) for row in clear)
            if count:
                found[f"{name}, {tool}: false alarms, {kind}"] = share(
                    count, len(clear), None, "lower"
                )
    return found, theirs["versions"]


def _has(issues: dict[int, set[str]], row: int, wanted: str) -> bool:
    return wanted in issues.get(row, set())


def without_text_faults(kinds: dict[int, str]) -> dict[int, str]:
    """The planted faults that are of pictures; those of captions are the same for everybody."""
    return {row: kind for row, kind in kinds.items() if kind in KINDS}


def caption_figures(pictures: Sequence[Any], folder: Path) -> tuple[dict[str, Any], str]:
    """How well limner, its aligner alone, and cleanlab tell captions of other pictures."""
    store, kinds, copies = planted(pictures, folder / "captions", "mismatch")
    aligner = load_aligner()
    ours = check(StoreSource(store.path), CheckOptions(aligner=aligner))
    right, wrong = judged_rows(ours, kinds, copies)
    rows = np.sort(np.flatnonzero(np.isfinite(ours.scores["mismatch"])))
    texts = [store.captions(row)[0].text for row in rows.tolist()]
    vectors = aligner.encode_images(to_tensor(store.batch(rows.tolist()))).numpy()
    cosines = (vectors * aligner.encode_texts(texts).numpy()).sum(1)
    np.savez(folder / "captions.npz", vectors=vectors, texts=np.array(texts))
    done = subprocess.run([peers(), "-c", WORDS, str(folder / "captions.npz")],
                          capture_output=True, text=True, check=True)  # fmt: skip
    theirs = json.loads(done.stdout.splitlines()[-1])
    said = {"limner": ours.scores["mismatch"][rows], "aligner's cosine alone": -cosines,
            "cleanlab": np.array(theirs["doubt"])}  # fmt: skip
    found: dict[str, Any] = {}
    for tool, doubt in said.items():
        of_right, of_wrong = (doubt[np.searchsorted(rows, each)] for each in (right, wrong))
        found |= curve_figures(of_right, of_wrong, f"drawings' captions, {tool}")
    return found, str(theirs["version"])


def run() -> dict[str, Any]:
    """Measure all three on both sets."""
    found: dict[str, Any] = {}
    versions: dict[str, str] = {}
    entries: Sequence[tuple[str, list[Any]]] = (
        ("drawings", drawings(DRAWINGS, "measured")), ("photographs", photographs()),
    )  # fmt: skip
    counts = {}
    with tempfile.TemporaryDirectory() as place:
        for name, pictures in entries:
            store, kinds, copies = planted(pictures, Path(place) / name, "mismatch")
            some, versions = figures(
                name, store, without_text_faults(kinds), copies, Path(place) / f"{name}-png"
            )
            found |= some
            counts[f"{name}, pictures"] = len(store)
        some, versions["cleanlab"] = caption_figures(entries[0][1], Path(place))
        found |= some
    return {"headline": "drawings, limner: false alarms", "figures": found,
            "versions": versions, **counts}  # fmt: skip
