"""Run the steps of deploy/Dockerfile without a container engine, in a clean folder.

Folders of the image are folders below a temporary one; packages come from the index that pip is
set to. What only a container engine can do (base images, users, volumes) is named and left out.
Then the server is started as the image starts it, its health check is run, and a picture is drawn.

    python tools/check_dockerfile.py
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
FOLDERS = ("/src", "/opt/limner", "/data", "/tmp/limner", "/run/secrets")
LEFT_OUT = ("FROM", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")
PORT = "8131"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line[:1] not in ("", "#")]
    return [(name, given) for name, _, given in (line.partition(" ") for line in lines)]


def command(name: str) -> list[str]:
    """The last command of an instruction, as a list of arguments."""
    given = [text for kind, text in instructions() if kind == name][-1]
    found: list[str] = json.loads(given[given.index("[") :])
    return found


def main() -> None:
    """Check it.

    Raises:
        SystemExit: a step fails, the server is not healthy, or it draws nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder)

        def inside(text: str) -> str:
            """A text whose folders are those below the temporary one."""
            pattern = "|".join(map(re.escape, FOLDERS))
            return re.sub(rf"(?<![\w.])({pattern})(?![\w-])", rf"{image}\1", text)

        environment = os.environ | {"PIP_OPTIONS": ""}
        where = image
        for name, given in instructions():
            if name in LEFT_OUT or "useradd" in given or "--from=" in given:
                print(f"left out: {name} {given}"[:100], flush=True)
                continue
            print(f"step: {name} {given}"[:100], flush=True)
            if name == "WORKDIR":
                where = Path(inside(given))
                where.mkdir(parents=True)
            elif name == "COPY":
                *sources, target = shlex.split(given)
                for source in sources:
                    copy(ROOT / source, Path(inside(target)), inside_folder=target.endswith("/"))
            elif name == "ENV":
                pairs = (pair.split("=", 1) for pair in shlex.split(inside(given)))
                environment |= {key: os.path.expandvars(value) for key, value in pairs}
            elif name == "RUN":
                subprocess.run(inside(given), shell=True, cwd=where, env=environment, check=True)
        serve(image, inside, environment)


def copy(source: Path, target: Path, *, inside_folder: bool) -> None:
    """Copy as COPY does."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target / source.name if inside_folder else target)


def serve(image: Path, inside: Callable[[str], str], environment: dict[str, str]) -> None:
    """Start the server as the image does, and draw."""
    secrets = image / "run" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "limner_keys").write_text(f"ann {hashlib.sha256(b'secret').hexdigest()}\n")
    arguments = [inside(each) for each in (*command("ENTRYPOINT"), *command("CMD"))]
    arguments[arguments.index("8000")] = PORT
    server = subprocess.Popen(arguments, env=environment, cwd=image)
    try:
        check = [inside(each).replace("8000", PORT) for each in command("HEALTHCHECK")]
        until = time.monotonic() + 120
        quiet: dict[str, Any] = {"env": environment, "stderr": subprocess.DEVNULL}
        while subprocess.run(check, check=False, **quiet).returncode:
            if server.poll() is not None or time.monotonic() > until:
                sys.exit("the server is not healthy")
            time.sleep(0.5)
        print("healthy", flush=True)
        request = urllib.request.Request(
            f"http://127.0.0.1:{PORT}/v1/images/generations",
            data=b'{"prompt": "a red heart", "seed": 7}',
            headers={"content-type": "application/json", "authorization": "Bearer secret"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            drawn = json.load(answer)["data"][0]
        kept = list((image / "data").rglob("*.png"))
        print(f"drawn: {len(drawn['b64_json'])} characters; kept: {len(kept)} picture", flush=True)
    finally:
        server.terminate()
        server.wait(60)
    print(f"ended with {server.returncode}")


if __name__ == "__main__":
    main()
