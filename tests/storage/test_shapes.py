"""A shape's source means what its program means; compiled, too, and kept."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.kernels import choice, shapes
from storage.kernels.plain.programs import Op, run_program
from storage.kernels.shapes import Shapes, run_shape
from storage.kernels.shapesource import Shape, shape_of, source

INTEGERS = (Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.DIVIDE, Op.MODULO)
FLOATS = (Op.ADD_F, Op.SUBTRACT_F, Op.MULTIPLY_F, Op.DIVIDE_F)
COMPARED = (Op.EQUAL, Op.NOT_EQUAL, Op.LESS, Op.LESS_EQUAL)
COMPARED_F = (Op.EQUAL_F, Op.NOT_EQUAL_F, Op.LESS_F, Op.LESS_EQUAL_F)
DTYPES = {"i": ("<i2", "<i4", "<i8", "<u4"), "f": ("<f4", "<f8"), "b": ("|b1",)}
VALUES = {
    "i": (0, 1, -1, 3, 100, -7),
    "f": (0.0, 1.5, -2.25, 3e38, float("nan"), float("inf")),
    "b": (True, False),
}
EDGES = {"<i8": (2**62, -(2**63), 2**63 - 1), "<i4": (2**31 - 1, -(2**31)), "<f8": (1e300, 5e-324)}
RESULT = {"i": "<i8", "f": "<f8", "b": "|b1"}


@st.composite
def programs(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray | None], str]:
    """(code, columns, masks, dtype of the result): any program that is well typed."""
    rows = draw(st.integers(1, 5))
    kinds, columns, masks = [], [], []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from("iifb"))
        dtype = draw(st.sampled_from(DTYPES[kind]))
        items = [v for v in VALUES[kind] if dtype != "<u4" or v >= 0]
        items += EDGES.get(dtype, ()) if draw(st.booleans()) else ()
        single = draw(st.integers(0, 3)) == 0
        drawn = draw(st.lists(st.sampled_from(items), min_size=1 if single else rows, max_size=rows))
        columns.append(np.array((drawn * rows)[: 1 if single else rows], dtype))
        masked = len(columns[-1]) == rows and not single and draw(st.booleans())
        masks.append(
            np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows))) if masked else None
        )
        kinds.append(kind)
    code: list[tuple[int, int, int, int]] = []
    for _ in range(draw(st.integers(1, 6))):
        op, left, right, mode, kind = draw(instructions(kinds))
        code.append((op, left, right, mode))
        kinds.append(kind)
    return np.array(code, np.int32), columns, masks, RESULT[kinds[-1]]


@st.composite
def instructions(draw: st.DrawFn, kinds: list[str]) -> tuple[int, int, int, int, str]:
    """(op, left, right, mode, kind of the result) over registers of these kinds."""

    def register(wanted: str) -> int:
        return draw(st.sampled_from([i for i, kind in enumerate(kinds) if kind == wanted]))

    kind = draw(st.sampled_from(kinds))
    a, b = register(kind), register(kind)
    null = (draw(st.sampled_from([Op.IS_NULL, Op.IS_NOT_NULL])), a, a, 0, "b")
    if kind == "i":
        size = draw(st.sampled_from([8, 8, 8, 4, 2]))
        return draw(
            st.sampled_from(
                [(op, a, b, 8, "i") for op in INTEGERS]
                + [(Op.ADD, a, b, size, "i"), (Op.NEGATE, a, a, 8, "i"), (Op.TO_FLOAT, a, a, size, "f")]
                + [(op, a, b, 0, "b") for op in COMPARED]
                + [null]
            )
        )
    if kind == "f":
        size = draw(st.sampled_from([8, 4]))
        return draw(
            st.sampled_from(
                [(op, a, b, size, "f") for op in FLOATS]
                + [(Op.NEGATE_F, a, a, 8, "f"), null]
                + [(op, a, b, 0, "b") for op in COMPARED_F]
            )
        )
    logic = [(Op.AND, a, b, 0, "b"), (Op.OR, a, b, 0, "b"), (Op.NOT, a, a, 0, "b")]
    return draw(st.sampled_from([*logic, (Op.EQUAL, a, b, 0, "b"), (Op.LESS, a, b, 0, "b"), null]))


def by_hand(shape: Shape) -> Callable[..., bool]:
    """A shape's kernel without a compiler: its source, run by Python over numpy's scalars."""

    def array(dtype: str) -> Callable[[Any, Any], np.ndarray]:
        def view(address: Any, count: Any) -> np.ndarray:
            size = int(count) * np.dtype(dtype).itemsize
            return np.frombuffer((ctypes.c_char * size).from_address(int(address)), dtype)

        return view

    text = source(shape)
    body = text[text.index("@njit(inline") :]
    space: dict[str, Any] = {"np": np, "njit": lambda *_, **__: lambda function: function}
    space |= {name: array(name) for name in ("u1", "i2", "i4", "u4", "i8", "f4", "f8")}
    exec(body, space)
    kernel: Callable[..., bool] = space["run"]
    return kernel


def same(ours: Any, theirs: Any) -> bool:
    """Answers with the same bits where there is a value."""
    if ours is None or theirs is None:
        return ours is theirs
    (values, valid), (wanted, known) = ours, theirs
    shown = np.ones(len(values), np.bool_) if known is None else known
    mask = np.ones(len(values), np.bool_) if valid is None else valid
    if not np.array_equal(shown, mask):
        return False
    return bool(np.array_equal(values[shown], wanted[shown], equal_nan=values.dtype.kind == "f"))


@settings(max_examples=200, deadline=None)
@given(programs())
def test_the_source_means_the_program(made: Any) -> None:
    code, columns, masks, dtype = made
    rows = max(map(len, columns))
    theirs = run_program(code, columns, masks, rows, np.dtype(dtype))
    with np.errstate(all="ignore"):
        ours = run_shape(by_hand(shape_of(code, columns, masks, dtype)), columns, masks, rows, dtype)
    # a product that is close to the edge is left to the other kernel
    assert same(ours, theirs) or (ours is None and Op.MULTIPLY in code[:, 0]), (ours, theirs)


CODE = np.array([(Op.SUBTRACT, 2, 1, 8), (Op.MULTIPLY, 0, 3, 8), (Op.LESS, 4, 2, 0)], np.int32)


def columns(rows: int) -> list[np.ndarray]:
    """Two columns and a constant for CODE."""
    return [np.arange(rows), np.arange(rows) % 10, np.array([10])]


def test_machine_code_is_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLANCEDB_CACHE", str(tmp_path))
    masks = [None, np.arange(1000) % 3 > 0, None]
    shape = shape_of(CODE, columns(1000), masks, np.bool_)
    first = Shapes()
    first.compile([shape])
    kernel = first.ready[shape]
    assert kernel is not None
    wanted = run_program(CODE, columns(1000), masks, 1000, np.dtype(np.bool_))
    assert same(run_shape(kernel, columns(1000), masks, 1000, np.bool_), wanted)
    largest = [np.full(1000, 2**62), *columns(1000)[1:]]
    assert run_shape(kernel, largest, masks, 1000, np.bool_) is None

    def refuse(*given: Any, **more: Any) -> Any:
        raise AssertionError("compiled again")

    monkeypatch.setattr(subprocess, "run", refuse)
    second = Shapes()
    second.compile([shape])
    assert second.ready[shape] is not None


def test_a_shape_is_compiled_when_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Shape] = []
    met = Shapes()
    monkeypatch.setattr(met, "compile", asked.extend)
    monkeypatch.setattr(shapes, "RETURNS", 5000)
    shape = shape_of(CODE, columns(4000), [None] * 3, np.bool_)
    first, second = object(), object()
    for _ in range(3):
        met.returned(shape, 4000, first)
    assert met._thread is None  # one long statement is no return
    met.returned(shape, 4000, second)
    met.returned(shape, 4000, second)
    assert met._thread is not None
    while not asked:
        os.sched_yield()
    assert asked == [shape]


def test_what_does_not_compile_stays_interpreted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLANCEDB_CACHE", str(tmp_path))
    monkeypatch.setattr(shapes, "source", lambda shape: "raise ValueError('no')")
    shape = shape_of(CODE, columns(10), [None] * 3, np.bool_)
    met = Shapes()
    met.compile([shape])
    assert met.ready == {shape: None}
    assert choice.cache_folder().is_relative_to(tmp_path)
