"""``limner gallery``: what the server has drawn is listed, found, packed and forgotten."""

from __future__ import annotations

import json
from pathlib import Path

from limner.data.store import Store
from limner.serving.gallery import Gallery
from serving.gallery_writer import kept


def test_an_export_is_a_store_of_what_was_liked(tmp_path, cli):
    gallery = Gallery(tmp_path / "gallery")
    for seed, prompt in enumerate(("a cat", "雪地里的狐狸", "a dog")):
        row = kept(gallery, prompt, seed, side=64)
        if seed < 2:
            gallery.judge(row, 1)
    where, out = ["--gallery", str(tmp_path / "gallery")], tmp_path / "liked"
    made = cli("gallery", "export", "--liked", "--size", "32", "--out", str(out), *where)
    assert (made.code, made.out) == (0, f"{out}: 2 pictures of 32x32\n")
    store = Store.open(out)
    assert sorted(store.caption_table().texts) == ["a cat", "雪地里的狐狸"]
    assert store.images[0, 0, 0].tolist() == [53, 55, 57]  # the newest first
    nothing = cli("gallery", "export", "--query", "a horse", "--out", str(tmp_path / "no"), *where)
    assert (nothing.code, (tmp_path / "no").exists()) == (2, False)
    assert "there is no such picture in the gallery" in nothing.err


def test_the_command_finds_shows_and_prunes(tmp_path, cli):
    gallery = Gallery(tmp_path / "gallery")
    rows = [kept(gallery, prompt, seed) for seed, prompt in enumerate(("a cat", "a dog"))]
    where = ["--gallery", str(tmp_path / "gallery")]
    assert [line.split()[0] for line in cli("gallery", "list", *where).out.splitlines()] == [
        rows[1].id, rows[0].id,
    ]  # fmt: skip
    assert json.loads(cli("gallery", "search", "CAT", "--json", *where).out)[0]["seed"] == 0
    shown = json.loads(cli("gallery", "show", rows[0].id, *where).out)
    assert (shown["prompt"], Path(shown["file"])) == ("a cat", gallery.path(rows[0]))
    assert cli("gallery", "show", "../x", *where).code == 2
    assert cli("gallery", "search", *where).code == 2
    assert cli("gallery", "prune", *where).code == 2
    assert cli("gallery", "prune", "--keep-bytes", "0", *where).out == "2 pictures forgotten\n"
    none = cli("gallery", "list", "--gallery", str(tmp_path / "none"))
    assert none.code == 2 and "there is no gallery" in none.err
    assert not (tmp_path / "none").exists()
