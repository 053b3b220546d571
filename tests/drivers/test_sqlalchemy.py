"""SQLAlchemy: connection set-up, create and reflect tables, the ORM's usual statements."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa


@pytest.fixture
def engine(port: int) -> Iterator[sa.Engine]:
    made = sa.create_engine(f"postgresql+psycopg://glancedb@127.0.0.1:{port}/glancedb")
    yield made
    made.dispose()


def test_tables_are_created_reflected_and_dropped(engine: sa.Engine) -> None:
    metadata = sa.MetaData()
    table = sa.Table(
        "people",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(30), nullable=False),
        sa.Column("score", sa.Numeric(8, 2)),
        sa.UniqueConstraint("name", name="people_names"),
    )
    metadata.create_all(engine)
    inspector = sa.inspect(engine)
    assert {"features", "people"} <= set(inspector.get_table_names())
    columns = {column["name"]: column for column in inspector.get_columns("people")}
    assert [str(columns[name]["type"]) for name in ("id", "name", "score")] == [
        "INTEGER",
        "VARCHAR(30)",
        "NUMERIC(8, 2)",
    ]
    assert columns["name"]["nullable"] is False
    assert inspector.get_pk_constraint("people")["constrained_columns"] == ["id"]
    assert [u["name"] for u in inspector.get_unique_constraints("people")] == ["people_names"]
    assert inspector.get_foreign_keys("people") == []
    reflected = sa.Table("people", sa.MetaData(), autoload_with=engine)
    assert [column.name for column in reflected.columns] == [column.name for column in table.columns]
    metadata.drop_all(engine)
    assert "people" not in sa.inspect(engine).get_table_names()


def test_rows_are_written_and_read(engine: sa.Engine) -> None:
    metadata = sa.MetaData()
    items = sa.Table(
        "items", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text)
    )
    metadata.create_all(engine)
    with engine.begin() as connection:
        ids = connection.execute(items.insert().returning(items.c.id), [{"name": "a"}, {"name": "b"}])
        assert sorted(ids.scalars()) == [1, 2]
        connection.execute(items.update().where(items.c.id == 2).values(name="c"))
    with engine.connect() as connection:
        query = sa.select(items.c.name, sa.func.count()).group_by(items.c.name).order_by(items.c.name)
        assert connection.execute(query).all() == [("a", 1), ("c", 1)]
    metadata.drop_all(engine)
