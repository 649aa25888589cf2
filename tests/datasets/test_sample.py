import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from limner.cli import build_app
from limner.data.pack import pack
from limner.datasets.sample import COLOURS, SHAPES, make_sample
from limner.errors import DataError


def test_the_sample_is_captioned_pictures_that_pack_accepts(tmp_path):
    assert make_sample(tmp_path / "my") == 60
    store = pack(tmp_path / "my", tmp_path / "store")
    assert len(store) == 60
    texts = {caption.text for row in range(60) for caption in store.captions(row)}
    assert texts == {*(f"a {c} {s}" for c in COLOURS for s in SHAPES), *SHAPES}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_picture_shows_what_its_caption_says(tmp_path, colour, shape):
    make_sample(tmp_path)
    pixels = np.asarray(Image.open(tmp_path / f"{colour}-{shape}-60.png").convert("RGB"))
    assert pixels.shape == (80, 96, 3)
    assert tuple(pixels[40, 48]) == COLOURS[colour]
    assert (pixels[0] == 255).all()
    ink = (pixels.astype(int).sum(-1) < 500).sum() / 60**2
    area = {"circle": np.pi / 4, "square": 1.0, "triangle": 0.5}
    if shape in area and colour != "yellow":
        assert ink == pytest.approx(area[shape], abs=0.06)


def test_a_folder_with_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.png").write_bytes(b"x")
    with pytest.raises(DataError, match="is not empty"):
        make_sample(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.png"]


def test_the_command_names_a_picture_that_is_there(tmp_path):
    done = CliRunner().invoke(build_app(), ["data", "sample", "--out", str(tmp_path / "my")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "my" / "red-heart-60.png").is_file()
