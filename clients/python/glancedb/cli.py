"""The command line's half of the client: load, find and demo."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg
import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from glancedb import client, demo, images, packages
from glancedb.client import Client, Item
from glancedb.embed import Embedded, Embedder

_GROUP = 256  # pictures a transaction: what a stopped load has to do again at the most


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--host, --port, --user, --database; the password comes from PGPASSWORD or ~/.pgpass."""
    options = (
        click.option("--host", default="127.0.0.1", show_default=True),
        click.option("--port", default=client.PORT, show_default=True, type=int),
        click.option("--user", default=client.USER, show_default=True),
        click.option("--database", default=client.DATABASE, show_default=True),
    )
    for option in reversed(options):
        command = option(command)
    return command


def model_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--model: an ONNX file instead of the default model."""
    return click.option(
        "--model",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="An ONNX image model; without it the default one, fetched at the first use.",
    )(command)


def _finish(work: Any) -> Any:
    """Run a coroutine; what the server or the network refuses is one line and exit code 1."""
    try:
        return asyncio.run(work)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError, demo.Failed) as error:
        raise click.ClickException(str(error)) from error


def _embedder(model: Path | None) -> Embedder:
    try:
        return Embedder(model or packages.default_model(lambda text: click.echo(text, err=True)))
    except (OSError, ValueError, RuntimeError) as error:
        raise click.ClickException(f"the model cannot be used: {error}") from error


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--table", required=True, help="The table of pictures; created if it is not there.")
@model_option
@click.option("--recursive", is_flag=True, help="Sub-folders too.")
@connection_options
def load(
    folder: Path,
    table: str,
    model: Path | None,
    recursive: bool,
    host: str,
    port: int,
    user: str,
    database: str,
) -> None:
    """Load the pictures of FOLDER into a table: those that are new there, or changed.

    A broken picture is named and skipped; the exit code is then 2.
    """
    embedder = _embedder(model)
    paths = images.find(folder.resolve(), recursive)

    async def work() -> list[Embedded]:
        async with await client.connect(host, port, user, database=database) as connected:
            await connected.create(table, embedder.dimensions)
            return await _load(connected, table, paths, embedder)

    broken = _finish(work())
    for failure in broken:
        click.echo(f"skipped {failure.error}", err=True)
    if broken:
        sys.exit(2)


async def _load(connected: Client, table: str, paths: list[Path], embedder: Embedder) -> list[Embedded]:
    known = await connected.digests(table)
    digests = {path: client.digest(path) for path in paths}
    new = [path for path in paths if known.get(str(path)) != digests[path]]
    broken: list[Embedded] = []
    start = time.perf_counter()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("loading", total=len(new), rate="")
        embedded: Iterator[Embedded] = embedder.files(new)
        while group := await asyncio.to_thread(lambda: list(islice(embedded, _GROUP))):
            items = [Item(str(e.path), digests[e.path], e.vector) for e in group if e.vector is not None]
            broken += [e for e in group if e.vector is None]
            if items:
                await connected.load(table, items)
            done = bar.tasks[0].completed + len(group)
            rate = done / (time.perf_counter() - start)
            bar.update(task, completed=done, rate=f"{rate:.0f} images per second")
    seconds = time.perf_counter() - start
    loaded = len(new) - len(broken)
    speed = f", {loaded / seconds:.0f} images per second" if loaded else ""
    click.echo(f"{loaded} loaded, {len(paths) - len(new)} already there, {len(broken)} skipped{speed}")
    return broken


@click.command()
@click.argument("photo", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--table", default="features", show_default=True)
@click.option("--column", default="image", show_default=True, help="The column of feature vectors.")
@click.option(
    "--above", type=float, help="Every row whose score is above this: 0.9 finds edits of a picture."
)
@click.option("--top", type=click.IntRange(min=1), help="The rows that look most like it.  [default: 5]")
@model_option
@connection_options
def find(
    photo: Path,
    table: str,
    column: str,
    above: float | None,
    top: int | None,
    model: Path | None,
    host: str,
    port: int,
    user: str,
    database: str,
) -> None:
    """Find the rows whose picture is like PHOTO; best first, with their scores.

    With the default model, a score above 0.9 says 'the same picture, perhaps edited'; what merely looks
    alike comes by --top, or above about 0.6.
    """
    if above is None and top is None:
        top = 5
    try:
        vector = _embedder(model).file(photo)
    except OSError as error:
        raise click.ClickException(str(error)) from error

    async def work() -> list[client.Found]:
        async with await client.connect(host, port, user, database=database) as connected:
            return await connected.find(table, vector, above=above, top=top, column=column)

    for row in _finish(work()):
        click.echo(f"{row.score:.4f}  {row.name}")


@click.command("demo")
@click.option("--exit", "leave", is_flag=True, help="End after the measurement instead of staying up.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The data folder.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Where the contact sheet goes.",
)
@click.option("--port", default=client.PORT, show_default=True, type=int, help="Another one if it is taken.")
def run_demo(leave: bool, data: Path | None, output: Path, port: int) -> None:
    """Load photographs and their edits, find them again, measure a scan; then stay up for psql."""
    data = data or Path(os.environ.get("GLANCEDB_DEMO_DATA", "demo-data"))
    _finish(demo.Demo(data, output, port).run(leave))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@connection_options
def backup(folder: Path, host: str, port: int, user: str, database: str) -> None:
    """Have a running server back itself up into FOLDER, which is on the server's machine.

    An earlier backup of the same database there is brought forward: only what is new is copied.
    """

    async def work() -> asyncpg.Record:
        async with await client.connect(host, port, user, database=database) as connected:
            return await connected.back_up(folder)

    done = _finish(work())
    click.echo(
        f"{done['files']} files, {done['bytes'] / 1e6:.1f} MB in {folder}: "
        f"{done['copied']} files, {done['copied_bytes'] / 1e6:.1f} MB copied"
    )


commands = (backup, load, find, run_demo)
