"""Text forms of text, bytes, identifiers and JSON."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.forms.numbers import invalid, numeric_text
from engine.forms.style import Style
from engine.values.jsonerrors import json_error
from storage.column import Array, Column
from storage.errors import (
    DataException,
    InvalidParameterValue,
    InvalidTextRepresentation,
    StatementTooComplex,
    StringDataRightTruncation,
    UntranslatableCharacter,
)
from storage.types import BPCHAR, NAME, Type

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_NAME_BYTES = 63
_HALF = re.compile("[\ud800-\udfff]")
_BETWEEN_PAIRS = re.compile(r"[ \n\t\r]*([0-9a-fA-F]{2})[ \n\t\r]*")


def write_text(column: Column, style: Style) -> pa.Array:
    """As it is."""
    return column.values


def read_text(type: Type, texts: list[str], style: Style) -> list[str]:
    """As it is; varchar(n) and char(n) by assignment's rule, names cut to 63 bytes."""
    if type.oid == NAME.oid:
        return [text.encode()[:_NAME_BYTES].decode(errors="ignore") for text in texts]
    return [fitted(type, text) for text in texts] if type.modifier >= 4 else texts


def fitted(type: Type, text: str, cut: bool = False) -> str:
    """Text in varchar(n) or char(n): padded; too long only if blanks go or `cut`.

    Raises StringDataRightTruncation.
    """
    length = type.modifier - 4
    if len(text) > length:
        if not cut and text[length:].strip(" "):
            raise StringDataRightTruncation(f"value too long for type {type}")
        text = text[:length]
    return text.ljust(length) if type.oid == BPCHAR.oid else text


def write_char(column: Column, style: Style) -> pa.Array:
    """One byte; nothing for 0, an octal escape above 127."""
    known = {b: "" if b == 0 else chr(b) if b < 128 else f"\\{b:03o}" for b in set(column.values.tolist())}
    valid = column.is_valid().tolist()
    texts = [known[b] if ok else None for b, ok in zip(column.values.tolist(), valid, strict=True)]
    return pa.array(texts, pa.large_string())


def read_char(type: Type, texts: list[str], style: Style) -> list[int]:
    """The first byte; an octal escape of three digits."""
    values = []
    for text in texts:
        raw = text.encode()
        escaped = re.fullmatch(r"\\([0-7]{3}).*", text, re.DOTALL)
        values.append(int(escaped[1], 8) & 255 if escaped else raw[0] if raw else 0)
    return values


def _hex(data: Array) -> Array:
    """Bytes to twice as many hex digits."""
    digits = np.empty((len(data), 2), np.uint8)
    digits[:, 0], digits[:, 1] = _HEX[data >> 4], _HEX[data & 15]
    return digits.reshape(-1)


def hex_texts(offsets: Array, data: Array, valid: pa.Buffer | None) -> pa.Array:
    r"""`\x` and hex digits of each `data[offsets[i]:offsets[i + 1]]`, without an object a row."""
    lengths = np.diff(offsets)
    ends = np.concatenate([[0], np.cumsum(2 * lengths + 2)]).astype(np.int64)
    out = np.empty(int(ends[-1]), np.uint8)
    heads = np.zeros(len(out), np.bool_)
    heads[ends[:-1]] = heads[ends[:-1] + 1] = True
    out[ends[:-1]], out[ends[:-1] + 1] = ord("\\"), ord("x")
    out[~heads] = _hex(data[offsets[0] : offsets[-1]])
    return pa.Array.from_buffers(
        pa.large_string(), len(lengths), [valid, pa.py_buffer(ends), pa.py_buffer(out)]
    )


def write_bytes(column: Column, style: Style) -> pa.Array:
    r"""\x and hex digits, or PostgreSQL's older escapes."""
    values = column.values
    if not isinstance(values, pa.Array):
        return _write_rows(column, style)
    if style.bytea_output == "escape":
        texts = [None if item is None else _escaped(item) for item in values.to_pylist()]
        return pa.array(texts, pa.large_string())
    values = pa.concat_arrays([values]) if values.offset == 0 else pa.concat_arrays([values, values[:0]])
    _, offsets, data = values.buffers()
    spans = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    written = hex_texts(spans, content, None)
    return written if not values.null_count else pc.if_else(values.is_valid(), written, None)


def _write_rows(column: Column, style: Style) -> pa.Array:
    rows = np.ascontiguousarray(column.values)
    if style.bytea_output == "escape":
        texts = [None if item is None else _escaped(item) for item in column.tolist()]
        return pa.array(texts, pa.large_string())
    spans = np.arange(len(rows) + 1, dtype=np.int64) * rows.shape[1]
    written = hex_texts(spans, rows.reshape(-1), None)
    return written if column.valid is None else pc.if_else(pa.array(column.valid), written, None)


def _escaped(item: bytes) -> str:
    return "".join("\\\\" if b == 92 else chr(b) if 32 <= b < 127 else f"\\{b:03o}" for b in item)


def parse_bytes(text: str) -> bytes:
    r"""bytea's input: \x and hex digits (white space between pairs), or escapes."""
    if text.startswith("\\x"):
        digits = _BETWEEN_PAIRS.sub(r"\1", text[2:])
        wrong = re.search(r"[^0-9a-fA-F]", digits)
        if wrong:
            raise InvalidParameterValue(f'invalid hexadecimal digit: "{wrong[0]}"')
        if len(digits) % 2:
            raise InvalidParameterValue("invalid hexadecimal data: odd number of digits")
        return bytes.fromhex(digits)
    raw = text.encode()
    if b"\\" not in raw:
        return raw
    out, at = bytearray(), 0
    for part in re.finditer(rb"\\\\|\\([0-3][0-7]{2})|[^\\]+|\\", raw):
        at = part.end()
        if part[0] == b"\\\\":
            out += b"\\"
        elif part[1]:
            out.append(int(part[1], 8))
        elif part[0] == b"\\":
            raise InvalidTextRepresentation("invalid input syntax for type bytea")
        else:
            out += part[0]
    assert at == len(raw)
    return bytes(out)


def read_bytes(type: Type, texts: list[str], style: Style) -> list[bytes]:
    """See parse_bytes."""
    return [parse_bytes(text) for text in texts]


def width_error(type: Type, length: int) -> DataException:
    """Bytes of the wrong length for binary(n)."""
    return DataException(
        f"value of {length} bytes does not fit {type}, which takes exactly {type.modifier}",
        hint=f"A feature vector of {type.modifier // 4} float32 elements has {type.modifier} bytes.",
    )


def read_binary(type: Type, texts: list[str], style: Style) -> list[bytes]:
    """binary(n): bytea's input of exactly n bytes, or a JSON array of numbers, packed as float32."""
    values = []
    for text in texts:
        value = pack_json(text) if text.lstrip().startswith("[") else parse_bytes(text)
        if type.modifier >= 0 and len(value) != type.modifier:
            raise width_error(type, len(value))
        values.append(value)
    return values


def pack_json(text: str) -> bytes:
    """A JSON array of numbers as little-endian float32."""
    try:
        items = json.loads(text)
        if not isinstance(items, list) or any(
            isinstance(i, bool) or not isinstance(i, int | float) for i in items
        ):
            raise ValueError
        with np.errstate(over="ignore"):
            return np.array(items, "<f4").tobytes()
    except (ValueError, OverflowError):
        raise InvalidTextRepresentation(
            f'invalid input syntax for a vector: "{text[:60]}"', hint="Write numbers as [1.0, 0.5, 2.0]."
        ) from None


def write_uuid(column: Column, style: Style) -> pa.Array:
    """8-4-4-4-12 hex digits."""
    texts = []
    for item in column.tolist():
        digits = None if item is None else item.hex()
        texts.append(
            digits and "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        )
    return pa.array(texts, pa.large_string())


def read_uuid(type: Type, texts: list[str], style: Style) -> list[bytes]:
    """32 hex digits, hyphens after any group of four, braces around them."""
    values = []
    for text in texts:
        inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
        if not re.fullmatch(r"(?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}", inner):
            raise invalid(type, text)
        values.append(bytes.fromhex(inner.replace("-", "")))
    return values


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse)


def _too_deep() -> StatementTooComplex:
    return StatementTooComplex("stack depth limit exceeded")


def _refuse(word: str) -> Any:
    raise ValueError(word)


def read_json(type: Type, texts: list[str], style: Style) -> list[str]:
    """json keeps its text, checked."""
    for text in texts:
        try:
            _loads(text)
        except RecursionError:
            raise _too_deep() from None
        except ValueError:
            raise json_error(text) from None
    return texts


def read_jsonb(type: Type, texts: list[str], style: Style) -> list[str]:
    """jsonb in its one form: keys once, by length and then bytes, one space after colon and comma."""
    values = []
    for text in texts:
        try:
            value = _loads(text)
            written = jsonb_text(value)
        except RecursionError:
            raise _too_deep() from None
        except UnicodeEncodeError:  # of a key: half a surrogate pair
            raise _half_pair() from None
        except ValueError:
            raise json_error(text) from None
        if "\\u0000" in written and _has_zero(value):
            raise UntranslatableCharacter(
                "unsupported Unicode escape sequence", detail="\\u0000 cannot be converted to text."
            )
        if not written.isascii() and _HALF.search(written):
            raise _half_pair()
        values.append(written)
    return values


def _half_pair() -> InvalidTextRepresentation:
    return InvalidTextRepresentation(
        "invalid input syntax for type json",
        detail="Unicode low surrogate must follow a high surrogate.",
    )


def _has_zero(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any("\0" in key or _has_zero(item) for key, item in value.items())
        case list():
            return any(map(_has_zero, value))
        case _:
            return False


def jsonb_text(value: Any) -> str:
    """A Python value as jsonb writes it."""
    match value:
        case dict():
            keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
            return "{" + ", ".join(f"{json_string(key)}: {jsonb_text(value[key])}" for key in keys) + "}"
        case list():
            return "[" + ", ".join(map(jsonb_text, value)) + "]"
        case str():
            return json_string(value)
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case Decimal():
            return numeric_text(value)
        case _:
            return str(value)


def json_string(text: str) -> str:
    """A string with JSON's quotes, other characters as they are."""
    return json.dumps(text, ensure_ascii=False)
