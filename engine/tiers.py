"""Which kernel runs a program: the one that reads its instructions, or that of its shape.

The setting interpreter_mode says, in SingleStore's words: `interpret_first` (the default) reads instructions
until a shape has returned and its machine code is there, `interpret` always does, `compile` waits for machine
code at the first batch. The answers are the same to the bit; where the shape's kernel proves no answer the
other is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.run import Run
from storage import kernels
from storage.kernels import choice
from storage.kernels.plain.programs import Array, Code
from storage.kernels.shapes import SHAPES, Kernel, run_shape
from storage.kernels.shapesource import Shape, shape_of

MODES = ("interpret_first", "interpret", "compile")


def run_program(
    code: Code, values: Sequence[Array], valids: Sequence[Array | None], rows: int, dtype: object, run: Run
) -> tuple[Array, Array | None] | None:
    """See storage.kernels.plain.programs.run_program."""
    mode = run.settings.get("interpreter_mode", MODES[0])
    if mode != "interpret" and choice.mode() != "plain":
        kernel = _kernel(shape_of(code, values, valids, dtype), rows, mode, run)
        if kernel is not None:
            answer = run_shape(kernel, values, valids, rows, dtype)
            if answer is not None:
                return answer
    return kernels.run_program(code, values, valids, rows, dtype)


def _kernel(shape: Shape, rows: int, mode: str, run: Run) -> Kernel | None:
    if shape not in SHAPES.ready:
        if mode == "compile":
            SHAPES.compile([shape])
        else:
            SHAPES.returned(shape, rows, run.memo)
    return SHAPES.ready.get(shape)
