"""Packing: the captioned pictures of a source, cleaned by several processes, become a store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Unpack

from limner.data.pictures import Cleaned, Cleaning, Outcome, clean_many, end_with_parent
from limner.data.readers import ReaderOptions, SourceEntry, open_source
from limner.data.store import Caption, Store
from limner.data.writer import StoreWriter, Writing
from limner.errors import DataError, PromptError
from limner.text.validate import canonical

CHUNK = 64


@dataclass(frozen=True)
class PackOptions:
    """How a source is packed.

    Attributes:
        cleaning: size, fit and limits of the pictures.
        reader: options of the reader.
        format: name of a reader; None to detect it.
        name: of the store; empty for the name of ``out``.
        licence: licence of the pictures.
        style: style of all the pictures, where they have one.
        limit: read at most so many entries; None for all.
        workers: processes that decode; 1 to decode in this one.
    """

    cleaning: Cleaning = field(default_factory=Cleaning)
    reader: ReaderOptions = field(default_factory=ReaderOptions)
    format: str | None = None
    name: str = ""
    licence: str = "unknown"
    style: str = ""
    limit: int | None = None
    workers: int = 2


def pack(
    source: str | Path, out: str | Path, options: PackOptions | None = None, **how: Unpack[Writing]
) -> Store:
    """Pack ``source`` into a store at ``out``. Called again after a crash, it resumes.

    Args:
        source: anything a reader understands.
        out: the store to make.
        options: what is read, and how it is cleaned.
        how: ``overwrite``, ``restart`` and ``on_progress``; see
            :class:`~limner.data.writer.Writing`.

    Raises:
        DataError: the source cannot be read, the store cannot be written, or an option was given
            that no entry has a use for.
    """
    source, out = Path(source), Path(out)
    options = options or PackOptions()
    reader = open_source(source, options.reader, options.format)
    identity = {"source": str(source.resolve()), "reader": reader.name}
    return pack_items(
        reader, out, options, identity, total=reader.count(), check=reader.check_options, **how
    )


def pack_items(
    items: Iterable[SourceEntry],
    out: Path,
    options: PackOptions,
    identity: Mapping[str, Any],
    *,
    total: int | None = None,
    check: Callable[[], None] | None = None,
    **how: Unpack[Writing],
) -> Store:
    """Pack any entries, for example generated ones; see :func:`pack`.

    Args:
        items: the entries, in the same order each time the same pack is run.
        out: the store to make.
        options: how; ``reader`` and ``format`` are not used.
        identity: JSON-able; an unfinished pack is resumed only if it has the same.
        total: how many entries there are, where known.
        check: called when all entries are read; the pack is discarded if it raises.
        how: as for :func:`pack`.
    """
    if options.limit is not None:
        items = islice(items, options.limit)
        total = options.limit if total is None else min(total, options.limit)
    name = options.name or out.name
    settings = {**identity, "options": repr(replace(options, workers=0))}
    licences = {name: options.licence}
    size = options.cleaning.size
    with StoreWriter(out, size, name, licences=licences, settings=settings, **how) as writer:
        for item, outcome in cleaned_entries(writer.rest(items, lambda item: item.key), options):
            _write(writer, item, outcome, options)
            writer.progress(writer.consumed, total)
        if check is not None and writer.consumed != options.limit:
            try:
                check()
            except DataError:
                writer.discard()
                raise
        return writer.finish()


def _write(writer: StoreWriter, item: SourceEntry, outcome: Outcome, options: PackOptions) -> None:
    captions, problem = usable_captions(item.captions)
    if not isinstance(outcome, Cleaned):
        writer.skip(item.key, item.problem or outcome or "no picture")
    elif not captions:
        writer.skip(item.key, problem or "no caption")
    else:
        metadata = dict(item.metadata)
        if options.style:
            metadata["style"] = options.style
        notes = (*outcome.notes, "one of several captions unusable") if problem else outcome.notes
        writer.add(outcome.pixels, captions, metadata, key=item.key, notes=notes)


def usable_captions(captions: Iterable[Caption]) -> tuple[list[Caption], str]:
    """Spell captions as prompts are spelled, and leave out those that cannot be prompts.

    Returns:
        The captions, each once, and what is wrong with the last that is left out, if any is.
    """
    usable, problem = [], ""
    for caption in captions:
        try:
            usable.append(replace(caption, text=canonical(caption.text, "caption")))
        except PromptError as error:
            problem = f"unusable caption: {error}"
    return list(dict.fromkeys(usable)), problem


def cleaned_entries(
    items: Iterator[SourceEntry], options: PackOptions
) -> Iterator[tuple[SourceEntry, Outcome]]:
    """Clean entries, in their order, in several processes where there are many."""
    first = list(islice(items, CHUNK))
    if options.workers <= 1 or len(first) < CHUNK:
        for item in chain(first, items):
            yield item, clean_many([item.image], options.cleaning)[0]
        return
    # Spawned, not forked: a fork of a process with torch's threads may hang.
    pool = ProcessPoolExecutor(
        options.workers, mp_context=get_context("spawn"), initializer=end_with_parent
    )
    waiting: deque[tuple[list[SourceEntry], Future[list[Outcome]]]] = deque()
    try:
        chunk = first
        while chunk or waiting:
            if chunk:
                sources = [item.image for item in chunk]
                waiting.append((chunk, pool.submit(clean_many, sources, options.cleaning)))
                chunk = list(islice(items, CHUNK))
            if len(waiting) > 2 * options.workers or not chunk:
                done, future = waiting.popleft()
                yield from zip(done, future.result(), strict=True)
    except BrokenProcessPool as error:
        raise DataError(
            "a decoding process was killed, perhaps for memory; run the same command again with "
            "--workers 1 to resume"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
