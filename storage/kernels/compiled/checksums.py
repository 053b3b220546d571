"""Twins of plain.checksums by the processor's instruction for CRC32C; where it has none, there are none.

The instruction has a result after three cycles and can begin every cycle, so four rows go side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.extending import intrinsic

from storage.kernels.plain.checksums import Checksums, Rows

_CALL_BYTES = 64 << 20  # of one call: well under 20 ms
_FEATURES = binding.get_host_cpu_features()
_WORD, _HALF, _BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)
_INSTRUCTIONS = {  # feature of the processor: what takes up 8 bytes, what takes up one, the width of a result
    "sse4.2": ("llvm.x86.sse42.crc32.64.64", "llvm.x86.sse42.crc32.32.8", _WORD),
    "crc": ("llvm.aarch64.crc32cx", "llvm.aarch64.crc32cb", _HALF),
}
_FEATURE = next((name for name in _INSTRUCTIONS if _FEATURES.get(name)), None)


def _declared(builder: Any, name: str, result: Any, parts: list[Any]) -> Any:
    kind = ir.FunctionType(result, parts)
    return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _eight(typing: Any, state: Any, address: Any) -> Any:
    """The state after the 8 bytes at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name, _, width = _INSTRUCTIONS[_FEATURE or "sse4.2"]
        state, address = args
        word = builder.load(builder.inttoptr(address, _WORD.as_pointer()), align=1)
        wide = builder.zext(state, width) if width is _WORD else state
        after = builder.call(_declared(builder, name, width, [width, _WORD]), [wide, word])
        return builder.trunc(after, _HALF) if width is _WORD else after

    return types.uint32(types.uint32, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _one(typing: Any, state: Any, address: Any) -> Any:
    """The state after the byte at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, name, width = _INSTRUCTIONS[_FEATURE or "sse4.2"]
        state, address = args
        byte = builder.load(builder.inttoptr(address, _BYTE.as_pointer()))
        if width is _HALF:  # ARM takes the byte in a register of 32 bits
            byte = builder.zext(byte, _HALF)
        return builder.call(_declared(builder, name, _HALF, [_HALF, byte.type]), [state, byte])

    return types.uint32(types.uint32, types.int64), codegen


if _FEATURE is not None:

    @njit("void(int64, int64, int64, uint32[::1])", nogil=True, cache=True)
    def _checksum(rows, stride, width, out):  # type: ignore[no-untyped-def]
        full = np.uint32(0xFFFFFFFF)
        whole = width // 8 * 8
        for first in range(0, len(out), 4):
            a = rows + first * stride
            # beyond the last row, the last row again
            b = rows + min(first + 1, len(out) - 1) * stride
            c = rows + min(first + 2, len(out) - 1) * stride
            d = rows + min(first + 3, len(out) - 1) * stride
            w, x, y, z = full, full, full, full
            for at in range(0, whole, 8):
                w, x, y, z = _eight(w, a + at), _eight(x, b + at), _eight(y, c + at), _eight(z, d + at)
            for at in range(whole, width):
                w, x, y, z = _one(w, a + at), _one(x, b + at), _one(y, c + at), _one(z, d + at)
            out[first] = w ^ full
            if first + 1 < len(out):
                out[first + 1] = x ^ full
            if first + 2 < len(out):
                out[first + 2] = y ^ full
            if first + 3 < len(out):
                out[first + 3] = z ^ full

    def checksum_rows(rows: Rows) -> Checksums:
        """See plain.checksums.checksum_rows."""
        count, width = rows.shape
        assert rows.strides[1] == 1 or width == 1 or not rows.size, "a row's bytes are neighbours"
        out = np.empty(count, np.uint32)
        base, stride = rows.ctypes.data, rows.strides[0]
        step = max(_CALL_BYTES // max(width, 1), 1)
        for start in range(0, count, step):
            _checksum(base + start * stride, stride, width, out[start : start + step])
        return out
