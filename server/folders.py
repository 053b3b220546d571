"""The command line's work on data folders that no server has open: check and restore."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from storage.durability import backup
from storage.durability.check import check
from storage.errors import DatabaseError

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("check")
@click.argument("folder", type=_FOLDER)
@click.option("--quiet", is_flag=True, help="Say nothing of files that are as they should be.")
def check_folder(folder: Path, quiet: bool) -> None:
    """Verify every byte of a data folder or a backup; nothing is changed.

    One line a file. The exit code is 1 where something is damaged.
    """
    damaged = files = 0
    try:
        for finding in check(folder):
            files += finding.level != "note"
            damaged += finding.level == "damaged"
            if not (quiet and finding.level == "ok"):
                click.echo(f"{finding.level:8} {finding.path}: {finding.text}")
    except DatabaseError as error:
        raise failed(error) from error
    click.echo(f"{files} files, {damaged} damaged")
    if damaged:
        sys.exit(1)


@click.command()
@click.argument("backup_folder", metavar="BACKUP", type=_FOLDER)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def restore(backup_folder: Path, folder: Path) -> None:
    """Make FOLDER, which must not be there yet or empty, a data folder with what BACKUP holds."""
    try:
        report = backup.restore(backup_folder, folder, lambda: None)
    except DatabaseError as error:
        raise failed(error) from error
    click.echo(f"{report.files} files, {report.bytes / 1e6:.1f} MB restored into {folder}")


def failed(error: DatabaseError) -> click.ClickException:
    """The error as the command line tells it."""
    more = (("DETAIL", error.detail), ("HINT", error.hint))
    return click.ClickException(
        "\n".join([error.message, *(f"{word}: {text}" for word, text in more if text)])
    )
