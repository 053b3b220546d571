"""Edits of a picture, as people make them before they post it again: some are stored, some asked for."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image, ImageEnhance, ImageOps

Edit = Callable[[Image.Image], Image.Image]


def recompress(quality: int) -> Edit:
    """JPEG at this quality, and back."""

    def edit(picture: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")

    return edit


def crop(share: float) -> Edit:
    """The middle, `share` of each side."""

    def edit(picture: Image.Image) -> Image.Image:
        width, height = picture.size
        left, top = round(width * (1 - share) / 2), round(height * (1 - share) / 2)
        return picture.crop((left, top, width - left, height - top))

    return edit


def brighter(factor: float) -> Edit:
    """Brightness times `factor`."""
    return lambda picture: ImageEnhance.Brightness(picture).enhance(factor)


def rotate(degrees: float) -> Edit:
    """Turned, the corners filled with the picture's mean colour."""

    def edit(picture: Image.Image) -> Image.Image:
        mean = picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        return picture.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=mean)

    return edit


STORED: dict[str, Edit] = {
    "recompressed": recompress(30),
    "cropped": crop(0.9),
    "mirrored": ImageOps.mirror,
    "brighter": brighter(1.3),
    "rotated": rotate(5),
}
ASKED: dict[str, Edit] = {
    "JPEG quality 60": recompress(60),
    "cropped to 94 %": crop(0.94),
    "a little darker": brighter(0.85),
    "turned by 2 degrees": rotate(2),
}
