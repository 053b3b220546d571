"""The families lines and fields: what they read means what Python reads, and both twins agree on the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from storage.kernels.compiled import fields as fast_fields
from storage.kernels.compiled import lines as fast_lines
from storage.kernels.plain import fields as plain_fields
from storage.kernels.plain import lines as plain_lines

EPOCH = datetime(2000, 1, 1)
garbage = st.text(st.sampled_from("0123456789-+. :/eE\0x"), max_size=30)


def spans(texts: list[str | None]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fields one after another, a byte between them."""
    raw = [None if text is None else text.encode() for text in texts]
    lengths = np.array([-1 if item is None else len(item) for item in raw], np.int64)
    starts = np.cumsum(np.maximum(lengths, 0) + 1) - np.maximum(lengths, 0)
    data = b"\n" + b"\n".join(item or b"" for item in raw) + b"\n"
    return np.frombuffer(data, np.uint8), starts, lengths


def parsed(name: str, texts: list[str | None], *how: int, dtype: Any = np.int64) -> list[Any]:
    """What both twins make of the texts: None for a null, ... for what is odd."""
    results = []
    for twin in (plain_fields, fast_fields):
        data, starts, lengths = spans(texts)
        out, odd = np.full(len(texts), 7, dtype), np.zeros(len(texts), np.bool_)
        count = getattr(twin, name)(data, starts, lengths, *how, out, odd)
        assert count == odd.sum()
        assert not out[odd | (lengths < 0)].any()
        results.append(
            [None if t is None else ... if o else v for t, o, v in zip(texts, odd, out.tolist(), strict=True)]
        )
    assert repr(results[0]) == repr(results[1])
    return results[0]


def checked(found: list[Any], texts: list[str | None], meaning: Callable[[str], Any]) -> None:
    for value, text in zip(found, texts, strict=True):
        if value is not None and value is not ...:
            assert text is not None
            assert value == meaning(text), text


@given(st.lists(st.none() | garbage | st.integers(-(10**19), 10**19).map(str), max_size=8))
def test_integers(texts: list[str | None]) -> None:
    found = parsed("parse_integers", texts, -(2**31), 2**31 - 1)
    checked(found, texts, int)
    for value, text in zip(found, texts, strict=True):
        if (
            text is not None
            and text.removeprefix("-").isdigit()
            and abs(int(text)) < 2**31
            and len(text) < 19
        ):
            assert value == int(text)


@given(
    st.lists(st.none() | garbage | st.decimals(allow_nan=False, allow_infinity=False).map(str), max_size=8),
    st.integers(1, 18).flatmap(lambda p: st.tuples(st.just(p), st.integers(0, p))),
)
@example(["1.005", "-1.005", "99.994", "99.995", ".5", "5.", ".", "-", "+1", "0" * 17], (4, 2))
def test_decimals(texts: list[str | None], modifier: tuple[int, int]) -> None:
    precision, scale = modifier
    found = parsed("parse_decimals", texts, precision, scale)
    checked(found, texts, lambda text: int(Decimal(text).scaleb(scale).quantize(Decimal(1), ROUND_HALF_UP)))
    assert all(value in (None, ...) or abs(value) < 10**precision for value in found)


@given(
    st.lists(
        st.none() | garbage | st.floats().map(repr) | st.decimals(-99, 99, places=9).map(str), max_size=8
    )
)
@example(["-0", "0.1", "123456789012345", "1234567890123456", ".000000000000001"])
def test_floats(texts: list[str | None]) -> None:
    found = parsed("parse_floats", texts, dtype=np.float64)
    checked(found, texts, float)
    assert all(str(value) == "-0.0" for value, text in zip(found, texts, strict=True) if text == "-0")


@given(st.lists(st.none() | garbage | st.dates().map(str), max_size=8))
@example(["2000-02-29", "1900-02-29", "0001-01-01", "0000-01-01", "2001-13-01", "2001-04-31", "2001-1-01"])
def test_dates(texts: list[str | None]) -> None:
    found = parsed("parse_dates", texts)
    checked(found, texts, lambda text: (datetime.fromisoformat(text) - EPOCH).days)


@given(
    st.lists(
        st.none() | garbage | st.datetimes().map(str) | st.datetimes().map(lambda d: f"{d}+05"), max_size=8
    ),
    st.sampled_from([0, 1, 2]),
)
@example(
    ["2024-01-01 00:00:00-08", "2024-01-01 24:00:00", "2024-01-01 00:00:00.", "2024-01-01 00:00:00.1234567"],
    1,
)
@example(
    [
        "2024-01-01 00:00:00+05",
        "2024-01-01 00:00:00.5+05",
        "2024-01-01 00:00:00+05:30",
        "2024-01-01 00:00:00+16",
    ],
    2,
)
def test_stamps(texts: list[str | None], zone: int) -> None:
    found = parsed("parse_stamps", texts, zone)

    def meaning(text: str) -> int:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta())
        return (moment - EPOCH) // timedelta(microseconds=1)

    checked([v if t and t[:1].isdigit() else None for v, t in zip(found, texts, strict=True)], texts, meaning)


Split = tuple[int, int, bool]
csv_bytes = st.lists(
    st.sampled_from([b"a", b",", b'"', b"\n", b"\r\n", b"\r", b"\\", b".", b'""', b'"a"', b"a" * 61]),
    max_size=24,
)


@given(
    csv_bytes.map(b"".join),
    st.sampled_from([1, 2]),
    st.sampled_from([b"", b"a"]),
    st.integers(0, 3),
    st.booleans(),
)
@example(b'a,"x"\n"",a\n', 2, b"", 0, False)
@example(b'"a""b",c\r\n', 2, b"", 0, True)
def test_lines_of_csv(data: bytes, fields: int, null: bytes, forced: int, crlf: bool) -> None:
    split(data, (44, 34, crlf), fields, null, forced)


text_bytes = st.lists(
    st.sampled_from([b"a", b"\t", b"\n", b"\r\n", b"\r", b"\\", b".", b"N", b"\\N", b"a" * 61]), max_size=24
)


@given(text_bytes.map(b"".join), st.sampled_from([1, 2]), st.booleans())
@example(b"a\\\\\t\\N\n", 2, False)
def test_lines_of_text(data: bytes, fields: int, crlf: bool) -> None:
    split(data, (9, -1, crlf), fields, b"\\N", 0)


@given(
    st.lists(st.sampled_from([b"", b"ab", b'"a,b"', b'"a""b"', b"c" * 70]), min_size=1, max_size=60),
    st.booleans(),
)
def test_usual_lines_are_split(values: list[bytes], crlf: bool) -> None:
    end = b"\r\n" if crlf else b"\n"
    lines = [b",".join(pair) for pair in zip(values, values[::-1], strict=True)]
    assert split(b"".join(line + end for line in lines), (44, 34, crlf), 2, b"", 0) == len(lines)


def split(data: bytes, marks: Split, fields: int, null: bytes, forced: int) -> int:
    """The number of lines: both twins agree."""
    results = []
    for twin in (plain_lines, fast_lines):
        room = data.count(b"\n")
        starts, lengths = np.zeros((fields, room), np.int64), np.zeros((fields, room), np.int64)
        kinds = np.zeros((fields, room), np.uint8)
        rows = twin.split_lines(
            np.frombuffer(data, np.uint8),
            marks,
            np.frombuffer(null, np.uint8),
            np.full(fields, forced, np.uint8),
            starts,
            lengths,
            kinds,
        )
        kept = max(rows, 0)
        results.append(
            (rows, starts[:, :kept].tolist(), lengths[:, :kept].tolist(), kinds[:, :kept].tolist())
        )
    assert results[0] == results[1]
    rows: int = results[0][0]
    return rows
