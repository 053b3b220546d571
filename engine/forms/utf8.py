"""Bytes as UTF-8 text, and PostgreSQL's words for what is none."""

from __future__ import annotations

from storage.errors import CharacterNotInRepertoire


def decoded(raw: bytes) -> str:
    """Bytes as text. Raises CharacterNotInRepertoire."""
    at = invalid_at(raw)
    if at is not None:
        raise not_text(raw, at)
    return raw.decode()


def invalid_at(raw: bytes | bytearray) -> int | None:
    """Where the first byte stands that no UTF-8 text has there; zero bytes are none of text."""
    zero = raw.find(b"\0")
    if zero < 0 and raw.isascii():
        return None
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start if zero < 0 else min(zero, error.start)
    return None if zero < 0 else zero


def not_text(raw: bytes, at: int) -> CharacterNotInRepertoire:
    """The error of the bytes at `at`: as many are shown as the first one announces, or as there are."""
    first = raw[at]
    length = 2 if first >> 5 == 6 else 3 if first >> 4 == 14 else 4 if first >> 3 == 30 else 1
    shown = " ".join(f"0x{byte:02x}" for byte in raw[at : at + length])
    return CharacterNotInRepertoire(f'invalid byte sequence for encoding "UTF8": {shown}')
