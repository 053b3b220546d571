"""Keys, groups and orders against plain Python meanings of equality and order, for every form of type."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from functools import cmp_to_key, total_ordering
from ipaddress import ip_interface
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.groups import KeyIndex, hash_keys, number
from engine.orders import order_words, sorted_rows
from engine.values.jsonvalue import jsonb
from storage.column import Column
from storage.indexes.comparable import Key, column_keys, keys_of
from storage.types import (
    BOOL,
    BPCHAR,
    BYTEA,
    CIDR,
    DATE,
    FLOAT4,
    FLOAT8,
    INET,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSONB,
    NUMERIC,
    OID,
    TEXT,
    UUID,
    Type,
    array_of,
    binary,
    vector,
)
from tests.engine.tables import run_over

small_text = st.text(st.sampled_from("ab \0é😀"), max_size=4)
floats = st.one_of(st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1.5]), st.floats(width=32))
decimals = st.one_of(
    st.sampled_from([Decimal("1.10"), Decimal("1.1"), Decimal(0), Decimal("-0.00"), Decimal("NaN")]),
    st.sampled_from([Decimal("Infinity"), Decimal("-Infinity"), Decimal(100), Decimal("1E+2")]),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
)
intervals = st.tuples(st.integers(-3, 3), st.integers(-90, 90), st.integers(-(2**40), 2**40))
octets = st.sampled_from([0, 1, 9, 10, 128, 255])
fours = st.builds(
    lambda parts, mask: ".".join(map(str, parts)) + mask,
    st.lists(octets, min_size=4, max_size=4),
    st.sampled_from(["", "/0", "/1", "/8", "/9", "/31"]),
)
sixes = st.sampled_from(
    ["::", "::1", "::/0", "fe80::1/64", "fe80::2/64", "fe80::/10", "::ffff:1.2.3.4", "ff::"]
)
documents = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from([Decimal("1.10"), Decimal("1.1"), Decimal(0), Decimal("-0.5"), Decimal(100)]),
        st.text(st.sampled_from("abé😀"), max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("ab", max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)
VALUES: dict[Type, st.SearchStrategy[Any]] = {
    BOOL: st.booleans(),
    INT2: st.integers(-(2**15), 2**15 - 1),
    INT4: st.integers(-3, 3),
    INT8: st.integers(-(2**63), 2**63 - 1),
    OID: st.integers(0, 2**32 - 1),
    DATE: st.integers(-(2**31), 2**31 - 1),
    FLOAT4: floats,
    FLOAT8: floats,
    INTERVAL: intervals,
    TEXT: small_text,
    BPCHAR: small_text,
    BYTEA: st.binary(max_size=3),
    UUID: st.binary(min_size=16, max_size=16),
    binary(3): st.binary(min_size=3, max_size=3),
    vector(2): st.tuples(floats, floats),
    NUMERIC: decimals,
    INET: st.one_of(fours, sixes),
    CIDR: st.sampled_from(
        ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "9.0.0.0/8", "1.2.3.4/32", "::/0", "::1/128"]
    ),
    JSONB: documents.map(jsonb),
    array_of(INT4): st.lists(st.one_of(st.none(), st.integers(-2, 2)), max_size=3),
    array_of(TEXT): st.lists(st.one_of(st.none(), small_text), max_size=3),
}


def meaning(type: Type, item: Any) -> Any:
    """A Python value that orders and equals as SQL says; nulls inside arrays are greatest."""
    if type.element is not None:
        return [(1,) if part is None else (0, meaning(type.element, part)) for part in item]
    if type.oid == vector(2).oid:
        return [meaning(FLOAT8, float(part)) for part in item]
    if type in (FLOAT4, FLOAT8):
        return (1, 0.0) if math.isnan(item) else (0, item + 0.0)
    if type in (INET, CIDR):
        return _network(item)
    if type == JSONB:
        return _Document(json.loads(item, parse_float=Decimal, parse_int=Decimal), top=True)
    if type == NUMERIC:
        return (1, Decimal(0)) if item.is_nan() else (0, item)
    if type == INTERVAL:
        return (item[0] * 30 + item[1]) * 86_400_000_000 + item[2]
    if type in (TEXT, BPCHAR):
        return (item.rstrip(" ") if type == BPCHAR else item).encode()
    return item


def _network(text: str) -> tuple[int, str, str]:
    """An address as bits: where those of the mask are alike, the shorter mask and then the address decide."""
    address = ip_interface(text)
    bits = f"{int(address.ip):0{address.max_prefixlen}b}"
    return address.version, bits[: address.network.prefixlen], bits


@total_ordering
class _Document:
    """A jsonb, compared as PostgreSQL's compareJsonbContainers says."""

    def __init__(self, value: Any, top: bool = False) -> None:
        kinds = [type(None), str, Decimal, bool, list, dict]
        self.kind = -1 if top and value == [] else kinds.index(type(value))
        match value:
            case str():
                self.value: Any = value.encode()
            case list():
                self.value = len(value), [_Document(item) for item in value]
            case dict():
                keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
                self.value = len(value), [(key.encode(), _Document(value[key])) for key in keys]
            case _:
                self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Document) and (self.kind, self.value) == (other.kind, other.value)

    def __lt__(self, other: _Document) -> bool:
        if self.kind != other.kind:
            return self.kind < other.kind
        return bool(self.value is not None and self.value < other.value)

    __hash__ = None  # type: ignore[assignment]


def nullable(type: Type) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(st.none(), VALUES[type]), max_size=12)


columns = st.sampled_from(list(VALUES)).flatmap(lambda t: nullable(t).map(lambda items: (t, items)))


@given(columns)
def test_number_gives_equal_values_one_group_in_order_of_appearance(case: tuple[Type, list[Any]]) -> None:
    type, items = case
    groups, firsts = number([Column.of(type, items)], len(items))
    seen: list[Any] = []
    expected = []
    for item in items:
        value = None if item is None else [meaning(type, item)]
        if value not in seen:
            seen.append(value)
        expected.append(seen.index(value))
    assert groups.tolist() == expected
    assert firsts.tolist() == [expected.index(group) for group in range(len(seen))]


@given(columns, st.booleans(), st.booleans())
def test_rows_sort_as_their_meanings(
    case: tuple[Type, list[Any]], descending: bool, nulls_first: bool
) -> None:
    type, items = case
    words, _ = order_words(Column.of(type, items), descending, nulls_first)

    def compare(a: int, b: int) -> int:
        if items[a] is None or items[b] is None:
            order = (items[a] is None) - (items[b] is None)
            return -order if nulls_first else order
        left, right = meaning(type, items[a]), meaning(type, items[b])
        order = (left > right) - (left < right)
        return -order if descending else order

    assert sorted_rows(words, run_over()).tolist() == sorted(range(len(items)), key=cmp_to_key(compare))


@given(columns, st.integers(1, 5))
def test_an_index_numbers_alike_whatever_the_batches(case: tuple[Type, list[Any]], size: int) -> None:
    type, items = case
    whole, _ = number([Column.of(type, items)], len(items))
    index = KeyIndex([type])
    codes: list[int] = []
    new: list[int] = []
    for start in range(0, len(items), size):
        part = Column.of(type, items[start : start + size])
        numbers, firsts = index.assign([part], len(part))
        codes += numbers.tolist()
        new += [start + int(row) for row in firsts]
    assert codes == whole.tolist()
    assert new == [codes.index(code) for code in range(index.count)]
    assert index.find([Column.of(type, items)], len(items)).tolist() == codes


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.sampled_from([2, 5, 2**16, 2**63]), st.sampled_from([3, 2**64 - 1]))
def test_many_rows_sort_in_buckets(seed: int, first: int, second: int) -> None:
    random = np.random.default_rng(seed)
    words = [
        random.integers(0, first, 1500, np.uint64) + np.uint64(2**63 if first < 9 else 0),
        np.minimum(random.integers(0, second, 1500, np.uint64), np.uint64(second // 3)),
    ]
    expected = np.lexsort(words[::-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.orders.PIECE", 100)
        assert sorted_rows(words, run_over()).tolist() == expected.tolist()
    assert sorted_rows(words, run_over()).tolist() == expected.tolist()


def test_several_columns_and_absent_keys() -> None:
    index = KeyIndex([INT4, TEXT])
    index.add([Column.of(INT4, [1, 1, None, None]), Column.of(TEXT, ["a", None, "a", None])], 4)
    asked = [Column.of(INT4, [1, None, 2, None]), Column.of(TEXT, ["a", None, "a", "a"])]
    assert index.find(asked, 4).tolist() == [0, 3, -1, 2]


def test_keys_whose_hashes_meet_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def weak(keys: list[Key], rows: int, salt: int = 0) -> np.ndarray:
        return hash_keys(keys, rows, salt) % np.uint64(3 + salt)

    monkeypatch.setattr("engine.groups.hash_keys", weak)
    items = [f"key {i % 20}" for i in range(60)]
    index = KeyIndex([TEXT])
    codes = []
    for start in range(0, 60, 7):
        part = Column.of(TEXT, items[start : start + 7])
        codes += index.assign([part], len(part))[0].tolist()
    assert index.count == 20
    assert len({(item, code) for item, code in zip(items, codes, strict=True)}) == 20
    assert index.find([Column.of(TEXT, items)], 60).tolist() == codes
    assert index.find([Column.of(TEXT, ["other"])], 1).tolist() == [-1]


@given(st.lists(small_text, max_size=6), st.integers(0, 3), st.integers(0, 3))
def test_equal_strings_hash_alike_wherever_they_lie(items: list[str], before: int, salt: int) -> None:
    whole = Column.of(TEXT, ["x"] * before + items)
    sliced = keys_of([whole.slice(before, len(whole))], len(items))
    alone = keys_of([Column.of(TEXT, items)], len(items))
    assert hash_keys(sliced, len(items), salt).tolist() == hash_keys(alone, len(items), salt).tolist()


def test_a_key_of_no_columns_is_one_group() -> None:
    groups, firsts = number([], 3)
    assert groups.tolist() == [0, 0, 0]
    assert firsts.tolist() == [0]
    assert number([], 0)[1].tolist() == []
    assert [len(key) for key in column_keys(Column.of(INTERVAL, [(0, 1, 0)]))] == [1, 1]
