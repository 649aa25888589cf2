"""The conversion of pictures is exact both ways and laid out as networks were always given them."""

import io

import numpy as np
import torch
from PIL import Image

from limner.vision.images import png_bytes
from limner.vision.pixels import to_images, to_tensor, to_uint8


def every_value():
    """One picture with each of the 256 values in each channel, ``(1, 16, 16, 3)``."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    return np.stack([values, values[::-1], values.T], -1)[None]


def test_values_are_those_of_the_definition_and_come_back():
    pixels = every_value()
    tensor = to_tensor(pixels)
    assert tensor.shape == (1, 3, 16, 16) and tensor.dtype == torch.float32
    assert float(tensor.min()) == -1.0 and float(tensor.max()) == 1.0
    truth = pixels.transpose(0, 3, 1, 2).astype(np.float64) / 127.5 - 1
    np.testing.assert_allclose(tensor.numpy(), truth, atol=1e-7)
    assert np.array_equal(to_uint8(tensor).numpy(), pixels)
    assert np.array_equal(np.asarray(to_images(tensor)[0]), pixels[0])


def test_arrays_lists_tensors_and_read_only_memory_give_the_same():
    pixels = every_value()
    locked = pixels.copy()
    locked.setflags(write=False)
    whole = to_tensor(pixels)
    assert whole.is_contiguous(memory_format=torch.channels_last)
    for other in (locked, list(pixels), torch.from_numpy(pixels)):
        assert torch.equal(to_tensor(other), whole)
    whole.zero_()  # new memory: the pictures themselves stay as they are
    assert np.array_equal(pixels, every_value())


def test_values_beyond_the_range_are_clipped():
    images = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_uint8(images)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_a_png_holds_the_pixels_and_the_texts():
    for mode in ("RGB", "RGBA"):
        image = Image.fromarray(every_value()[0]).convert(mode)
        with Image.open(io.BytesIO(png_bytes(image, {"say": "naïve 猫"}))) as found:
            assert found.format == "PNG" and found.mode == mode
            assert found.tobytes() == image.tobytes()
            assert found.info["say"] == "naïve 猫"


def test_pngs_of_drawings_are_no_larger_than_by_the_usual_strategy():
    rows, columns = np.mgrid[:128, :128]
    disc = np.where(((rows - 64) ** 2 + (columns - 64) ** 2 < 2500)[..., None], (220, 40, 30), 255)
    noise = np.random.default_rng(0).integers(-2, 3, disc.shape)  # as decoders leave it
    image, usual = Image.fromarray((disc + noise).clip(0, 255).astype(np.uint8)), io.BytesIO()
    image.save(usual, "PNG")
    assert len(png_bytes(image)) <= usual.tell()
