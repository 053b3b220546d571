"""`glancedb load` and `glancedb find` against a server, as a user types them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageEnhance

from glancedb import cli
from server.config import Config
from server.listener import Server
from storage.database import Database

Command = Callable[..., Result]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    database = Database.open(tmp_path / "data")
    try:
        with Server(database, Config(port=0)) as running:
            yield running
    finally:
        database.close()


@pytest.fixture
def command(server: Server, small_model: Path) -> Command:
    def run(name: str, *arguments: object) -> Result:
        found = next(c for c in cli.commands if c.name == name)
        line = [*arguments, "--model", small_model, "--port", server.port]
        return CliRunner().invoke(found, [str(word) for word in line])

    return run


def test_load_then_find_the_picture_and_an_edit_of_it(command: Command, pictures: Path) -> None:
    loaded = command("load", pictures, "--table", "photos", "--recursive")
    assert loaded.exit_code == 0, loaded.output
    assert "3 loaded, 0 already there, 0 skipped" in loaded.output
    found = command("find", pictures / "a.png", "--table", "photos", "--top", 2)
    lines = found.output.splitlines()
    assert lines[0] == f"1.0000  {pictures / 'a.png'}"
    assert len(lines) == 2
    with Image.open(pictures / "b.png") as picture:
        ImageEnhance.Brightness(picture).enhance(0.95).save(pictures.parent / "edit.png")
    above = command("find", pictures.parent / "edit.png", "--table", "photos", "--above", 0.99)
    assert [line.split("  ")[1] for line in above.output.splitlines()] == [str(pictures / "b.png")]


def test_load_again_loads_what_is_new_or_changed(command: Command, pictures: Path) -> None:
    assert "2 loaded" in command("load", pictures, "--table", "photos").output
    again = command("load", pictures, "--table", "photos", "--recursive")
    assert "1 loaded, 2 already there" in again.output
    Image.new("RGB", (40, 40), "navy").save(pictures / "a.png")
    assert "1 loaded, 2 already there" in command("load", pictures, "--table", "photos", "--recursive").output
    found = command("find", pictures / "a.png", "--table", "photos", "--top", 10)
    assert len(found.output.splitlines()) == 3


def test_a_broken_picture_is_named_and_the_rest_goes_on(command: Command, pictures: Path) -> None:
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    result = command("load", pictures, "--table", "photos")
    assert result.exit_code == 2
    assert "broken.jpg" in result.output
    assert "2 loaded, 0 already there, 1 skipped" in result.output


def test_what_the_server_refuses_is_one_line(command: Command, pictures: Path) -> None:
    result = command("find", pictures / "a.png", "--table", "nowhere")
    assert result.exit_code == 1
    assert result.output.strip() == 'Error: relation "nowhere" does not exist'


def test_a_server_that_is_not_there_is_one_line(pictures: Path, small_model: Path) -> None:
    line = ["find", str(pictures / "a.png"), "--model", str(small_model), "--port", "1"]
    found = next(c for c in cli.commands if c.name == line[0])
    result = CliRunner().invoke(found, line[1:])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1
