"""A server on a free loopback port, with the talk's table in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

from server.config import Config
from server.listener import Server
from storage.database import Database

DDL = (
    "CREATE TABLE features (id bigint(11) NOT NULL AUTO_INCREMENT, image binary(16) DEFAULT NULL, "
    "KEY id (id) USING CLUSTERED COLUMNSTORE)"
)
VECTORS = np.eye(4, dtype="<f4")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server for this module's tests."""
    folder: Path = tmp_path_factory.mktemp("clients")
    database = Database.open(folder / "data")
    try:
        with Server(database, Config(port=0)) as server:
            with psycopg.connect(_dsn(server.port), autocommit=True) as connection:
                connection.execute(DDL)
                with connection.cursor() as cursor:
                    cursor.executemany(
                        "INSERT INTO features (image) VALUES (%s)", [(v.tobytes(),) for v in VECTORS]
                    )
            yield server.port
    finally:
        database.close()


def _dsn(port: int) -> str:
    return f"host=127.0.0.1 port={port} user=glancedb dbname=glancedb"


@pytest.fixture
def dsn(port: int) -> str:
    """libpq's connection string."""
    return _dsn(port)
