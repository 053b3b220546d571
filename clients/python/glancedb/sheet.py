"""A contact sheet: each query and its answers in a row of thumbnails, with names and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

_SIDE, _GAP, _TEXT = 168, 14, 34
_PAPER, _INK, _FAINT, _FOUND = "#fbfaf7", "#22252b", "#777b82", "#2f7d4f"


@dataclass(frozen=True)
class Thumbnail:
    """A picture with two lines under it; `marked` draws the frame of an answer over the threshold."""

    picture: Image.Image
    title: str
    note: str
    marked: bool = False


def draw(rows: Sequence[Sequence[Thumbnail]], target: Path) -> None:
    """Write the sheet as PNG: the first thumbnail of a row stands apart, it is the query."""
    columns = max(len(row) for row in rows)
    width = columns * (_SIDE + _GAP) + 3 * _GAP
    height = len(rows) * (_SIDE + _TEXT + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for line, row in enumerate(rows):
        top = _GAP + line * (_SIDE + _TEXT + _GAP)
        for column, thumbnail in enumerate(row):
            left = _GAP + column * (_SIDE + _GAP) + (_GAP if column else 0)
            picture = ImageOps.fit(thumbnail.picture.convert("RGB"), (_SIDE, _SIDE))
            sheet.paste(picture, (left, top))
            if thumbnail.marked:
                box = (left - 3, top - 3, left + _SIDE + 2, top + _SIDE + 2)
                pen.rectangle(box, outline=_FOUND, width=3)
            pen.text((left, top + _SIDE + 4), _short(thumbnail.title), _INK, font)
            pen.text((left, top + _SIDE + 18), _short(thumbnail.note), _FAINT, font)
    aside = target.with_suffix(".part")
    sheet.save(aside, "PNG")
    aside.replace(target)


def _short(text: str, most: int = 27) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
