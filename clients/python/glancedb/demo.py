"""The demo: a folder of photographs, the talk's table, and the pictures that look alike, out of SQL.

It runs the server as a user would (`glancedb serve` in a process of its own) and speaks to it over the
wire only. What is loaded stays in the data folder, so the second run is quick.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from glancedb import client, edits, images, packages, sheet
from glancedb.client import Client, Vectors
from glancedb.embed import Embedder

DDL = (
    "CREATE TABLE {table} (id bigint(11) NOT NULL AUTO_INCREMENT, image binary(4096) DEFAULT NULL, "
    "KEY id (id) USING CLUSTERED COLUMNSTORE)"
)
ABOVE = 0.9
VECTORS = 200_000
# with one of edits.ASKED each, in order
_ASKED_OF = ("pexels-2416933.jpg", "chelsea.png", "coffee.png", "pexels-7303782.jpg")
_LONG_SIDE = 1024
_ORIGINAL = "original"


@dataclass(frozen=True)
class Stored:
    """A row of `features`: which photograph, and which edit of it."""

    id: int
    photo: str
    edit: str


class Failed(Exception):
    """The demo cannot go on, or did not find what it should: the message says what."""


class Demo:
    """One run of the demo; `say` prints."""

    def __init__(self, data: Path, output: Path, port: int) -> None:
        self.data, self.output, self.port = data, output, port
        self.console = Console(highlight=False, soft_wrap=True)
        self.photos: dict[str, Path] = {}

    def say(self, text: str = "") -> None:
        self.console.print(text, markup=False)

    async def run(self, leave: bool) -> None:
        """Steps 1 to 5; then, unless `leave`, stay up until a signal. Raises Failed."""
        self.say("1. the model and the pictures")
        model = packages.default_model(self.say)
        self.photos = distinct(packages.default_pictures(self.say))
        embedder = Embedder(model)
        self.say(f"   {model.name}: {embedder.dimensions} dimensions; {len(self.photos)} photographs")
        self.port = free_port(self.port)
        self.say(f"2. the server, on port {self.port}, data in {self.data}")
        with server(self.data, self.port) as process:
            async with await reach(self.port, process) as connected:
                rows = await self.load(connected, embedder)
                await self.ask(connected, embedder, rows)
                await self.measure(connected)
            self.say("6. connect with")
            self.say(f"   psql -h 127.0.0.1 -p {self.port} -U {client.USER} {client.DATABASE}")
            if not leave:
                self.say("   (Ctrl-C stops the server)")
                await until_signal()

    async def load(self, connected: Client, embedder: Embedder) -> dict[int, Stored]:
        """Step 3: the talk's table, each photograph and its edits, by binary COPY."""
        ddl = DDL.format(table="features")
        self.say(f"3. {ddl}")
        wanted = [(photo, edit) for photo in self.photos for edit in (_ORIGINAL, *edits.STORED)]
        sql = connected.connection
        if not await exists(sql, "features"):
            await sql.execute(ddl)
            await sql.execute("CREATE TABLE pictures (id bigint PRIMARY KEY, photo text, edit text)")
        rows = {r["id"]: Stored(*r) for r in await sql.fetch("SELECT id, photo, edit FROM pictures")}
        if [(row.photo, row.edit) for row in rows.values()] == wanted:
            self.say(f"   {len(rows)} pictures are there from an earlier run")
            return rows
        await sql.execute("TRUNCATE features")
        await sql.execute("TRUNCATE pictures")
        start = time.perf_counter()
        await connected.copy_vectors("features", self._embed(embedder))
        seconds = time.perf_counter() - start
        ids = [row["id"] for row in await sql.fetch("SELECT id FROM features ORDER BY id")]
        rows = {id: Stored(id, photo, edit) for id, (photo, edit) in zip(ids, wanted, strict=True)}
        records = [(row.id, row.photo, row.edit) for row in rows.values()]
        await sql.copy_records_to_table("pictures", records=records, columns=["id", "photo", "edit"])
        self.say(f"   {len(rows)} pictures in {seconds:.1f} s, {len(rows) / seconds:.0f} images per second")
        return rows

    async def _embed(self, embedder: Embedder) -> AsyncIterator[Vectors]:
        """The vectors of each photograph and its edits, decoded and edited ahead on threads."""
        total = len(self.photos) * (1 + len(edits.STORED))
        with progress(self.console, "   loading", total) as advance, ThreadPoolExecutor() as pool:
            for crops in pool.map(lambda path: variants(path, embedder.side), self.photos.values()):
                yield await asyncio.to_thread(embedder.vectors, crops)
                advance(len(crops))

    async def ask(self, connected: Client, embedder: Embedder, rows: dict[int, Stored]) -> None:
        """Step 4: edited versions that were never stored find their photograph, and no other."""
        self.say(f"4. edited versions that were never stored, scores above {ABOVE}")
        lines = []
        for name, (title, edit) in zip(_ASKED_OF, edits.ASKED.items(), strict=True):
            asked = edit(open_picture(self.photos[name]))
            vector = embedder.picture(asked)
            self.say(f"\n   {name}, {title}")
            found = await self._threshold(connected, vector, name, rows)
            best = await self._best(connected, vector, rows)
            thumbnails = [sheet.Thumbnail(asked, name, title)]
            for id, score in best:
                row = rows[id]
                picture = self._stored_picture(row)
                note = f"{row.edit} {score:.3f}"
                thumbnails.append(sheet.Thumbnail(picture, row.photo, note, marked=id in found))
            lines.append(thumbnails)
        self.output.mkdir(parents=True, exist_ok=True)
        target = self.output / "contact-sheet.png"
        sheet.draw(lines, target)
        self.say(f"\n   contact sheet: {target}")

    async def _threshold(
        self, connected: Client, vector: Vectors, name: str, rows: dict[int, Stored]
    ) -> set[int]:
        literal = "0x" + vector.astype("<f4").tobytes().hex()
        text = "SELECT id FROM features WHERE DOT_PRODUCT(image, {}) > " + str(ABOVE)
        start = time.perf_counter()
        answer = await connected.connection.fetch(text.format(literal))
        milliseconds = (time.perf_counter() - start) * 1e3
        found = {row["id"] for row in answer}
        self.say(f"   {text.format(literal[:18] + '...')}")
        self.say(f"   -> {len(found)} rows in {milliseconds:.1f} ms")
        scored = await connected.connection.fetch(
            "SELECT id, DOT_PRODUCT(image, $1) AS score FROM features", vector.tobytes()
        )
        scores = {row["id"]: row["score"] for row in scored}
        expected = {id for id, row in rows.items() if row.photo == name}
        for id in sorted(expected | found, key=lambda id: -scores[id]):
            note = "" if id in found & expected else "  MISSED" if id in expected else "  ANOTHER PHOTO"
            self.say(f"      {scores[id]:.4f}  {rows[id].photo} ({rows[id].edit}){note}")
        if found - expected or len(found) < 0.8 * len(expected):
            raise Failed(
                f"{name}: {len(found & expected)} of {len(expected)} found, others: {found - expected}"
            )
        return found

    async def _best(
        self, connected: Client, vector: Vectors, rows: dict[int, Stored]
    ) -> list[tuple[int, float]]:
        text = "SELECT id, DOT_PRODUCT(image, $1) FROM features ORDER BY DOT_PRODUCT(image, $1) DESC LIMIT 5"
        start = time.perf_counter()
        answer = await connected.connection.fetch(text, vector.tobytes())
        milliseconds = (time.perf_counter() - start) * 1e3
        self.say(f"   ORDER BY DOT_PRODUCT(...) DESC LIMIT 5 -> {milliseconds:.1f} ms")
        for id, score in answer:
            self.say(f"      {score:.4f}  {rows[id].photo} ({rows[id].edit})")
        return [(id, score) for id, score in answer]

    def _stored_picture(self, row: Stored) -> Image.Image:
        picture = open_picture(self.photos[row.photo])
        return picture if row.edit == _ORIGINAL else edits.STORED[row.edit](picture)

    async def measure(self, connected: Client) -> None:
        """Step 5: a second table of 200,000 vectors, and how fast a scan of it goes."""
        self.say(f"\n5. {VECTORS:,} vectors: rows per second, beside what the memory can read")
        sql = connected.connection
        if not await exists(sql, "vectors"):
            await sql.execute(DDL.format(table="vectors"))
        if await sql.fetchval("SELECT count(*) FROM vectors") != VECTORS:
            await sql.execute("TRUNCATE vectors")
            start = time.perf_counter()
            with progress(self.console, "   filling", VECTORS) as advance:
                await connected.copy_vectors("vectors", synthetic(VECTORS, 1024, advance))
            self.say(f"   filled in {time.perf_counter() - start:.1f} s")
        query = next(synthetic(1, 1024))[0].tobytes()
        text = f"SELECT count(*) FROM vectors WHERE DOT_PRODUCT(image, $1) > {ABOVE}"
        statement = await sql.prepare(text)
        times = []
        for _ in range(11):
            start = time.perf_counter()
            await statement.fetchval(query)
            times.append(time.perf_counter() - start)
        seconds = statistics.median(times)
        scanned = VECTORS * 4096 / seconds / 1e9
        read = await asyncio.to_thread(memory_read)
        self.say(f"   {text}")
        self.say(
            f"   {seconds * 1e3:.1f} ms (median of {len(times)}): "
            f"{VECTORS / seconds / 1e6:.2f} million rows/s, {scanned:.1f} GB/s; "
            f"memory reads {read:.1f} GB/s; ratio {scanned / read:.2f}"
        )


def distinct(paths: Sequence[Path]) -> dict[str, Path]:
    """The files by name, each content once."""
    seen: set[str] = set()
    kept = {}
    for path in paths:
        content = client.digest(path)
        if content not in seen:
            seen.add(content)
            kept[path.name] = path
    return kept


def open_picture(path: Path) -> Image.Image:
    """A photograph as people post it: upright, opaque, at most 1024 pixels."""
    with Image.open(path) as file:
        picture = images.opaque(file)
    picture.thumbnail((_LONG_SIDE, _LONG_SIDE))
    return picture


def variants(path: Path, side: int) -> npt.NDArray[np.uint8]:
    """(edits + 1, side, side, 3) uint8: the photograph and its stored edits, as the model takes them."""
    picture = open_picture(path)
    edited = [picture, *(edit(picture) for edit in edits.STORED.values())]
    return np.stack([images.crop(one, side) for one in edited])


def synthetic(
    rows: int, dimensions: int, advance: Callable[[int], None] = lambda count: None
) -> Iterator[Vectors]:
    """Random vectors of length 1 in blocks, the same at each call."""
    generator = np.random.default_rng(20_170_401)
    for start in range(0, rows, 4096):
        block = generator.standard_normal((min(4096, rows - start), dimensions), np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
        yield block
        advance(len(block))


def memory_read() -> float:
    """GB/s at which one thread a core reads memory: the maximum of a gigabyte, the best of five."""
    cores = os.cpu_count() or 1
    parts = np.array_split(np.ones(1 << 27, np.uint64), cores)
    rates = []
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(5):
            start = time.perf_counter()
            list(pool.map(np.max, parts))
            rates.append(sum(part.nbytes for part in parts) / (time.perf_counter() - start) / 1e9)
    return max(rates)


async def exists(sql: Any, table: str) -> bool:
    """Whether there is a table of this name."""
    found = await sql.fetchval("SELECT count(*) FROM information_schema.tables WHERE table_name = $1", table)
    return bool(found)


@contextmanager
def progress(console: Console, title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar; gives the function that advances it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


def free_port(wanted: int) -> int:
    """The wanted port on the loopback, or any other if it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Failed("no port is free")


@contextmanager
def server(data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`glancedb serve` in a process of its own; stopped at the end."""
    data.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "server", "serve", "--data", str(data), "--port", str(port)]
    # a session of its own: Ctrl-C reaches the demo alone, which then stops the server
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def reach(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> Client:
    """Connect as soon as the server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await client.connect(port=port, command_timeout=600)
        except OSError as error:
            if process.poll() is not None:
                raise Failed(f"the server ended with exit code {process.returncode}") from error
            if time.monotonic() > deadline:
                raise Failed(f"the server does not answer on port {port}: {error}") from error
            await asyncio.sleep(0.05)


async def until_signal() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
