"""Access methods of indexes, and their operator classes: what CREATE INDEX may ask for.

Every index that is built is a hash index, whatever it is asked to be. hnsw and ivfflat, pgvector's methods
of approximate answers, are kept by name only: similarity queries are exact without them.
"""

from __future__ import annotations

from dataclasses import dataclass

from storage.types import (
    BIT,
    BOOL,
    BPCHAR,
    BYTEA,
    DATE,
    FLOAT4,
    FLOAT8,
    HALFVEC,
    INT2,
    INT4,
    INT8,
    MACADDR,
    MACADDR8,
    MONEY,
    NUMERIC,
    OID,
    PG_LSN,
    SPARSEVEC,
    TEXT,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UUID,
    VARBIT,
    VARCHAR,
    VECTOR,
    XID8,
    Type,
)


@dataclass(frozen=True, slots=True)
class Method:
    """An access method. What it may be told beside its columns: sql.storageparameters.INDEX."""

    oid: int
    name: str
    vectors: bool = False  # of an extension's approximate answers: never built


@dataclass(frozen=True, slots=True)
class OperatorClass:
    oid: int
    name: str
    method: str
    type: Type
    default: bool = True


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(403, "btree"),
        Method(405, "hash"),
        Method(15_050, "ivfflat", vectors=True),
        Method(15_051, "hnsw", vectors=True),
    )
}
"""Access methods by name."""


def _classes() -> tuple[OperatorClass, ...]:
    standard = (
        (1978, "int4_ops", INT4),
        (1979, "int2_ops", INT2),
        (3124, "int8_ops", INT8),
        (3126, "text_ops", TEXT),
        (10_012, "bpchar_ops", BPCHAR),
        (10_013, "bytea_ops", BYTEA),
        (10_007, "bool_ops", BOOL),
        (3122, "date_ops", DATE),
        (10_021, "float4_ops", FLOAT4),
        (3123, "float8_ops", FLOAT8),
        (3125, "numeric_ops", NUMERIC),
        (1981, "oid_ops", OID),
        (3127, "timestamptz_ops", TIMESTAMPTZ),
        (3128, "timestamp_ops", TIMESTAMP),
        (10_041, "timetz_ops", TIMETZ),
        (10_024, "macaddr_ops", MACADDR),
        (10_026, "macaddr8_ops", MACADDR8),
        (10_047, "money_ops", MONEY),
        (10_053, "xid8_ops", XID8),
        (10_067, "pg_lsn_ops", PG_LSN),
        (10_065, "uuid_ops", UUID),
        (10_002, "bit_ops", BIT),
        (10_043, "varbit_ops", VARBIT),
    )
    found = [OperatorClass(oid, name, "btree", type) for oid, name, type in standard]
    oid = 15_052
    for type in (VECTOR, HALFVEC, SPARSEVEC):
        found.append(OperatorClass(oid, f"{type.name}_ops", "btree", type))
        oid += 1
        for method, metrics in (("ivfflat", "l2 ip cosine"), ("hnsw", "l2 ip cosine l1")):
            for metric in metrics.split() if method == "hnsw" or type is not SPARSEVEC else ():
                default = (type, method, metric) == (VECTOR, "ivfflat", "l2")
                found.append(OperatorClass(oid, f"{type.name}_{metric}_ops", method, type, default))
                oid += 1
    for method, metric in (("ivfflat", "hamming"), ("hnsw", "hamming"), ("hnsw", "jaccard")):
        found.append(OperatorClass(oid, f"bit_{metric}_ops", method, BIT, False))
        oid += 1
    return tuple(found)


OPERATOR_CLASSES = _classes()


def default_class(method: str, type: Type) -> OperatorClass | None:
    """The operator class that an index of this method takes for a type by itself."""
    kind = "btree" if method == "hash" else method
    return next((c for c in OPERATOR_CLASSES if c.method == kind and c.default and accepts(c, type)), None)


def named_class(method: str, name: str) -> OperatorClass | None:
    """The operator class of this name."""
    kind = "btree" if method == "hash" else method
    return next((c for c in OPERATOR_CLASSES if c.method == kind and c.name == name), None)


def accepts(found: OperatorClass, type: Type) -> bool:
    """Whether columns of the type can be of the class."""
    return type.oid == found.type.oid or (found.type is TEXT and type.oid == VARCHAR.oid)
