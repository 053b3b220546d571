"""TPC-H's tables as this server's columns: made once by tpchgen-cli, kept as Parquet files.

They lie in the folder that BENCH_DATA names, or in one of the system's temporary files; BENCH_SCALE is the
scale factor, 1 if it is not given.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.column import Column
from storage.types import BPCHAR, DATE, INT4, INT8, Type, numeric, varchar

_EPOCH = 10_957  # days from Arrow's epoch to ours
_CHARS = {
    "o_orderstatus": 1, "o_orderpriority": 15, "o_clerk": 15, "l_returnflag": 1, "l_linestatus": 1,
    "l_shipinstruct": 25, "l_shipmode": 10,
}  # fmt: skip


def scale() -> str:
    """The scale factor."""
    return os.environ.get("BENCH_SCALE", "1")


def table(name: str) -> Path:
    """The Parquet file of a table."""
    folder = Path(os.environ.get("BENCH_DATA", tempfile.gettempdir())) / f"tpch-{scale()}"
    path = folder / f"{name}.parquet"
    if not path.exists():
        generated(scale(), folder, name)
    return path


def generated(scale: str, folder: Path, *names: str) -> Path:
    """The folder, with the Parquet files of these tables, or of all, in it."""
    command = [str(Path(sys.executable).parent / "tpchgen-cli"), "parquet", "-s", scale, "-o", str(folder)]
    only = [part for name in names for part in ("-T", name)]
    subprocess.run([*command, *only], check=True, capture_output=True)
    return folder


def columns(name: str) -> dict[str, Column]:
    """A table's columns, whole."""
    data = pq.read_table(table(name))
    return {column: _column(column, data[column].combine_chunks()) for column in data.column_names}


def _column(name: str, values: pa.Array) -> Column:
    if pa.types.is_decimal(values.type):
        raw = np.frombuffer(values.buffers()[1], np.int64)[::2]  # the low half of 128 bits
        return Column.scaled(numeric(15, 2), raw[values.offset : values.offset + len(values)].copy(), 2)
    if pa.types.is_date(values.type):
        return Column(DATE, values.cast(pa.int32()).to_numpy() - np.int32(_EPOCH))
    if pa.types.is_integer(values.type):
        type: Type = INT8 if pa.types.is_int64(values.type) else INT4
        return Column(type, values.to_numpy())
    type = BPCHAR.of(_CHARS[name] + 4) if name in _CHARS else varchar(79)
    return Column(type, values.cast(pa.large_string()))
