"""Character sets: convert, convert_to, convert_from, length by one, and their names and numbers."""

from __future__ import annotations

from engine.functions.registry import scalar
from engine.functions.text import each
from engine.values.encodings import ENCODINGS, Encoding, encoding_named
from storage.column import Column
from storage.errors import (
    CharacterNotInRepertoire,
    FeatureNotSupported,
    InvalidParameterValue,
    UntranslatableCharacter,
)
from storage.types import BYTEA, INT4, NAME, TEXT


def _named(name: str, role: str) -> Encoding:
    encoding = encoding_named(name)
    if encoding is None:
        raise InvalidParameterValue(f'invalid {role}encoding name "{name}"')
    if not encoding.codec:
        raise FeatureNotSupported(f"conversion of encoding {encoding.name} is not supported")
    return encoding


def _hexadecimal(raw: bytes) -> str:
    return " ".join(f"0x{byte:02x}" for byte in raw)


def _decoded(raw: bytes, encoding: Encoding) -> str:
    try:
        return raw.decode(encoding.codec)
    except UnicodeDecodeError as error:
        if encoding.longest == 1:
            raise UntranslatableCharacter(
                f'character with byte sequence 0x{raw[error.start]:02x} in encoding "{encoding.name}" '
                'has no equivalent in encoding "UTF8"'
            ) from None
        first = raw[error.start]
        length = encoding.longest
        if encoding.name == "UTF8":
            length = (
                4 if first & 0xF8 == 0xF0 else 3 if first & 0xF0 == 0xE0 else 2 if first & 0xE0 == 0xC0 else 1
            )
        shown = _hexadecimal(raw[error.start : error.start + length])
        raise CharacterNotInRepertoire(
            f'invalid byte sequence for encoding "{encoding.name}": {shown}'
        ) from None


def _encoded(text: str, encoding: Encoding, source: str) -> bytes:
    try:
        return text.encode(encoding.codec)
    except UnicodeEncodeError as error:
        shown = _hexadecimal(text[error.start].encode(_named(source, "").codec))
        raise UntranslatableCharacter(
            f'character with byte sequence {shown} in encoding "{source}" has no equivalent in encoding '
            f'"{encoding.name}"'
        ) from None


@scalar("convert_to", [TEXT, NAME], BYTEA)
def convert_to(column: Column, encoding: Column) -> Column:
    """Text in an encoding."""
    return each(
        lambda t, name: _encoded(t, _named(name, "destination "), "UTF8"), column, encoding, type=BYTEA
    )


@scalar("convert_from", [BYTEA, NAME], TEXT)
def convert_from(column: Column, encoding: Column) -> Column:
    """The text that bytes of an encoding stand for."""
    return each(lambda raw, name: _decoded(raw, _named(name, "source ")), column, encoding)


@scalar("convert", [BYTEA, NAME, NAME], BYTEA)
def convert(column: Column, source: Column, target: Column) -> Column:
    """Bytes of one encoding in another."""

    def one(raw: bytes, source: str, target: str) -> bytes:
        given = _named(source, "source ")
        return _encoded(_decoded(raw, given), _named(target, "destination "), given.name)

    return each(one, column, source, target, type=BYTEA)


@scalar("length", [BYTEA, NAME], INT4)
def length(column: Column, encoding: Column) -> Column:
    """How many characters of an encoding bytes are."""
    return each(lambda raw, name: len(_decoded(raw, _named(name, ""))), column, encoding, type=INT4)


@scalar("pg_encoding_to_char", [INT4], NAME, volatility="s")
def pg_encoding_to_char(number: Column) -> Column:
    """The name of an encoding, '' of none."""
    return each(lambda n: ENCODINGS[n].name if 0 <= n < len(ENCODINGS) else "", number, type=NAME)


@scalar("pg_char_to_encoding", [NAME], INT4, volatility="s")
def pg_char_to_encoding(name: Column) -> Column:
    """The number of an encoding, -1 if unknown."""

    def one(name: str) -> int:
        encoding = encoding_named(name)
        return -1 if encoding is None else encoding.number

    return each(one, name, type=INT4)


@scalar("pg_encoding_max_length", [INT4], INT4)
def pg_encoding_max_length(number: Column) -> Column:
    """How many bytes the longest character of an encoding has; null of none."""
    return each(lambda n: ENCODINGS[n].longest if 0 <= n < len(ENCODINGS) else None, number, type=INT4)
