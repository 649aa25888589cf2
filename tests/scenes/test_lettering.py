"""Words on things: inside them, legible, as large as there is room, over what was drawn there."""

import numpy as np
import pytest

from limner.scenes.lettering import can_be_written, write, write_heading


def board(colour=(0.8, 0.8, 0.9)) -> np.ndarray:
    """A sign: a board on a thin pole."""
    cut = np.zeros((100, 100, 4), np.float32)
    cut[5:55, 5:95] = cut[55:, 45:55] = (*colour, 1)
    return cut


def written(words: str, cut: np.ndarray, channels: int = 3) -> np.ndarray:
    canvas = np.ones((200, 200, channels), np.float32)
    canvas[...] = np.kron(cut, np.ones((2, 2, 1), np.float32))[..., :channels]
    write(canvas, cut, (0.0, 0.0, 1.0, 1.0), words)
    return canvas


def test_words_are_on_the_board_and_not_on_the_pole():
    before, after = written(" ", board()), written("OPEN", board())
    changed = np.abs(after - before).max(-1) > 0.2
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert rows[0] > 10 and rows[-1] < 110
    assert columns[0] > 10 and columns[-1] < 190
    assert len(columns) > 100, "as large as there is room"
    assert after[changed].mean() < 0.5, "dark on light"


def test_letters_on_dark_things_are_light():
    before, after = written(" ", board((0.6, 0.0, 0.1))), written("HI", board((0.6, 0.0, 0.1)))
    assert after[np.abs(after - before).max(-1) > 0.2].mean() > 0.6


def test_what_was_on_the_board_is_covered():
    cut = board()
    cut[20:23, 20:80, :3] = 0.3
    after = written("I", cut)
    assert (np.abs(after[40:46, 44:60] - (0.8, 0.8, 0.9)).max(-1) < 0.05).all()


def test_many_words_stand_in_lines():
    after, before = written("one two three four five six", board()), written(" ", board())
    dark = (np.abs(after - before).max(-1) > 0.4).any(1)
    assert np.diff(dark.astype(int)).clip(0).sum() >= 2


def test_what_is_transparent_stays_so():
    after = written("OPEN", board(), 4)
    assert (after[..., 3] == written(" ", board(), 4)[..., 3]).all()
    assert (after[..., :3] <= after[..., 3:] + 1e-6).all()


@pytest.mark.parametrize(("words", "can"), [
    ("Geöffnet", True), ("Niño, ¿qué tal?", True), ("Ça va – à bientôt", True), ("STOP!", True),
    ("你好", False), ("Привет", False), ("مرحبا", False), (" ", False),
])  # fmt: skip
def test_latin_letters_are_known(words, can):
    assert can_be_written(words) == can


def test_accents_are_above_their_letters():
    plain, accented = written("uuu", board()), written("üúû", board())
    changed = np.flatnonzero((np.abs(plain - accented).max(-1) > 0.3).any(1))
    letters = np.flatnonzero((np.abs(plain - written(" ", board())).max(-1) > 0.3).any(1))
    assert len(changed)
    assert changed.mean() < letters.mean()


@pytest.mark.parametrize("letter", ["é", "ñ", "ö", "č", "Å", "ê"])
def test_accents_stand_just_above_their_letter(letter):
    canvas = np.ones((256, 256, 3), np.float32)
    write_heading(canvas, letter)
    inked = (canvas.min((1, 2)) < 0.5).astype(int)
    starts, ends = (np.flatnonzero(np.diff(inked, prepend=0, append=0) == way) for way in (1, -1))
    assert len(starts) == 2, "an accent and a letter"
    assert 1 <= starts[1] - ends[0] <= 4
    assert starts[0] > 0, "it is not cut off"


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("brightness", [0.1, 0.95])
def test_a_heading_is_told_from_what_is_behind_it(channels, brightness):
    canvas = np.full((200, 200, channels), brightness, np.float32)
    canvas[..., 3:] = 1
    before = canvas.copy()
    write_heading(canvas, "Merry Christmas")
    letters = np.abs(canvas - before)[..., :3].max(-1) > 0.3
    assert letters.any()
    assert (canvas[letters][:, :3].mean() > 0.5) == (brightness < 0.5)


def test_a_heading_on_nothing_is_dark_as_pictures_are_seen_on_white():
    canvas = np.zeros((200, 200, 4), np.float32)
    write_heading(canvas, "Hello")
    written = canvas[canvas[..., 3] > 0.9]
    assert len(written) and written[:, :3].max() < 0.5
