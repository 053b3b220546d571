"""Every encoding by itself: what is encoded comes back whole, by slices and by rows, and selects truly."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import encodings, kernels
from storage.column import Column
from storage.encodings import ENCODINGS, blocks, leaves
from storage.encodings.base import Encoded
from storage.encodings.blocks import BLOCK_BYTES, Blocks
from storage.encodings.floats import Floats
from storage.encodings.packedcolumn import PackedColumn
from storage.encodings.runcolumn import RunColumn
from storage.encodings.runs import Runs
from storage.order import order_key
from storage.predicate import Comparison
from storage.segments.cache import Cache
from storage.segments.coded import CodedColumn
from storage.types import (
    BOOL,
    BPCHAR,
    BYTEA,
    CHAR,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    NUMERIC,
    NUMRANGE,
    OID,
    TEXT,
    TIMESTAMP,
    UUID,
    VARBIT,
    VECTOR,
    Type,
    array_of,
    binary,
    numeric,
)
from tests.conftest import plain_kernels


def _signed(bits: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(-5, 5), st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1))


_decimals = st.one_of(
    st.sampled_from([Decimal("1.1"), Decimal("1.10"), Decimal("NaN"), Decimal("-7"), Decimal(0)]),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-1000, max_value=1000),
)
_floats = st.one_of(
    st.sampled_from([0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e300, 0.1]),
    st.integers(-10_000, 10_000).map(lambda n: n / 100),
    st.floats(width=32),
)
_texts = st.one_of(st.sampled_from(["", "a", "a ", "b", "é", "grand"]), st.text(max_size=12))
VALUES: dict[Type, st.SearchStrategy[Any]] = {
    BOOL: st.booleans(),
    CHAR: st.integers(0, 255),
    INT2: _signed(16),
    INT4: _signed(32),
    INT8: _signed(64),
    OID: st.integers(0, 2**32 - 1),
    DATE: _signed(32),
    TIMESTAMP: _signed(64),
    FLOAT4: _floats.map(lambda value: float(np.float32(value if abs(value) < 1e38 else 0.5))),
    FLOAT8: _floats,
    INTERVAL: st.tuples(_signed(32), _signed(32), _signed(64)),
    NUMERIC: _decimals,
    numeric(10, 2): st.integers(-(10**10) + 1, 10**10 - 1).map(lambda n: Decimal(n).scaleb(-2)),
    TEXT: _texts,
    BPCHAR: _texts,
    BYTEA: st.binary(max_size=12),
    UUID: st.binary(min_size=16, max_size=16),
    binary(3): st.binary(min_size=3, max_size=3),
    binary(256): st.integers(0, 255).map(lambda byte: bytes([byte]) * 256),
    array_of(INT4): st.lists(_signed(32), max_size=3),
}


@st.composite
def columns(draw: st.DrawFn, types: Sequence[Type] = tuple(VALUES)) -> Column:
    """Columns without nulls, of shapes that some encoding is for; up to some blocks long."""
    type = draw(st.sampled_from(types))
    values = VALUES[type]
    few = draw(st.lists(values, min_size=1, max_size=6))
    shape = draw(st.sampled_from(["list", "runs", "mixed", "rising"]))
    rows = draw(st.integers(1, 2_500))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    if shape == "list":
        items = draw(st.lists(values, min_size=1, max_size=30))
    elif shape == "runs":
        items = [few[i] for i in np.sort(random.integers(0, len(few), rows)).tolist()]
    elif shape == "rising" and type in (INT2, INT4, INT8, DATE, TIMESTAMP, OID):
        steps = draw(st.sampled_from([(0, 10), (1, 2), (3, 4)]))
        items = np.cumsum(random.integers(*steps, rows)).tolist()
    else:
        items = [few[i] for i in random.integers(0, len(few), rows).tolist()]
    return Column.of(type, items)


def same(one: Column, other: Column) -> bool:
    """Whether two columns have the same values, bit for bit."""
    return one.type == other.type and repr(one.tolist()) == repr(other.tolist())


def reread(encoded: Encoded, type: Type) -> Encoded:
    """What a file would give back: heads and aligned read-only buffers."""
    buffers = []
    for buffer in encoded.buffers():
        copy = np.zeros(-(-len(buffer) // 8), np.uint64).view(np.uint8)[: len(buffer)]
        copy[:] = buffer
        copy.flags.writeable = False
        buffers.append(copy)
    return encodings.read(encoded.tag, type, encoded.head(), buffers)


@pytest.fixture(params=["compiled", "plain"], scope="module")
def twin(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both kinds of kernels."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "plain":
            for name, kernel in plain_kernels():
                patch.setattr(kernels, name, kernel)
        else:
            kernels.warm(wait=True)
        yield


quick = settings(max_examples=30)
each_encoding = pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.tag)

_WHOLE = (BOOL, CHAR, INT2, INT4, INT8, OID, DATE, TIMESTAMP)
_FITTING: dict[str, tuple[Type, ...]] = {
    "for": _WHOLE,
    "delta": _WHOLE,
    "alp": (FLOAT4, FLOAT8),
    "blocks": (TEXT, BPCHAR, BYTEA),
    "sequence": _WHOLE[2:],
    "wide": (binary(256),),
}


def _drawn(data: st.DataObject, encoding: Any) -> tuple[Column, Encoded] | None:
    """A column in this encoding, as it is or read again; None where it does not fit after all."""
    column = data.draw(columns(_FITTING.get(encoding.tag, tuple(VALUES))))
    encoded = encoding.encode(column)
    if encoded is None:
        return None
    return column, (reread(encoded, column.type) if data.draw(st.booleans()) else encoded)


@each_encoding
@quick
@given(st.data())
def test_any_slice_comes_back(twin: None, encoding: Any, data: st.DataObject) -> None:
    drawn = _drawn(data, encoding)
    if drawn is None:
        return
    column, encoded = drawn
    assert same(encoded.decode(0, len(column), None), column)
    start = data.draw(st.integers(0, len(column)))
    stop = data.draw(st.integers(start, len(column)))
    assert same(encoded.decode(start, stop, None), column.slice(start, stop))


@each_encoding
@quick
@given(st.data())
def test_any_rows_come_back(twin: None, encoding: Any, data: st.DataObject) -> None:
    drawn = _drawn(data, encoding)
    if drawn is None:
        return
    column, encoded = drawn
    start = data.draw(st.integers(0, len(column) - 1))
    stop = data.draw(st.integers(start + 1, len(column)))
    rows = np.array(data.draw(st.lists(st.integers(0, stop - start - 1), max_size=20)), np.int64)
    if data.draw(st.booleans()):
        rows = np.unique(rows)
    assert same(encoded.decode(start, stop, rows), column.slice(start, stop).take(rows))
    every = np.arange(stop - start)
    assert same(encoded.decode(start, stop, every), column.slice(start, stop))


@each_encoding
@quick
@given(st.data())
def test_any_one_row_comes_back(twin: None, encoding: Any, data: st.DataObject) -> None:
    drawn = _drawn(data, encoding)
    if drawn is None:
        return
    column, encoded = drawn
    items = column.tolist()
    rows = data.draw(st.lists(st.integers(0, len(column) - 1), min_size=1, max_size=20))
    assert repr([encoded.item(row) for row in rows]) == repr([items[row] for row in rows])


def test_a_decoded_block_of_texts_is_kept_for_the_next_row(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Cache(BLOCK_BYTES * 3)
    monkeypatch.setattr(blocks, "cache", kept)
    texts = [f"text {n}" for n in range(40_000)]
    encoded = blocks.Blocks.encode(Column.of(TEXT, texts))
    assert encoded is not None
    for row in (0, 1, 39_999, 20_000, 0, 39_998):
        assert encoded.item(row) == texts[row]
    assert 0 < kept.nbytes <= kept.limit
    kept.limit = 0
    assert encoded.item(7) == texts[7]
    assert kept.nbytes == 0
    kept.limit = BLOCK_BYTES * 3
    assert encoded.item(7) == texts[7]
    assert kept.nbytes
    del encoded
    gc.collect()
    assert kept.nbytes == 0


TESTS: dict[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.EQ: lambda a, b: a == b,
    Comparison.NE: lambda a, b: a != b,
    Comparison.LT: lambda a, b: a < b,
    Comparison.LE: lambda a, b: a <= b,
    Comparison.GT: lambda a, b: a > b,
    Comparison.GE: lambda a, b: a >= b,
    Comparison.IN: lambda a, b: a in b,
}


def float_key(value: float) -> tuple[bool, float]:
    return (value != value, 0.0 if value != value else value)


@each_encoding
@quick
@given(st.sampled_from(list(TESTS)), st.data())
def test_select_is_true(twin: None, encoding: Any, op: Comparison, data: st.DataObject) -> None:
    drawn = _drawn(data, encoding)
    if drawn is None:
        return
    column, encoded = drawn
    type = column.type
    floats = type in (FLOAT4, FLOAT8)
    key = float_key if floats else order_key(type)
    if key is None:
        return
    values = column.tolist()
    constant = st.one_of(st.sampled_from(values), VALUES[type])
    if op is Comparison.IN:
        value = tuple(data.draw(st.lists(constant, max_size=10)))
        wanted: Any = [key(item) for item in value]
    else:
        value = data.draw(constant)
        wanted = key(value)
    start = data.draw(st.integers(0, len(column)))
    stop = data.draw(st.integers(start, len(column)))
    mask = encoded.select(op, value, start, stop)
    if mask is None:
        assert not encoded.exact
        return
    assert mask.dtype == np.bool_
    assert len(mask) == stop - start
    truth = [TESTS[op](key(item), wanted) for item in values[start:stop]]
    missed = [item for item, found, true in zip(values[start:stop], mask, truth, strict=True) if true > found]
    assert not missed
    if encoded.exact:
        assert mask.tolist() == truth


@quick
@given(st.sampled_from([FLOAT4, FLOAT8]), st.integers(0, 22), st.sampled_from([10, 2**24, 2**53]), st.data())
def test_floats_of_few_places_are_told_by_their_integers(
    type: Type, places: int, most: int, data: st.DataObject
) -> None:
    """Just those that meet a comparison with one of them, its neighbours, or anything else."""
    integers = np.random.default_rng(data.draw(st.integers(0, 99))).integers(1 - most, most, 1500)
    column = Column(type, (integers / 10.0**places).astype(type.dtype))
    encoded = Floats.encode(column)
    if encoded is None or not encoded.exact:
        return
    one = column.values[data.draw(st.integers(0, 1499))]
    near = [one, np.nextafter(one, type.dtype.type(np.inf)), np.nextafter(one, type.dtype.type(-np.inf))]
    constants = [*map(float, near), 0.0, -0.0, np.inf, -np.inf, np.nan, 1e300 if type is FLOAT8 else 1e30]
    op = data.draw(st.sampled_from(list(TESTS)))
    value: Any = data.draw(st.sampled_from(constants))
    wanted: Any = float_key(value)
    if op is Comparison.IN:
        value = tuple(data.draw(st.lists(st.sampled_from(constants), max_size=5)))
        wanted = [float_key(item) for item in value]
    mask = encoded.select(op, value, 7, 1400)
    assert mask is not None
    assert mask.tolist() == [TESTS[op](float_key(item), wanted) for item in column.tolist()[7:1400]]


@quick
@given(columns())
def test_the_choice_comes_back(column: Column) -> None:
    encoded = encodings.encode(column)
    again = reread(encoded, column.type)
    assert same(again.decode(0, len(column), None), column)


SHAPES: dict[str, tuple[Type, Callable[[np.random.Generator, int], Any]]] = {
    "constant": (INT4, lambda random, rows: np.full(rows, 7, np.int32)),
    "rle": (INT4, lambda random, rows: np.repeat(random.integers(0, 10**6, rows // 100 + 1), 100)[:rows]),
    "dict": (INT8, lambda random, rows: random.choice(random.integers(0, 2**60, 50), rows)),
    "for": (INT4, lambda random, rows: random.integers(0, 1000, rows)),
    "sequence": (INT8, lambda random, rows: np.arange(rows) * 3 - 7),
    "delta": (INT8, lambda random, rows: np.cumsum(random.integers(0, 100, rows)) + 2**40),
    "alp": (FLOAT8, lambda random, rows: np.round(random.random(rows) * 1000, 2)),
    "plain": (FLOAT8, lambda random, rows: random.random(rows)),
}


@pytest.mark.parametrize("rows", [5_000, 100_000])
@pytest.mark.parametrize("tag", SHAPES)
def test_each_shape_finds_its_encoding(tag: str, rows: int) -> None:
    type, make = SHAPES[tag]
    column = Column(type, make(np.random.default_rng(1), rows).astype(type.dtype))
    encoded = encodings.encode(column)
    assert encoded.tag == tag
    assert same(encoded.decode(0, rows, None), column)
    estimate = encodings.BY_TAG[tag].estimate(leaves.sampled(column), rows)
    assert estimate is not None
    assert estimate / 2 < encoded.nbytes < estimate * 2


@pytest.mark.parametrize("type", [INT4, DATE, NUMERIC])
def test_what_is_packed_stays_so(type: Type) -> None:
    numbers = np.random.default_rng(5).integers(-500, 500, 3000)
    column = Column.scaled(type, numbers, 2) if type is NUMERIC else Column(type, numbers.astype(np.int32))
    items = column.tolist()

    def fresh() -> Column:
        decoded = encodings.encode(column).decode(100, 3000, None)
        assert isinstance(decoded, PackedColumn)
        return decoded

    assert len(fresh()) == 2900
    assert fresh().nbytes == column.slice(100, 3000).nbytes
    assert fresh().tolist() == items[100:]
    assert fresh().slice(20, 30).tolist() == items[120:130]
    assert fresh().slice(2890, 9999).tolist() == items[2990:]
    assert fresh().take(np.array([5, 5, 0])).tolist() == [items[105], items[105], items[100]]
    assert fresh().take(np.array([-1])).tolist() == items[-1:]
    assert fresh().take(np.arange(2900) % 2 == 0).tolist() == items[100::2]
    assert fresh().with_valid(np.arange(2900) > 0).tolist() == [None, *items[101:]]
    assert Column.concat([fresh(), column]).tolist() == items[100:] + items
    assert fresh().retype(type).valid is None
    high, low = fresh().slice(7, 2050).total()  # type: ignore[attr-defined]
    assert (high << 32) + low == numbers[107:2150].sum()


@pytest.mark.parametrize("type", [INT4, DATE, FLOAT8, BOOL])
def test_runs_stay_so(type: Type) -> None:
    rng = np.random.default_rng(6)
    numbers = np.repeat(rng.integers(0, 2 if type is BOOL else 90, 400), rng.integers(1, 15, 400))
    rows = len(numbers)
    column = Column(type, numbers.astype(type.dtype))
    items = column.tolist()

    def fresh() -> RunColumn:
        decoded = Runs.encode(column).decode(100, rows, None)
        assert isinstance(decoded, RunColumn)
        return decoded

    assert len(fresh()) == rows - 100
    assert fresh().nbytes == column.slice(100, rows).nbytes
    assert fresh().tolist() == items[100:]
    assert fresh().repeated(fresh().runs).tolist() == items[100:]
    assert fresh().runs.tolist() == [items[100:][i] for i in fresh().begins.tolist()]
    found = fresh().runs != fresh().runs[0]
    kept, values = fresh().where(found)
    assert kept.tolist() == np.flatnonzero(fresh().repeated(found)).tolist()
    assert values.tolist() == [items[100:][row] for row in kept.tolist()]
    assert fresh().slice(20, 300).slice(1, 250).tolist() == items[121:370]
    assert fresh().slice(20, 21).tolist() == items[120:121]
    assert fresh().slice(rows - 110, 99_999).tolist() == items[rows - 10 :]
    assert fresh().slice(50, 50).tolist() == []
    assert fresh().take(np.array([5, 900, 0])).tolist() == [items[105], items[1000], items[100]]
    assert fresh().take(np.array([-1])).tolist() == items[-1:]
    assert fresh().take(np.arange(rows - 100) % 2 == 0).tolist() == items[100::2]
    assert fresh().with_valid(np.arange(rows - 100) > 0).tolist() == [None, *items[101:]]
    assert Column.concat([fresh(), column]).tolist() == items[100:] + items
    assert fresh().retype(type).tolist() == items[100:]


@pytest.mark.parametrize("values", [range(-2, 30, 3), range(7, -20, -1), range(2**63 - 10, 2**63)])
@pytest.mark.parametrize("op", TESTS)
def test_sequences_are_compared(values: range, op: Comparison) -> None:
    encoded = encodings.BY_TAG["sequence"].encode(Column.of(INT8, values))
    assert encoded is not None
    assert encoded.decode(2, 9, None).tolist() == list(values[2:9])
    for constant in (values[0] - 1, values[3], values[5] + 1, -(2**63)):
        value = (constant,) if op is Comparison.IN else constant
        mask = encoded.select(op, value, 1, 9)
        assert mask is not None
        assert mask.tolist() == [TESTS[op](item, value) for item in values[1:9]]


def test_texts_are_compressed_in_blocks() -> None:
    random = np.random.default_rng(2)
    words = ["carefully", "final", "deposits", "sleep", "quickly", "ironic", "requests", "of", "the"]
    items = [" ".join(random.choice(words, 6)) + str(i) for i in range(40_000)]
    column = Column.of(TEXT, items)
    encoded = encodings.encode(column)
    assert encoded.tag == "blocks"
    assert encoded.nbytes < column.nbytes / 2
    rows = np.array([0, 39_999, 20_000, 20_000, 7])
    assert encoded.decode(0, 40_000, rows).tolist() == [items[row] for row in rows]
    assert encoded.decode(100, 40_000, rows[-1:]).tolist() == [items[107]]


@pytest.mark.parametrize("type", [VECTOR, NUMRANGE, VARBIT])
def test_values_that_are_equal_by_other_than_their_bytes_are_not_told_by_lengths(type: Type) -> None:
    raw = pa.array([b"\x00" * 40] * 2000, pa.large_binary())
    encoded = Blocks.encode(Column(type, raw))
    assert encoded is not None
    assert encoded.select(Comparison.EQ, "[1,2)", 0, 2000) is None
    assert encoded.select(Comparison.IN, ([1.0, 2.0],), 0, 2000) is None


def test_what_comes_from_a_dictionary_is_coded() -> None:
    random = np.random.default_rng(3)
    column = Column.of(TEXT, ["x", "y", "x", *random.choice(["x", "y"], 297)])
    decoded = encodings.encode(column).decode(0, 300, None)
    assert isinstance(decoded, CodedColumn)
    assert decoded.dictionary.column.tolist() == ["x", "y"]
    valid = np.arange(300) % 2 == 0
    masked = decoded.with_valid(valid)
    assert isinstance(masked, CodedColumn)
    assert masked.take(np.arange(4)).tolist() == ["x", None, "x", None]
    assert masked.slice(1, 3).tolist() == [None, "x"]


def test_an_encoding_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    column = Column.of(INT4, [1, 2, 3] * 10)
    for encoding in ENCODINGS:
        monkeypatch.setenv(encodings.FORCED, encoding.tag)
        encoded = encodings.encode(column)
        if encoding.encode(column) is not None:
            assert encoded.tag == encoding.tag
        assert same(encoded.decode(0, 30, None), column)


@given(st.integers(-(2**62), 2**62), st.integers(-(2**50), 2**50), st.integers(3, 3000))
def test_sequences_have_all_their_values(first: int, step: int, rows: int) -> None:
    values = [first + i * step for i in range(rows)]
    encoded = encodings.BY_TAG["sequence"].encode(Column.of(INT8, values))
    assert encoded is not None
    assert encoded.decode(0, rows, None).tolist() == values
    assert encoded.decode(1, rows - 1, None).tolist() == values[1:-1]
