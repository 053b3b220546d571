"""Definitions and batches as bytes: the catalog as JSON, batches as Arrow's IPC stream.

A batch in bytes is a schema-bearing Arrow stream whose fields are named by position; fixed-width rows
(binary, vector, uuid, interval) are fixed_size_binary, so that writing one copies nothing. A numeric
column of units is int64, and its field's name is `position:scale`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa

from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Column
from storage.definitions import (
    Argument,
    ColumnDefinition,
    Constraint,
    Definition,
    Extension,
    Function,
    Index,
    Materialized,
    References,
    Relation,
    Role,
    Schema,
    Sequence,
    Table,
    View,
    ViewColumn,
)
from storage.errors import DataCorrupted
from storage.grants import Acl, AclItem, DefaultAcl, Grant, Membership, SessionSettings
from storage.types import BY_OID, INT8, Attribute, Domain, Form, Type, array_of, composite, enum
from storage.usertypes import CompositeType, DomainCheck, DomainType, EnumType, Label, UserType

_KINDS: dict[str, type[Any]] = {
    "table": Table,
    "sequence": Sequence,
    "view": View,
    "schema": Schema,
    "role": Role,
    "extension": Extension,
    "enum": EnumType,
    "composite": CompositeType,
    "domain": DomainType,
    "function": Function,
    "acl": Acl,
    "default acl": DefaultAcl,
    "membership": Membership,
    "settings": SessionSettings,
}


def encode_type(type: Type) -> Any:
    """A type as [oid, modifier]; of the catalog's own, or an array of one, then its name, its OID, its
    array's, and of a composite type its attributes, each [name, type, number]. A domain, or an array of one,
    is an object: its name and OIDs, and the type without it."""
    if type.domain is not None:
        return {"domain": list(type.domain), "of": encode_type(type.plain)}
    one = type if type.element is None else type.element
    if one.domain is not None:
        return {"elements": list(one.domain), "of": encode_type(array_of(one.plain))}
    made = (one.name, one.oid, one.array_oid) if one.is_enum or one.is_composite else ()
    fields = [[a.name, encode_type(a.type), a.number] for a in one.attributes or ()]
    return [type.oid, type.modifier, *made, *([fields] if one.is_composite else [])]


def decode_type(parts: Any) -> Type:
    """The inverse of encode_type."""
    if isinstance(parts, dict):
        under = decode_type(parts["of"])
        if "domain" in parts:
            return replace(under, domain=Domain(*parts["domain"]))
        assert under.element is not None
        return array_of(replace(under.element, domain=Domain(*parts["elements"])))
    oid, modifier, *named = parts
    if named:
        name, own, array, *fields = named
        attributes = [Attribute(a, decode_type(of), number) for a, of, number in (fields or [[]])[0]]
        one = composite(name, own, array, attributes) if fields else enum(name, own, array)
        return one if one.oid == oid else array_of(one)
    return BY_OID[oid].of(modifier)


def encode_definition(item: Definition) -> dict[str, Any]:
    """A definition as JSON's values, with its kind."""
    kind = next(kind for kind, of in _KINDS.items() if isinstance(item, of))
    if isinstance(item, Role) and not item.settings:
        fields = {name: value for name, value in asdict(item).items() if name != "settings"}
        return {"kind": kind} | fields  # as before there were any
    if isinstance(item, Table):
        fields = {name: getattr(item, name) for name in Table.__dataclass_fields__}
        fields["columns"] = [_encode_column(column) for column in item.columns]
        fields["hidden"] = [_encode_column(column) for column in item.hidden]
        fields["constraints"] = [asdict(constraint) for constraint in item.constraints]
        fields["indexes"] = [asdict(index) for index in item.indexes]
        if item.materialized is None:
            del fields["materialized"]
        else:
            fields["materialized"] = asdict(item.materialized)
        return {"kind": kind} | fields
    if isinstance(item, Sequence):
        fields = {name: getattr(item, name) for name in Sequence.__dataclass_fields__}
        return {"kind": kind} | fields | {"type": encode_type(item.type)}
    if isinstance(item, View):
        fields = {name: getattr(item, name) for name in View.__dataclass_fields__}
        fields["columns"] = [asdict(c) | {"type": encode_type(c.type)} for c in item.columns]
        return {"kind": kind} | fields
    if isinstance(item, CompositeType):
        fields = {name: getattr(item, name) for name in CompositeType.__dataclass_fields__}
        attributes = [[a.name, encode_type(a.type), a.number] for a in item.attributes]
        return {"kind": kind} | fields | {"attributes": attributes}
    if isinstance(item, DomainType):
        fields = {name: getattr(item, name) for name in DomainType.__dataclass_fields__}
        return {"kind": kind} | fields | {"base": encode_type(item.base)}
    if isinstance(item, Function):
        fields = {name: getattr(item, name) for name in Function.__dataclass_fields__}
        fields["result"] = encode_type(item.result)
        fields["arguments"] = [(a.name, encode_type(a.type), a.mode, a.default) for a in item.arguments]
        return {"kind": kind} | fields
    return {"kind": kind} | asdict(item)


def decode_definition(value: Mapping[str, Any]) -> Definition:
    """The inverse of encode_definition, of bytes whose checksum is right.

    Raises DataCorrupted for what only a newer server can have written.
    """
    try:
        return _definition(value)
    except (KeyError, TypeError, ValueError) as error:
        raise newer(f'a definition of kind "{value.get("kind")}"') from error


def newer(what: str) -> DataCorrupted:
    """The error of whole files that hold what this version does not know."""
    return DataCorrupted(
        "database files are incompatible with server",
        detail=f"A newer version wrote them: they hold {what} that this one cannot read.",
        hint="Use the version of the server that wrote it.",
    )


def _definition(value: Mapping[str, Any]) -> Definition:
    fields = {name: item for name, item in value.items() if name != "kind"}
    match value["kind"]:
        case "table":
            fields["columns"] = tuple(_decode_column(column) for column in fields["columns"])
            fields["hidden"] = tuple(_decode_column(column) for column in fields.get("hidden", ()))
            fields["constraints"] = tuple(_decode_constraint(item) for item in fields["constraints"])
            fields["indexes"] = tuple(Index(**_tuples(item)) for item in fields.get("indexes", ()))
            fields["sort_key"] = tuple((number, descending) for number, descending in fields["sort_key"])
            fields["shard_key"] = tuple(fields["shard_key"])
            fields["options"] = tuple((key, option) for key, option in fields["options"])
            if "materialized" in fields:
                fields["materialized"] = Materialized(**_tuples(fields["materialized"]))
        case "role":
            fields["settings"] = _tuple(fields.get("settings", []))
        case "view":
            fields["columns"] = tuple(
                ViewColumn(**column | {"type": decode_type(column["type"])}) for column in fields["columns"]
            )
            fields["depends"] = _tuple(fields["depends"])
            fields["options"] = _tuple(fields["options"])
        case "composite":
            fields["attributes"] = tuple(Attribute(n, decode_type(t), k) for n, t, k in fields["attributes"])
        case "domain":
            fields["base"] = decode_type(fields["base"])
            fields["checks"] = tuple(DomainCheck(*check) for check in fields["checks"])
        case "enum":
            fields["labels"] = tuple(Label(*label) for label in fields["labels"])
        case "function":
            fields["arguments"] = tuple(
                Argument(name, decode_type(type), mode, default)
                for name, type, mode, default in fields["arguments"]
            )
            fields["result"] = decode_type(fields["result"])
            fields["path"], fields["depends"] = tuple(fields["path"]), _tuple(fields["depends"])
        case "settings":
            fields["settings"] = _tuple(fields["settings"])
        case "acl" | "default acl":
            fields["items"] = tuple(AclItem(*item) for item in fields["items"])
        case "sequence":
            fields["type"] = decode_type(fields["type"])
            if fields["owned_by"] is not None:
                fields["owned_by"] = tuple(fields["owned_by"])
    item: Definition = _KINDS[value["kind"]](**fields)
    return item


def _encode_column(column: ColumnDefinition) -> dict[str, Any]:
    """A missing value as the batch of it, in base64; a column without one does not mention it."""
    fields = {name: getattr(column, name) for name in ColumnDefinition.__dataclass_fields__}
    fields["type"] = encode_type(column.type)
    if fields.pop("missing") is not None:
        batch = Batch.of(Column.of(column.type, [column.missing]))
        fields["missing"] = b64encode(encode_batch(batch)).decode("ascii")
    return fields


def _decode_column(fields: Mapping[str, Any]) -> ColumnDefinition:
    type = decode_type(fields["type"])
    missing = fields.get("missing")
    if missing is not None:
        data = memoryview(b64decode(missing))
        missing = decode_batch((type,), data).columns[0].tolist()[0]
    reads = tuple(fields.get("reads", ()))
    return ColumnDefinition(**{**fields, "type": type, "missing": missing, "reads": reads})


def _decode_constraint(fields: Mapping[str, Any]) -> Constraint:
    references = fields.get("references")
    pointed = None if references is None else References(**_tuples(references))
    return Constraint(**{**_tuples(fields), "references": pointed})


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Lists, also in lists, as the tuples that they were."""
    return {name: _tuple(item) for name, item in fields.items()}


def _tuple(item: Any) -> Any:
    return tuple(_tuple(part) for part in item) if isinstance(item, list) else item


def encode_catalog(catalog: Catalog) -> dict[str, Any]:
    """The whole catalog as JSON's values."""
    items = (
        *catalog.schemas.values(),
        *catalog.relations.values(),
        *catalog.roles.values(),
        *catalog.extensions.values(),
        *catalog.types.values(),
        *catalog.functions.values(),
        *catalog.grants.values(),
    )
    return {"version": catalog.version, "items": [encode_definition(item) for item in items]}


def decode_catalog(value: Mapping[str, Any]) -> Catalog:
    """The inverse of encode_catalog."""
    items = [decode_definition(item) for item in value["items"]]
    return Catalog(
        {item.oid: item for item in items if isinstance(item, Schema)},
        {item.oid: item for item in items if isinstance(item, Relation)},
        {item.oid: item for item in items if isinstance(item, Role)},
        value["version"],
        {item.oid: item for item in items if isinstance(item, Extension)},
        {item.oid: item for item in items if isinstance(item, UserType)},
        {item.oid: item for item in items if isinstance(item, Function)},
        {item.oid: item for item in items if isinstance(item, Grant)},
    )


def json_bytes(value: Any) -> bytes:
    """JSON as this package writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


def _raw_width(type: Type, values: Any) -> int:
    return int(values.dtype.itemsize * (values.shape[1] if values.ndim == 2 else 1))


def to_raw_arrow(column: Column) -> pa.Array:
    """A column as Arrow with fixed-width rows as fixed_size_binary, without copying."""
    if column.type.form is Form.ROWS or (column.type.form is Form.FIXED and column.values.dtype.names):
        values = np.ascontiguousarray(column.values)
        valid = column.valid
        bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
        kind = pa.binary(_raw_width(column.type, values))
        return pa.Array.from_buffers(
            kind, len(values), [bits, pa.py_buffer(values.reshape(-1).view(np.uint8))]
        )
    if column.units is not None:
        mask = None if column.valid is None else ~column.valid
        return pa.array(np.ascontiguousarray(column.units), mask=mask)
    return column.to_arrow()


def from_raw_arrow(type: Type, array: pa.Array) -> Column:
    """The inverse of to_raw_arrow; views the buffers where it can."""
    if type.form is Form.ROWS or (type.form is Form.FIXED and type.dtype is not None and type.dtype.names):
        width = array.type.byte_width
        raw = np.frombuffer(array.buffers()[1], np.uint8)
        raw = raw[array.offset * width : (array.offset + len(array)) * width]
        assert type.dtype is not None
        values = raw.view(type.dtype)
        if type.form is Form.ROWS:
            values = values.reshape(len(array), width // type.dtype.itemsize)
        valid = np.asarray(array.is_valid().to_numpy(zero_copy_only=False)) if array.null_count else None
        return Column(type, values, valid)
    return Column.from_arrow(type, array)


class _Parts:
    """A file for Arrow to write to that keeps what it is given, without copying."""

    closed = False

    def __init__(self) -> None:
        self.parts: list[memoryview] = []

    def write(self, data: bytes | pa.Buffer) -> None:
        """Keep a part."""
        self.parts.append(memoryview(data).cast("B"))


def encode_batch(batch: Batch) -> bytes:
    """A batch as an Arrow stream."""
    return b"".join(encode_parts(batch))


def encode_parts(batch: Batch) -> list[memoryview]:
    """A batch as an Arrow stream, in parts: the values of its columns where they lie."""
    arrays = [to_raw_arrow(column) for column in batch.columns]
    names = [_field(position, column) for position, column in enumerate(batch.columns)]
    record = (
        pa.RecordBatch.from_arrays(arrays, names)
        if arrays
        else pa.RecordBatch.from_arrays([pa.nulls(batch.rows)], ["rows"])
    )
    sink = _Parts()
    with pa.ipc.new_stream(pa.PythonFile(sink, "w"), record.schema) as writer:
        writer.write_batch(record)
    return sink.parts


def decode_batch(types: tuple[Type, ...], data: memoryview) -> Batch:
    """The inverse of encode_batch; its columns may view `data`."""
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        record = reader.read_next_batch()
    fields = zip(types, record.columns, record.schema.names, strict=False)
    return Batch(tuple(_read(type, array, name) for type, array, name in fields), record.num_rows)


def _field(position: int, column: Column) -> str:
    return str(position) if column.units is None else f"{position}:{column.scale}"


def _read(type: Type, array: pa.Array, name: str) -> Column:
    _, _, scale = name.partition(":")
    if not scale:
        return from_raw_arrow(type, array)
    units = Column.from_arrow(INT8, array)
    return Column.scaled(type, units.values, int(scale), units.valid)
