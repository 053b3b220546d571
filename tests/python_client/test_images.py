"""Preprocessing: what the model is given is upright, opaque, and the middle of the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glancedb import edits, images


def test_transparency_becomes_white() -> None:
    clear = Image.new("RGBA", (300, 300), (255, 0, 0, 0))
    assert np.unique(images.crop(clear, 224)).tolist() == [255]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    picture = Image.new("RGB", (400, 300), "black")
    picture.paste((255, 255, 255), (0, 0, 400, 150))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: the bright half belongs on the right
    picture.save(tmp_path / "turned.jpg", exif=exif)
    array = images.read(tmp_path / "turned.jpg", 224)
    assert array[:, 200:].mean() > 250
    assert array[:, :24].mean() < 5


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (224, 224), (1000, 700)])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "I;16", "1", "LA"])
def test_any_size_and_mode_gives_the_model_its_square(size: tuple[int, int], mode: str) -> None:
    array = images.crop(Image.new(mode, size), 224)
    assert array.shape == (224, 224, 3)
    assert array.dtype == np.uint8


def test_what_is_no_picture_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(OSError, match=r"a\.jpg"):
        images.read(tmp_path / "a.jpg", 224)


def test_find_takes_pictures_only_and_subfolders_when_asked(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.JPG", "a.png", "notes.txt", "sub/c.webp"):
        (tmp_path / name).touch()
    assert [path.name for path in images.find(tmp_path, recursive=False)] == ["a.png", "b.JPG"]
    assert [path.name for path in images.find(tmp_path)] == ["a.png", "b.JPG", "c.webp"]


@pytest.mark.parametrize("name", [*edits.STORED, *edits.ASKED])
def test_edits_keep_a_picture_a_picture(name: str) -> None:
    edit = (edits.STORED | edits.ASKED)[name]
    assert edit(Image.new("RGB", (320, 240), "teal")).mode == "RGB"
