"""What a server's process takes of memory while it is loaded with ten times as many bytes of vectors.

`python -m bench memory` is the long form.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psycopg
import pytest

from bench import server
from bench.memory import Watched, forget

CACHE = 16 << 20
DIMENSIONS = 1024
ROWS = 10 * CACHE // (4 * DIMENSIONS)
BESIDE = 128 << 20
"""Bytes that working on segments, queries and the allocators take beside the cache, at most."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not tell")
def test_vectors_of_ten_times_the_memory_are_loaded_and_searched_within_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((64, DIMENSIONS), np.float32)
    rows = np.repeat(centres, ROWS // 64, axis=0) + rng.standard_normal((ROWS, DIMENSIONS), np.float32) / 4
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    data, config = tmp_path / "data", f"shared_buffers = '{CACHE >> 10}kB'\n"
    with server.process(data, config) as (url, pid), psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create table v (id bigint, image binary({4 * DIMENSIONS}))")
        with Watched(pid) as idle:
            connection.execute("select count(*) from v")
        with Watched(pid) as loading:
            with connection.cursor().copy("copy v from stdin (format binary)") as copy:
                copy.set_types(["int8", "bytea"])
                for number, row in enumerate(rows):
                    copy.write_row((number, row.tobytes()))
            connection.execute("optimize table v full")
        forget(data)
        with Watched(pid) as asking:
            for number in range(0, ROWS, ROWS // 8):
                text = "select id from v where dot_product(image, %b) > .9"
                found = sorted(id for (id,) in connection.execute(text, (rows[number].tobytes(),)))
                scores = rows.astype(np.float64) @ rows[number]
                assert np.abs(scores - 0.9).min() > 1e-9
                assert found == np.flatnonzero(scores > 0.9).tolist()
                assert len(found) > 1
    for watched in (loading, asking):
        assert watched.most - idle.most < CACHE + BESIDE
