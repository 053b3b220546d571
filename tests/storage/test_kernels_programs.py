"""The programs family: the compiled twin against plain, on random programs over random columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from storage.kernels.compiled import programs as compiled
from storage.kernels.plain import programs as plain
from storage.kernels.plain.programs import Op

EDGES = [0, 1, -1, 2, 3, 127, 32_767, -32_768, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]
FLOATS = [0.0, -0.0, 1.0, -1.5, 1e-300, 1e300, 1e38, 5e-324, float("inf"), float("-inf"), float("nan")]
INTEGERS = ("?", "u1", "<i2", "<i4", "<u4", "<i8")
WHOLE = [op for op in Op if op < Op.ADD_F]
FRACTION = [Op.ADD_F, Op.SUBTRACT_F, Op.MULTIPLY_F, Op.DIVIDE_F, Op.NEGATE_F]
COMPARED = [op for op in Op if Op.EQUAL <= op <= Op.LESS_EQUAL]
COMPARED_F = [op for op in Op if Op.EQUAL_F <= op <= Op.LESS_EQUAL_F]
LOGIC = [op for op in Op if op >= Op.AND]


def values(kind: str) -> SearchStrategy[Any]:
    """Values of a dtype, edges among them."""
    if np.dtype(kind).kind == "f":
        return st.one_of(st.sampled_from(FLOATS), st.floats(-100, 100, width=32)).map(
            lambda value: float(np.dtype(kind).type(value)) if abs(value) < 3e38 or value != value else value
        )
    if kind == "?":
        return st.booleans()
    limits = np.iinfo(np.dtype(kind))
    fitting = [edge for edge in EDGES if limits.min <= edge <= limits.max]
    small = st.integers(max(limits.min, -9), 9)
    return st.one_of(small, small, st.sampled_from(fitting))


@st.composite
def programs(draw: DrawFn) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray | None], int, str]:
    """(code, columns, valids, rows, dtype of the result) of a program that is typed well."""
    rows = draw(st.sampled_from([1, 2, 5, 1024, 1500]))
    columns, valids, kinds = [], [], []
    for kind in draw(st.lists(st.sampled_from([*INTEGERS, "<f4", "<f8"]), min_size=1, max_size=4)):
        count = draw(st.sampled_from([1, rows]))
        some = draw(st.lists(values(kind), min_size=1, max_size=6))
        with np.errstate(over="ignore"):
            columns.append(np.resize(np.array(some, np.dtype(kind)), count))
        nulls = count == rows and draw(st.booleans())
        valids.append(
            np.resize(np.array(draw(st.lists(st.booleans(), min_size=1, max_size=7))), count)
            if nulls
            else None
        )
        kinds.append({"?": "b", "f": "f"}.get(np.dtype(kind).kind if kind != "?" else "?", "i"))
    code = []
    for _ in range(draw(st.integers(1, 6))):
        left, right = (draw(st.integers(0, len(kinds) - 1)) for _ in range(2))
        if kinds[left] != kinds[right]:
            right = left
        size = draw(st.sampled_from([2, 4, 8]))
        choices: list[Op] = [Op.IS_NULL, Op.IS_NOT_NULL, *(COMPARED_F if kinds[left] == "f" else COMPARED)]
        choices += {"f": FRACTION, "i": [*WHOLE, Op.TO_FLOAT], "b": LOGIC}[kinds[left]] * 2
        op = draw(st.sampled_from(choices))
        fraction = op in FRACTION or op is Op.TO_FLOAT
        kinds.append("f" if fraction else "i" if op in WHOLE else "b")
        code.append((op, left, right, (4 if size == 4 else 8) if fraction else size))
    dtype = {"f": "<f8", "i": "<i8", "b": "?"}[kinds[-1]]
    return np.array(code, np.int32), columns, valids, rows, dtype


# NOT has one operand; what stands on its right may be null
NOT_OF_KNOWN = (
    np.array([(Op.IS_NULL, 0, 0, 2), (Op.NOT, 1, 0, 2)], np.int32),
    [np.array([False])],
    [np.array([False])],
    1,
    "?",
)


@settings(max_examples=300, deadline=None)
@given(programs())
@example(NOT_OF_KNOWN)
def test_twins_agree(program: tuple[Any, ...]) -> None:
    expected, found = plain.run_program(*program), compiled.run_program(*program)
    if expected is None:
        # a block at a time it can prove more of a product than over all rows
        assert found is None or Op.MULTIPLY in program[0][:, 0]
        return
    assert found is not None
    valid = expected[1]
    assert (valid is None) == (found[1] is None)
    if valid is not None:
        assert found[1] is not None
        assert found[1].tolist() == valid.tolist()
        expected, found = (expected[0][valid], None), (found[0][valid], None)
    assert np.array_equal(expected[0], found[0], equal_nan=expected[0].dtype.kind == "f")
    if expected[0].dtype.kind == "f":
        there = ~np.isnan(expected[0])
        assert np.array_equal(np.signbit(expected[0])[there], np.signbit(found[0])[there])
