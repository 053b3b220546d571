"""SQLAlchemy over psycopg and asyncpg: types, the session, reflection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.exc import IntegrityError

from tests.clients.conftest import Reached


@pytest.fixture
def engine(reached: Reached) -> Iterator[sa.Engine]:
    engine = sa.create_engine(reached.url().replace("postgresql:", "postgresql+psycopg:"))
    yield engine
    engine.dispose()


class Base(orm.DeclarativeBase):
    pass


class Photo(Base):
    __tablename__ = "photos"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(40), unique=True)
    taken: orm.Mapped[datetime | None]
    price: orm.Mapped[Decimal | None] = orm.mapped_column(sa.Numeric(10, 2))
    data: orm.Mapped[bytes | None]


def test_the_orm(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)  # finds them there
    with orm.Session(engine) as session:
        session.add_all(
            [Photo(name="a", taken=datetime(2026, 1, 2), price=Decimal("1.50"), data=b"\0"), Photo(name="b")]
        )
        session.commit()
        assert [p.id for p in session.scalars(sa.select(Photo).order_by(Photo.name))] == [1, 2]
        first = session.scalars(sa.select(Photo).where(Photo.name == "a")).one()
        assert (first.taken, first.price, first.data) == (datetime(2026, 1, 2), Decimal("1.50"), b"\0")
        first.price = Decimal("2.25")
        session.commit()
        assert session.scalar(sa.select(sa.func.sum(Photo.price))) == Decimal("2.25")
        session.add(Photo(name="a"))
        with pytest.raises(IntegrityError):
            session.commit()
        session.rollback()
        session.execute(sa.delete(Photo).where(Photo.name.like("b%")))
        session.commit()
        assert session.scalar(sa.select(sa.func.count()).select_from(Photo)) == 1
    Base.metadata.drop_all(engine)


def test_reflection(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "create table reflected (id bigint primary key, "
                "name varchar(20) not null constraint names unique, "
                "amount numeric(10,2) default 1.5, at timestamptz, tags text[])"
            )
        )
    inspector = sa.inspect(engine)
    assert "reflected" in inspector.get_table_names()
    columns = {c["name"]: c for c in inspector.get_columns("reflected")}
    assert list(columns) == ["id", "name", "amount", "at", "tags"]
    assert [str(c["type"]) for c in columns.values()] == [
        "BIGINT", "VARCHAR(20)", "NUMERIC(10, 2)", "TIMESTAMP", "ARRAY",
    ]  # fmt: skip
    assert [c["nullable"] for c in columns.values()] == [False, False, True, True, True]
    assert inspector.get_pk_constraint("reflected")["constrained_columns"] == ["id"]
    assert [(u["name"], u["column_names"]) for u in inspector.get_unique_constraints("reflected")] == [
        ("names", ["name"])
    ]
    assert inspector.get_foreign_keys("reflected") == []
    table = sa.Table("reflected", sa.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"id": n, "name": f"n{n}", "tags": ["x"]} for n in range(50)])
        found = connection.execute(sa.select(table.c.amount, table.c.tags).where(table.c.id == 7)).one()
        assert tuple(found) == (Decimal("1.50"), ["x"])
        table.drop(connection)


def test_computed_columns(engine: sa.Engine) -> None:
    metadata = sa.MetaData()
    wide = sa.Column("wide", sa.Integer, sa.Computed("a * 2 + 1", persisted=True))
    table = sa.Table("computed", metadata, sa.Column("a", sa.Integer, primary_key=True), wide)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [{"a": 1}, {"a": 2}])
        connection.execute(sa.update(table).where(table.c.a == 2).values(a=5))
        assert connection.execute(sa.select(table).order_by(table.c.a)).fetchall() == [(1, 3), (5, 11)]
    found = sa.inspect(engine).get_columns("computed")[1]
    assert found["computed"]["persisted"]
    assert found["computed"]["sqltext"].strip("()").startswith("a * 2")
    again = sa.Table("computed", sa.MetaData(), autoload_with=engine)
    assert again.c.wide.computed is not None
    metadata.drop_all(engine)


def test_returning_and_groups(engine: sa.Engine) -> None:
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
    assert "items" not in sa.inspect(engine).get_table_names()


def test_isolation_levels_and_streaming(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert connection.get_isolation_level() == "READ COMMITTED"
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        assert connection.get_isolation_level() == "REPEATABLE READ"
    with engine.connect().execution_options(yield_per=100) as connection:
        rows = connection.execute(sa.text("select n from generate_series(1, 1000) as g(n)"))
        assert sum(row.n for row in rows) == 500_500
