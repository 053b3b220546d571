"""Pictures as a model takes them: decoded, upright, opaque, cropped.

Preprocessing before the graph: EXIF orientation applied, transparency on white, RGB, bicubic so that
the short side is 256, the middle 224 x 224.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

SHORT_SIDE = 256
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


def opaque(picture: Image.Image) -> Image.Image:
    """The picture upright, in RGB, transparency on white."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")


def crop(picture: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    """(side, side, 3) uint8: the middle of the picture, its short side scaled to 256 / 224 of `side`."""
    picture = opaque(picture)
    short = round(side * SHORT_SIDE / 224)
    scale = short / min(picture.size)
    size = (max(round(picture.width * scale), side), max(round(picture.height * scale), side))
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return np.asarray(picture.crop((left, top, left + side, top + side)), np.uint8)


def read(path: Path, side: int) -> npt.NDArray[np.uint8]:
    """The picture in a file, cropped. Raises OSError, with its path, for what is no picture, or broken."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return crop(picture, side)
    except UnidentifiedImageError as error:
        raise OSError(f"{path}: not a picture that can be read") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow's decoders raise these for damaged data
        raise OSError(f"{path}: {error}") from error


def find(folder: Path, recursive: bool = True) -> list[Path]:
    """The picture files of a folder, by their endings, in order of name."""
    walk = folder.rglob("*") if recursive else folder.glob("*")
    return sorted(path for path in walk if path.suffix.lower() in SUFFIXES and path.is_file())
