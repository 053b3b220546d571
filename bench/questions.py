"""The questions of h2oai's db-benchmark, and rows like its own: G1_*_1e2_0_0 to group, J1_*_NA_0_0 to join.

A question is one text for every database that speaks SQL. Floats have six decimals, as there.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.column import Array

Tables = dict[str, pa.Table]
SEED = 108

GROUPS = {
    "sum v1 by id1": "select id1, sum(v1) as v1 from x group by id1",
    "sum v1 by id1, id2": "select id1, id2, sum(v1) as v1 from x group by id1, id2",
    "sum v1, mean v3 by id3": "select id3, sum(v1) as v1, avg(v3) as v3 from x group by id3",
    "mean v1 to v3 by id4": "select id4, avg(v1) as v1, avg(v2) as v2, avg(v3) as v3 from x group by id4",
    "sum v1 to v3 by id6": "select id6, sum(v1) as v1, sum(v2) as v2, sum(v3) as v3 from x group by id6",
    "median, sd v3 by id4, id5": (
        "select id4, id5, percentile_cont(0.5) within group (order by v3) as median_v3, "
        "stddev(v3) as sd_v3 from x group by id4, id5"
    ),
    "max v1 - min v2 by id3": "select id3, max(v1) - min(v2) as range_v1_v2 from x group by id3",
    "largest two v3 by id6": (
        "select id6, v3 from (select id6, v3, row_number() over (partition by id6 order by v3 desc) as place "
        "from x) ranked where place <= 2"
    ),
    "regression v1 v2 by id2, id4": (
        "select id2, id4, power(corr(v1, v2), 2) as r2 from x group by id2, id4"
    ),
    "sum v3, count by id1 to id6": (
        "select id1, id2, id3, id4, id5, id6, sum(v3) as v3, count(*) as count from x "
        "group by id1, id2, id3, id4, id5, id6"
    ),
}

JOINS = {
    "small inner on int": "select x.*, small.id4 as small_id4, v2 from x join small using (id1)",
    "medium inner on int": (
        "select x.*, medium.id1 as medium_id1, medium.id4 as medium_id4, medium.id5 as medium_id5, v2 "
        "from x join medium using (id2)"
    ),
    "medium outer on int": (
        "select x.*, medium.id1 as medium_id1, medium.id4 as medium_id4, medium.id5 as medium_id5, v2 "
        "from x left join medium using (id2)"
    ),
    "medium inner on text": (
        "select x.*, medium.id1 as medium_id1, medium.id2 as medium_id2, medium.id4 as medium_id4, v2 "
        "from x join medium using (id5)"
    ),
    "big inner on int": (
        "select x.*, big.id1 as big_id1, big.id2 as big_id2, big.id4 as big_id4, big.id5 as big_id5, "
        "big.id6 as big_id6, v2 from x join big using (id3)"
    ),
}


def group_rows(rows: int, groups: int = 100) -> Tables:
    """Table x of `rows` rows: `groups` small groups, rows / `groups` large ones."""
    random = np.random.default_rng(SEED)
    large = max(rows // groups, 1)

    def number(most: int) -> Array:
        return random.integers(1, most + 1, rows, dtype=np.int32)

    return {
        "x": pa.table(
            {
                "id1": _texts(3, number(groups)),
                "id2": _texts(3, number(groups)),
                "id3": _texts(10, number(large)),
                "id4": number(groups),
                "id5": number(groups),
                "id6": number(large),
                "v1": number(5),
                "v2": number(15),
                "v3": _fractions(random, rows),
            }
        )
    }


def join_rows(rows: int) -> Tables:
    """Table x of `rows` rows, and small, medium and big, whose keys nine in ten of its rows have."""
    random = np.random.default_rng(SEED)
    sizes = (max(rows // 1_000_000, 10), max(rows // 1_000, 10), rows)
    keys = [random.permutation(np.arange(1, size + size // 10 + 1, dtype=np.int32)) for size in sizes]
    left = [key[:size] for key, size in zip(keys, sizes, strict=True)]
    right = [key[size // 10 : size + size // 10] for key, size in zip(keys, sizes, strict=True)]

    def table(ids: list[Array], value: str) -> pa.Table:
        columns = {f"id{i}": pa.array(each) for i, each in enumerate(ids, 1)}
        columns |= {f"id{i}": _texts(1, each) for i, each in enumerate(ids, 4)}
        return pa.table(columns | {value: _fractions(random, len(ids[0]))})

    def sample(key: Array, count: int) -> Array:
        return random.permutation(np.resize(key, count))

    return {
        "x": table([sample(key, rows) for key in left], "v1"),
        "small": table([right[0]], "v2"),
        "medium": table([sample(right[0], sizes[1]), right[1]], "v2"),
        "big": table([sample(right[0], rows), sample(right[1], rows), right[2]], "v2"),
    }


def _texts(width: int, numbers: Array) -> pa.Array:
    """'id' and each number, in `width` digits at least."""
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise("id", digits, "")


def _fractions(random: np.random.Generator, rows: int) -> Array:
    return np.round(random.uniform(0, 100, rows), 6)
