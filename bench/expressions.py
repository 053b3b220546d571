"""Numeric expressions over batches of 65,536 rows: programs beside the trees, their numpy twin, and numexpr.

numexpr and bare numpy check nothing: an integer wraps, a float overflows silently, a null is no null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numexpr
import numpy as np

from bench.process import ready
from bench.table import Table
from bench.timing import median_seconds
from engine.expressions import And, Call, Constant, Expression, Reference
from engine.fused import Fused, fuse
from engine.run import Run
from storage.batch import Batch
from storage.column import Column
from storage.kernels.plain import programs as plain
from storage.types import BOOL, FLOAT8, INT4, INT8, Type

ROWS = 65_536
PRICE, DISCOUNT, QUANTITY, DAY = (
    Reference(0, FLOAT8),
    Reference(1, FLOAT8),
    Reference(2, INT8),
    Reference(3, INT4),
)


def _call(symbol: str, left: Expression, right: Expression, type: Type) -> Call:
    return Call(f"operator {symbol}({left.type.name},{right.type.name})", (left, right), type)


def _constant(type: Type, value: Any) -> Constant:
    return Constant(Column.scalar(type, value))


def _charge() -> Expression:
    one = _constant(FLOAT8, 1.0)
    net = _call("*", PRICE, _call("-", one, DISCOUNT, FLOAT8), FLOAT8)
    return _call("*", net, _call("+", one, DISCOUNT, FLOAT8), FLOAT8)


def _condition() -> Expression:
    return And(
        (
            _call(">=", DAY, _constant(INT4, 8000), BOOL),
            _call("<", DAY, _constant(INT4, 8365), BOOL),
            _call(">=", DISCOUNT, _constant(FLOAT8, 0.05), BOOL),
            _call("<=", DISCOUNT, _constant(FLOAT8, 0.07), BOOL),
            _call("<", QUANTITY, _constant(INT8, 24), BOOL),
        )
    )


def _whole() -> Expression:
    return _call("+", _call("*", QUANTITY, _constant(INT8, 3), INT8), _call("-", QUANTITY, DAY, INT8), INT8)


Works = dict[str, tuple[Expression, str, Callable[[dict[str, Any]], Any]]]
WORKS: Works = {
    "price * (1 - discount) * (1 + discount)": (
        _charge(),
        "price * (1 - discount) * (1 + discount)",
        lambda c: c["price"] * (1 - c["discount"]) * (1 + c["discount"]),
    ),
    "five comparisons with AND": (
        _condition(),
        "(day >= 8000) & (day < 8365) & (discount >= 0.05) & (discount <= 0.07) & (quantity < 24)",
        lambda c: (
            (c["day"] >= 8000)
            & (c["day"] < 8365)
            & (c["discount"] >= 0.05)
            & (c["discount"] <= 0.07)
            & (c["quantity"] < 24)
        ),
    ),
    "quantity * 3 + (quantity - day)": (
        _whole(),
        "quantity * 3 + (quantity - day)",
        lambda c: c["quantity"] * 3 + (c["quantity"] - c["day"]),
    ),
}


def main() -> None:
    """Print the table."""
    ready()
    numexpr.set_num_threads(1)
    random = np.random.default_rng(1)
    columns = {
        "price": random.random(ROWS) * 1e5,
        "discount": random.integers(0, 11, ROWS) / 100,
        "quantity": random.integers(1, 51, ROWS),
        "day": random.integers(7500, 9000, ROWS).astype(np.int32),
    }
    types = (FLOAT8, FLOAT8, INT8, INT4)
    batch = Batch.of(*(Column(type, values) for type, values in zip(types, columns.values(), strict=True)))
    run = Run(None, None)  # type: ignore[arg-type]  # arithmetic asks for neither
    interpreted, compiled = (replace(run, settings={"interpreter_mode": m}) for m in ("interpret", "compile"))
    table = Table(
        f"numeric expressions, one thread, batches of {ROWS:,} rows",
        ("what", "us", "of numexpr", "of bare numpy"),
    )
    for name, (tree, text, bare) in WORKS.items():
        fused = fuse(tree)
        assert isinstance(fused, Fused)
        inputs = [node.evaluate(batch, run).values for node in fused.inputs]
        code, nothing = np.array(fused.code, np.int32), [None] * len(inputs)
        seconds = {
            f"{name}: program": median_seconds(lambda f=fused: f.evaluate(batch, interpreted), 101),
            "    its shape's machine code": median_seconds(lambda f=fused: f.evaluate(batch, compiled), 101),
            "    its twin in numpy": median_seconds(
                lambda f=fused, c=code, i=inputs, n=nothing: plain.run_program(c, i, n, ROWS, f.type.dtype),
                21,
            ),
            "    the tree, node by node": median_seconds(lambda t=tree: t.evaluate(batch, run), 101),
            "    numexpr, unchecked": median_seconds(lambda t=text: numexpr.evaluate(t, columns), 101),
            "    numpy, unchecked": median_seconds(lambda b=bare: b(columns), 101),
        }
        peers = seconds["    numexpr, unchecked"], seconds["    numpy, unchecked"]
        for what, time in seconds.items():
            table.row(what, time * 1e6, *(peer / time for peer in peers))
    table.print()
