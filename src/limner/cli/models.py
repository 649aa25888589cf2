"""``limner models``: what models are on disk, and those of the hub."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from limner.cli import print_json, say
from limner.cli.options import JsonOption
from limner.errors import MissingExtraError, ModelFileError, UsageError


class _Found(NamedTuple):
    """A model on disk, and what ``--model`` takes for it."""

    spec: str
    kind: str
    bytes: int


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Models on disk, and those of the hub.", no_args_is_help=True)
    group.command("list")(list_models)
    group.command()(pull)
    group.command()(rm)
    app.add_typer(group, name="models")


def list_models(*, as_json: JsonOption = False) -> None:
    """List the models on disk with their sizes.

    Lists the shipped models, those in this folder and its run folders, and the hub's cache.
    """
    found = [*_shipped(), *_local()]
    try:
        found += [_of_repo(repo) for repo in _cached()]
    except MissingExtraError as error:  # what is on disk is listed nevertheless
        say("note", error)
    if as_json:
        print_json([each._asdict() for each in found])
        return
    for each in found:
        print(f"{each.bytes / 1e6:>10,.1f} MB  {each.kind:<8} {each.spec}")


def pull(
    model: Annotated[str, typer.Argument(help="Id of a model of the hub, such as OWNER/NAME.")],
) -> None:
    """Download a model of the hub: no code, no pickles."""
    from limner.generation.backends.source import HubSource
    from limner.hub import HUB

    source = HubSource.parse(model if model.startswith(HUB) else HUB + model)
    print(f"{source.folder} ({source.bytes / 1e6:,.1f} MB)")


def rm(
    model: Annotated[str, typer.Argument(help="Id of a model of the hub that is on disk.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a model of the hub from its cache."""
    from limner.hub import HUB

    name = model.removeprefix(HUB)
    repo = next((each for each in _cached() if each.repo_id == name), None)
    if repo is None:
        raise ModelFileError(
            f"{name} is not in the cache of the hub, whose models alone are removed here; "
            "'limner models list' names them"
        )
    if not yes:
        if not sys.stdin or not sys.stdin.isatty():
            raise UsageError(f"{name} is not removed without a yes: give --yes")
        typer.confirm(f"Remove {name} ({repo.size_on_disk / 1e6:,.1f} MB)?", abort=True, err=True)
    from huggingface_hub import scan_cache_dir

    revisions = [each.commit_hash for each in repo.revisions]
    scan_cache_dir(repo.repo_path.parent).delete_revisions(*revisions).execute()
    print(f"removed {name}: {repo.size_on_disk / 1e6:,.1f} MB")


def _shipped() -> Iterator[_Found]:
    from limner.shipped import shipped_folder

    for path in sorted(shipped_folder().glob("*.safetensors")):
        yield _Found(path.stem, "shipped", path.stat().st_size)


def _local() -> Iterator[_Found]:
    """Models of limner's own in this folder, and run folders in it."""
    from contextlib import suppress

    from limner.modelinfo import read_info
    from limner.shipped import RUN_MODEL

    for path in sorted([*Path().glob("*.safetensors"), *Path().glob(f"*/{RUN_MODEL}")]):
        with suppress(ModelFileError):
            read_info(path)
            spec = path.parent if path.name == RUN_MODEL and path.parent != Path() else path
            yield _Found(str(spec), "local", path.stat().st_size)


def _cached() -> list[Any]:
    """The models in the cache of the hub; none where there is no cache."""
    try:
        from huggingface_hub import constants, scan_cache_dir
        from huggingface_hub.errors import CacheNotFound
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub", "the cache of the hub") from error
    try:
        repos = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return []
    models = [each for each in repos if each.repo_type == "model"]
    return sorted(models, key=lambda each: each.repo_id)


def _of_repo(repo: Any) -> _Found:
    return _Found(f"hub:{repo.repo_id}", "hub", repo.size_on_disk)
