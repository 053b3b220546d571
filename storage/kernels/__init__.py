"""Kernels by name: work on arrays, without types, plans or nulls of their own.

`plain/<family>.py` is the meaning of each kernel, in numpy; `compiled/<family>.py` has the twin of the
same name. Callers say `kernels.dot(...)`, so that the twin can take the place of the plain one while
the server runs: nothing compiles on a statement's thread (see storage.kernels.choice).
"""

from storage.kernels import choice
from storage.kernels.plain.buckets import bucket_rows, chain_words, probe_buckets, probe_chains
from storage.kernels.plain.checksums import checksum_rows
from storage.kernels.plain.dot import cosine, dot, l1, l2, norms
from storage.kernels.plain.fields import (
    parse_dates,
    parse_decimals,
    parse_floats,
    parse_integers,
    parse_stamps,
)
from storage.kernels.plain.floats import unpack_floats
from storage.kernels.plain.frames import find_tuples, gather_bytes, put_fields, put_int32, scatter_bytes
from storage.kernels.plain.group import (
    find_words,
    group_codes,
    group_words,
    hash_bytes,
    mix_words,
    place_words,
)
from storage.kernels.plain.lines import count_byte, split_lines
from storage.kernels.plain.packing import (
    block_offsets,
    pack_blocks,
    select_blocks,
    total_blocks,
    undelta_at,
    undelta_blocks,
    unpack_at,
    unpack_blocks,
    unpack_table,
)
from storage.kernels.plain.planes import deepen_signs, quantise
from storage.kernels.plain.programs import run_program
from storage.kernels.plain.rotation import encode_signs, rotate_rows
from storage.kernels.plain.runs import repeat_runs
from storage.kernels.plain.signs import count_signs, scan_signs
from storage.kernels.plain.stamps import stamp_texts
from storage.kernels.plain.sums import count_groups, float_digits, largest, smallest, sum_floats, sum_integers
from storage.kernels.plain.units import parse_fields, unit_fields, unit_texts
from storage.kernels.plain.values import number_fields

__all__ = [
    "block_offsets",
    "bucket_rows",
    "chain_words",
    "checksum_rows",
    "cosine",
    "count_byte",
    "count_groups",
    "count_signs",
    "deepen_signs",
    "dot",
    "encode_signs",
    "find_tuples",
    "find_words",
    "float_digits",
    "gather_bytes",
    "group_codes",
    "group_words",
    "hash_bytes",
    "l1",
    "l2",
    "largest",
    "mix_words",
    "norms",
    "number_fields",
    "pack_blocks",
    "parse_dates",
    "parse_decimals",
    "parse_fields",
    "parse_floats",
    "parse_integers",
    "parse_stamps",
    "place_words",
    "probe_buckets",
    "probe_chains",
    "put_fields",
    "put_int32",
    "quantise",
    "repeat_runs",
    "rotate_rows",
    "run_program",
    "scan_signs",
    "scatter_bytes",
    "select_blocks",
    "smallest",
    "split_lines",
    "stamp_texts",
    "sum_floats",
    "sum_integers",
    "total_blocks",
    "undelta_at",
    "undelta_blocks",
    "unit_fields",
    "unit_texts",
    "unpack_at",
    "unpack_blocks",
    "unpack_floats",
    "unpack_table",
    "warm",
]


def warm(wait: bool = False) -> None:
    """Have the compiled twins take over, in the background unless `wait`; once a process."""
    choice.warm(globals(), wait)


if choice.mode() == "compiled":
    choice.warm(globals(), wait=True)
