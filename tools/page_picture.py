"""Draw the README's picture of the page: ``limner serve`` in a browser, after a prompt was typed.

    python tools/page_picture.py docs/images/page.png "a sailboat on the sea at sunset" --seed 4

It needs ``pip install 'limner[dev]'`` and a Chromium.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, HEIGHT = 860, 778
SECONDS = 300


def picture_of(address: str, prompt: str, seed: int, out: Path) -> None:
    """Type a prompt into the page at an address, and write what is seen once it is drawn.

    Args:
        address: of the page.
        prompt: is typed.
        seed: of the first of the four pictures.
        out: a PNG file.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, NAMES)), playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(
            locale="en-US", color_scheme="light", viewport={"width": WIDTH, "height": HEIGHT}
        )
        page.set_default_timeout(SECONDS * 1000)
        page.goto(address)
        page.get_by_label("Seed", exact=True).fill(str(seed))
        page.get_by_role("textbox").fill(prompt)
        page.wait_for_function(
            "seed => document.querySelectorAll('.tile').length === 4"
            " && document.querySelector('.tile img').alt.endsWith(`Seed ${seed})`)"
            " && document.querySelector('.grid').ariaBusy === 'false'",
            arg=seed,
        )
        page.mouse.click(5, 5)
        page.screenshot(path=out)
        browser.close()


def main() -> None:
    """Serve the shipped model, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("prompt")
    parser.add_argument("--seed", type=int, default=4)
    given = parser.parse_args()
    command = [sys.executable, "-m", "limner", "serve", "--port", "0", "--no-gallery"]
    with subprocess.Popen(
        [*command, "--workers", "1"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            address = re.search(r"http://\S+:\d+", server.stdout.readline())
            assert address is not None
            picture_of(address[0], given.prompt, given.seed, given.out)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
