"""The command line: `glancedb serve`, and the client's commands beside it."""

from __future__ import annotations

import gc
import logging
import os
import ssl
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from server import config, folders
from server.auth import Verifier
from server.config import Config, ConfigError
from server.listener import Server, is_loopback
from storage.database import Database
from storage.definitions import BOOTSTRAP_ROLE, Role
from storage.errors import DatabaseError
from storage.memory import reservations, settle
from storage.segments.cache import cache

PASSWORD_VARIABLE = "GLANCEDB_PASSWORD"
CLIENT_COMMANDS = ("backup", "demo", "find", "load")


class _Commands(click.Group):
    """The server's commands, and the client's, which are only imported (a second) where one is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*super().list_commands(context), *CLIENT_COMMANDS])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in CLIENT_COMMANDS:
            return super().get_command(context, name)
        commands: tuple[click.Command, ...] = import_module("glancedb.cli").commands
        return next(command for command in commands if command.name == name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("glancedb-server"), prog_name="glancedb")
def main() -> None:
    """A database server for people who search pictures, or any feature vectors, with SQL."""


main.add_command(folders.check_folder)
main.add_command(folders.restore)


@main.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that holds the database; made if it is not there.",
)
@click.option(
    "--config", "file", type=click.Path(dir_okay=False, path_type=Path), help="A TOML file of settings."
)
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="0 takes any that is free.  [default: 5454]")
@click.option("--max-connections", type=int, help="Clients at once.  [default: 500]")
@click.option("--tls-certificate", type=click.Path(path_type=Path), help="A PEM file: speak TLS with it.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its key, if that is in a file of its own.")
@click.option("--metrics-port", type=int, help="Answer HTTP on this port with counters, for Prometheus.")
@click.option("--verbose", is_flag=True, help="Log connections too.")
def serve(data: Path, file: Path | None, verbose: bool, **flags: Any) -> None:
    """Serve the database in a folder, until Ctrl-C or SIGTERM.

    Loopback connections of roles without a password are trusted, as long as only loopback is listened on.
    GLANCEDB_PASSWORD in the environment becomes the password of the role glancedb, if it has none.
    SIGTERM leaves what runs some seconds to end (shutdown_timeout); Ctrl-C, or a second signal, does not.
    """
    settle()
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        settings = _configured(file, {name: value for name, value in flags.items() if value is not None})
        cache.limit = settings.buffer_bytes
        settle(cache.limit)
        reservations.limit = settings.query_bytes
        database = Database.open(data, settings.policy)
    except DatabaseError as error:
        raise folders.failed(error) from error
    except (ConfigError, OSError) as error:
        raise click.ClickException(str(error)) from error
    try:
        _serve(database, data, settings)
    finally:
        _close(database)


def _close(database: Database) -> None:
    """Close; a last checkpoint that fails costs the next start some time, and nothing else."""
    try:
        database.close()
    except DatabaseError as error:
        click.echo(f"warning: the last checkpoint failed: {error.message}", err=True)
        click.echo("  nothing is lost: the next start replays the log.", err=True)


def _configured(file: Path | None, flags: dict[str, Any]) -> Config:
    """Defaults, the file over them, the flags over both."""
    return config.changed(config.load(file) if file is not None else Config(), flags)


def _serve(database: Database, data: Path, settings: Config) -> None:
    _set_password(database)
    try:
        server = Server(database, settings)
        server.listen()
    except (OSError, ssl.SSLError) as error:
        raise click.ClickException(f"cannot listen on {settings.host}:{settings.port}: {error}") from error
    _warn(database, settings)
    host = settings.host
    click.echo(f"GlanceDB {version('glancedb-server')} on {host}:{server.port}, data in {data}")
    took = database.recovery
    replayed = f"{took.records} records, {took.bytes / 1e6:.1f} MB of log replayed"
    click.echo(f"  opened in {took.seconds:.2f} s: {replayed}")
    click.echo(f"  psql -h {host} -p {server.port} -U glancedb {settings.database}")
    sys.stdout.flush()
    gc.freeze()  # what lives as long as the server: a full collection would hold everybody up to look at it
    server.run()
    click.echo("stopped")


def _set_password(database: Database) -> None:
    """Give the first role the environment's password, if it has none."""
    password = os.environ.get(PASSWORD_VARIABLE)
    role = database.catalog.roles[BOOTSTRAP_ROLE]
    if password and role.password is None:
        transaction = database.begin()
        transaction.define(Role(role.oid, role.name, role.superuser, role.login, str(Verifier.of(password))))
        transaction.commit()


def _warn(database: Database, settings: Config) -> None:
    if is_loopback(settings.host):
        return
    if all(role.password is None for role in database.catalog.roles.values()):
        click.echo(
            f"warning: no role has a password, so nobody can log in over {settings.host}. Set "
            f"{PASSWORD_VARIABLE}, or connect on 127.0.0.1 first and run ALTER USER ... PASSWORD '...'.",
            err=True,
        )
    if settings.tls_certificate is None:
        click.echo("warning: without --tls-certificate, what is sent can be read on the way.", err=True)
