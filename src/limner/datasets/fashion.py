"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 70,000 photographs of clothes in ten classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, Unpack

from limner.data.pack import PackOptions, pack_items
from limner.data.readers import ReaderOptions, SourceEntry
from limner.data.readers.idx import IdxReader
from limner.data.store import Caption, Store
from limner.data.tree import FileTree
from limner.data.writer import Writing
from limner.datasets.emoji import article
from limner.errors import DataError
from limner.scenes.quantities import is_plural

FOLDER = Path("/usr/share/datasets/fashion-mnist")
LICENCE = "MIT (Zalando SE)"
Split = Literal["train", "test", "all"]
# In English with the word that counts or precedes it; trousers and sandals come in pairs.
CLASSES = (
    ("T-shirt", "T恤", "件"),
    ("trousers", "裤子", "条"),
    ("pullover", "套头衫", "件"),
    ("dress", "连衣裙", "条"),
    ("coat", "外套", "件"),
    ("sandal", "凉鞋", "只"),
    ("shirt", "衬衫", "件"),
    ("sneaker", "运动鞋", "只"),
    ("bag", "包", "个"),
    ("ankle boot", "短靴", "只"),
)
_SPLITS = {"train": ("train",), "test": ("t10k", "test"), "all": ("train", "t10k", "test")}


def class_captions(label: int) -> tuple[Caption, ...]:
    """Return the captions of class ``label`` (0 to 9), English and Chinese, heaviest first."""
    english, chinese, measure = CLASSES[label]
    thing = f"a pair of {english}" if is_plural(english) else article(english)
    return (
        Caption(f"a photo of {thing}", "en", 1.0),
        Caption(english, "en", 1.0),
        Caption(chinese, "zh", 0.7),
        Caption(thing, "en", 0.5),
        Caption(f"一{measure}{chinese}", "zh", 0.4),
        Caption(f"a black and white picture of {thing}", "en", 0.25),
        Caption(f"{chinese}的照片", "zh", 0.25),
    )


def _items(reader: IdxReader, split: Split) -> Iterator[SourceEntry]:
    for item in reader.entries():
        label = item.metadata["label"]
        if item.metadata["split"] not in _SPLITS[split]:
            continue
        if not 0 <= label < len(CLASSES):
            raise DataError(f"{reader.tree.path} is not Fashion-MNIST: it has a class {label}")
        name = CLASSES[label][0]
        metadata = {
            **item.metadata, "source": "fashion-mnist", "style": "photo",
            "concept": f"fashion:{name.lower().replace(' ', '-')}", "label": name,
            "licence": LICENCE,
        }  # fmt: skip
        yield replace(item, captions=class_captions(label), metadata=metadata)


def pack_fashion(
    out: Path,
    options: PackOptions | None = None,
    *,
    folder: Path = FOLDER,
    split: Split = "train",
    **how: Unpack[Writing],
) -> Store:
    """Pack Fashion-MNIST.

    Args:
        out: the store to make.
        options: size and workers; names, licence and captions are the data set's own.
        folder: with the IDX files.
        split: ``train`` (60,000), ``test`` (10,000) or ``all``.
        how: as for :func:`limner.data.pack.pack`.

    Raises:
        DataError: the files are not there, or are not Fashion-MNIST.
    """
    if not folder.is_dir():
        raise DataError(
            f"Fashion-MNIST is not at {folder}; run: apt-get install dataset-fashion-mnist, "
            "or pass --from FOLDER with its IDX files"
        )
    if split not in _SPLITS:
        raise DataError(f"the split is 'train', 'test' or 'all', not {split!r}")
    base = options or PackOptions()
    return pack_items(
        _items(IdxReader(FileTree(folder), ReaderOptions()), split),
        out,
        replace(base, name=f"fashion-mnist-{split}", licence=LICENCE, style=""),
        {"kind": "fashion", "folder": str(folder.resolve()), "split": split},
        **how,
    )
