"""Checking a data folder, or a backup, that no server has open: every byte that the manifest stands on.

The manifest, then each segment's file (its foot, the checksum of every buffer, every column decoded, its row
ids), the vector files that it refers to (each once, whoever refers to it), the marks of its deleted rows, the
hash indexes that it holds against its rows, and the log's records from the manifest on, each decoded. Nothing
is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import crc32c
import numpy as np

from storage.codes import Codes, Metric, Question
from storage.column import Mask
from storage.definitions import ColumnDefinition, Table
from storage.durability import files, log
from storage.durability import manifest as manifests
from storage.durability.files import FolderLock
from storage.durability.manifest import Manifest, TableFiles
from storage.durability.records import Reader
from storage.durability.replay import scan
from storage.errors import DatabaseError, DataCorrupted
from storage.indexes.hashindex import HashIndex, hashed, version_of
from storage.segments.coding import codes_section, elements_of
from storage.segments.sealed import SegmentEntry, read_gone
from storage.segments.segment import Segment
from storage.segments.segmentfile import Place, SegmentFile, damage
from storage.segments.segmentfolder import NAME as SEGMENTS
from storage.segments.vectors import MAGICS, AnyFile, Referred

_STEP = 4 << 20
_ROWS = 65_536
_BYTES = 64 << 20
_SAMPLE = 256


@dataclass(frozen=True)
class Finding:
    """What was found of one file. A 'note' is no damage: what a start would remove, or cut off."""

    level: Literal["ok", "note", "damaged"]
    path: Path
    text: str


def check(folder: Path) -> Iterator[Finding]:
    """Look at everything, file by file.

    Raises CannotConnectNow where a server has the folder, UndefinedFile's kin where there is none.
    """
    lock = FolderLock(folder) if files.writable(folder) else None
    try:
        yield from _check(folder)
    finally:
        if lock is not None:
            lock.release()


def _check(folder: Path) -> Iterator[Finding]:
    path = folder / manifests.NAME
    try:
        manifest = Manifest.read(folder)
    except DatabaseError as error:
        yield Finding("damaged", path, error.message)
        return
    if path.exists():
        tables = len(manifest.tables)
        yield Finding(
            "ok", path, f"commit {manifest.commit}, {tables} tables, log from {log.name(manifest.log)}"
        )
    else:
        yield Finding("note", path, "not there: all is in the log")
    vectors: set[str] = set()  # files that were looked at
    for oid, state in manifest.tables.items():
        table = manifest.catalog.relations.get(oid)
        if not isinstance(table, Table):
            yield Finding("damaged", path, f"there are files of table {oid}, and no such table")
            continue
        for entry in state.segments:
            yield from _checked(folder / SEGMENTS / entry.file, _segment(folder, entry, table))
            yield from _vector_files(folder, entry, table, vectors)
            if entry.deleted is not None:
                yield from _checked(folder / SEGMENTS / entry.deleted, _marks(folder, entry))
        yield from _rows_twice(folder, state, table)
    named = manifest.files()
    logs = [number for number in log.numbers(folder) if number >= manifest.log]
    for expected, number in enumerate(logs, manifest.log):
        path = folder / log.name(number)
        if number != expected:
            yield Finding("damaged", folder / log.name(expected), "missing")
            return
        logged: Logged = []
        yield from _checked(path, _log(path, number, manifest, logged, last=number == logs[-1]))
        for entry, table in logged:
            yield from _checked(folder / SEGMENTS / entry.file, _segment(folder, entry, table))
            yield from _vector_files(folder, entry, table, vectors)
            named.update(entry.files)
    yield from _strange(folder, manifest, named)


def _checked(path: Path, found: Iterator[str]) -> Iterator[Finding]:
    """What was found of a file, or what is wrong with it."""
    try:
        texts = list(found)
    except DatabaseError as error:
        yield Finding("damaged", path, error.message)
        return
    except Exception as error:  # a checksum is right and what it sums is not
        yield Finding("damaged", path, f"cannot be decoded: {error!r}")
        return
    yield Finding("ok", path, texts[0])
    for text in texts[1:]:
        yield Finding("note", path, text)


def _segment(folder: Path, entry: SegmentEntry, table: Table) -> Iterator[str]:
    path = folder / SEGMENTS / entry.file
    buffers = _check_buffers(SegmentFile(path, entry.nbytes or None))
    segment = Segment.open(path, entry.nbytes or None)
    if segment.rows != entry.rows:
        raise damage(path, 0, f"it has {segment.rows} rows, not {entry.rows}")
    if set(segment.vectors) != set(entry.vectors):
        raise damage(path, 0, "it refers to other vector files than is said where it is named")
    step = max(min(_ROWS, _BYTES // max(segment.row_bytes, 1)), 1)
    for number, column in segment.columns.items():
        if column.referred is not None:
            _check_places(column.referred, column.loaded()[1], path, number)
            continue
        definition = ColumnDefinition(str(number), column.type, number)
        for start in range(0, segment.rows, step):
            stop = min(start + step, segment.rows)
            decoded = segment.column(definition, start, stop)
            if len(decoded) != stop - start:
                raise damage(path, 0, f"column {number} has {len(decoded)} values for {stop - start} rows")
    low, high = segment.ids
    ids = np.sort(segment.row_ids(0, segment.rows))
    if segment.rows and ((np.diff(ids) <= 0).any() or (ids[0], ids[-1]) != (low, high)):
        raise damage(path, 0, "a row id stands twice, or outside its zone")
    _check_indexes(segment, table, path)
    codes = [definition for definition in table.columns if _check_codes(segment, definition, path)]
    told = f"{segment.rows} rows, {len(segment.columns)} columns, {buffers} buffers"
    indexes = len({key.name for _, key in table.indexed} & segment.sections.keys())
    yield f'table "{table.name}": {told}, {indexes} indexes, codes of {len(codes)} columns'


def _check_codes(segment: Segment, definition: ColumnDefinition, path: Path) -> bool:
    """Whether a column has codes: each row that is there once, and what they say of some rows is true."""
    section = codes_section(segment, definition)
    elements = elements_of(definition.type)
    if section is None or elements is None:
        return False
    codes = Codes.read(section.head, section.read())
    number = definition.number
    positions = np.sort(np.concatenate([codes.by_position[0], codes.unsure]))
    _, valid = segment.columns[number].loaded()
    there = np.arange(segment.rows) if valid is None else np.flatnonzero(valid)
    if not np.array_equal(positions, there):
        raise damage(path, 0, f"the codes of column {number} are not of the rows that are there")
    some = there[:: max(len(there) // _SAMPLE, 1)]
    try:
        column = segment.column(definition, 0, segment.rows, some)
    except DataCorrupted:  # of a vector file, which is told of by itself
        return True
    values = np.ascontiguousarray(column.values).view(elements)
    if not len(values) or not (question := Question.of(Metric.L2, values[0])).usable:
        return True
    known, low, high = codes.bounds(question, range(codes.cells))
    order = np.argsort(known)
    at = order[np.searchsorted(known[order], some)]
    with np.errstate(invalid="ignore", over="ignore"):
        scores = np.sqrt(((values.astype(np.float64) - values[0]) ** 2).sum(axis=1))
        wrong = (scores < low[at]) | (scores > high[at])
    if wrong.any():
        raise damage(path, 0, f"the codes of column {number} are not those of its vectors")
    return True


def _check_buffers(file: SegmentFile) -> int:
    """Every byte of a file; how many buffers it has."""
    buffers = [tuple(place) for place in _places(file.foot)]
    end = 8  # of the magic
    for place in sorted(buffers):
        _check_buffer(file, place, end)
        end = place[0] + place[1]
    return len(buffers)


def _check_places(column: Referred, valid: Mask | None, path: Path, number: int) -> None:
    """Whether every row of a column that is there has a place in a vector file, and no other has it."""
    places = column.places(0, column.rows)
    places = places if valid is None else places[valid]
    room = sum(file.rows for file in column.files)
    if len(places) and not 0 <= places.min() <= places.max() < room:
        raise damage(path, 0, f"column {number} refers to a row that its vector files do not have")
    if len(np.unique(places)) != len(places):
        raise damage(path, 0, f"column {number} refers to one row of a vector file twice")


def _vector_files(folder: Path, entry: SegmentEntry, table: Table, seen: set[str]) -> Iterator[Finding]:
    """The vector files of a segment that were not looked at yet."""
    try:
        columns = Segment.open(folder / SEGMENTS / entry.file).columns
    except Exception:  # was told already
        return
    for referred in (c.referred for c in columns.values() if c.referred is not None):
        for file in referred.files:
            if file.path.name not in seen:
                seen.add(file.path.name)
                yield from _checked(file.path, _vectors(file, table, referred))


def _vectors(file: AnyFile, table: Table, column: Referred) -> Iterator[str]:
    wide = file.wide
    _check_buffers(SegmentFile(file.path, file.nbytes, MAGICS))
    wide.verify(max(min(_ROWS, _BYTES // column.row_bytes), 1))
    yield f'table "{table.name}": {file.rows} wide rows'


def _check_indexes(segment: Segment, table: Table, path: Path) -> None:
    """Whether the file's hash indexes find each row by its key."""
    for _, key in table.indexed:
        section = segment.sections.get(key.name)
        index = None if section is None else HashIndex.read(section, version_of(table, key))
        if index is None:
            continue  # made anew when it is asked for
        columns = [segment.column(table.definition(number), 0, segment.rows) for number in key.numbers]
        hashes, rows = hashed(columns, segment.rows, key.nulls).asked
        asked, positions = index.probe(hashes)
        wanted = np.arange(segment.rows) if rows is None else rows
        found = np.unique(positions[positions == wanted[asked]])
        if index.rows != segment.rows or len(found) != len(wanted):
            raise damage(path, 0, f"its index {key.name} finds {len(found)} of {len(wanted)} keys")


def _places(foot: Any) -> Iterator[Place]:
    """Every buffer that a foot names; what encodings say in their heads is their own."""
    if isinstance(foot, Mapping):
        for name, value in foot.items():
            if name == "buffers":
                yield from value
            elif name == "valid" and isinstance(value, list):
                yield value
            elif name != "head":
                yield from _places(value)
    elif isinstance(foot, list):
        for value in foot:
            yield from _places(value)


def _check_buffer(file: SegmentFile, place: Place, before: int) -> None:
    """The bytes of a buffer, and that between the one before and it stands nothing."""
    offset, length, stated = place
    buffer = file.buffer(("check", offset), place)
    if offset > before and buffer.part(before - offset, 0).any():
        raise damage(file.path, before, "there is something between two buffers")
    crc = 0
    for start in range(0, length, _STEP):
        crc = crc32c.crc32c(buffer.part(start, min(start + _STEP, length)).data, crc)
    if crc != stated:
        raise damage(file.path, offset, "a checksum is wrong")


def _rows_twice(folder: Path, state: TableFiles, table: Table) -> Iterator[Finding]:
    """Row ids that two segments have, or that were not given out yet."""
    opened = []
    for entry in state.segments:
        with suppress(Exception):  # was told already
            segment = Segment.open(folder / SEGMENTS / entry.file, entry.nbytes or None)
            opened.append((entry.base + segment.ids[0], entry.base + segment.ids[1], entry, segment))
    opened.sort(key=lambda item: item[:2])
    for at, (_, last, entry, segment) in enumerate(opened):
        path = folder / SEGMENTS / entry.file
        if last >= state.next_row_id:
            yield Finding("damaged", path, f'table "{table.name}": row id {last} is not given out yet')
        for first, _, other, theirs in opened[at + 1 :]:
            if first > last:
                break
            own = segment.row_ids(0, segment.rows) + entry.base
            both = np.intersect1d(own, theirs.row_ids(0, theirs.rows) + other.base)
            if len(both):
                yield Finding("damaged", path, f"row id {both[0]} stands in {other.file}, too")


def _marks(folder: Path, entry: SegmentEntry) -> Iterator[str]:
    positions = read_gone(folder / SEGMENTS / str(entry.deleted), entry.rows)
    if (np.diff(positions) <= 0).any():
        raise DataCorrupted(f'file of deleted rows "{entry.deleted}" is not in order')
    yield f"{len(positions)} of {entry.rows} rows deleted"


Logged = list[tuple[SegmentEntry, Table]]
"""Segment files that the log names."""


def _log(path: Path, number: int, manifest: Manifest, logged: Logged, *, last: bool) -> Iterator[str]:
    records = commits = 0
    found = scan(path, number, last=last)
    while True:
        try:
            payload = next(found)
        except StopIteration as ended:
            end: int = ended.value
            break
        records += 1
        commits += _record(Reader(payload), manifest, logged)
    yield f"{records} records, {commits} commits"
    with path.open("rb") as file:
        file.seek(end)
        rest = any(any(data) for data in iter(lambda: file.read(_STEP), b""))
    if last and rest:
        yield f"what follows offset {end} was never acknowledged"


def _record(reader: Reader, manifest: Manifest, logged: Logged) -> bool:
    """Decode a record; whether it is a commit's. The manifest's catalog is brought forward by it."""
    if reader.sequence() is not None:
        return False
    manifest.catalog = reader.catalog(manifest.catalog)
    for value in reader.head["tables"]:
        table = manifest.catalog.relations.get(value["oid"])
        if isinstance(table, Table):
            logged += [(item.entry, table) for item in reader.table(value, table).segments]
    return True


def _strange(folder: Path, manifest: Manifest, named: set[str]) -> Iterator[Finding]:
    """What nothing names."""
    known = {manifests.NAME, SEGMENTS, "lock"}
    for path in sorted(folder.iterdir()):
        if path.name in known:
            continue
        number = int(path.name[4:]) if path.name.startswith("log-") and path.name[4:].isdigit() else None
        if number is None:
            yield Finding("note", path, "not of a data folder, or left over")
        elif number < manifest.log:
            yield Finding("note", path, "left over: the manifest does not need it")
    segments = folder / SEGMENTS
    for path in sorted(segments.iterdir()) if segments.exists() else ():
        if path.name not in named:
            yield Finding("note", path, "left over: nothing names it")
