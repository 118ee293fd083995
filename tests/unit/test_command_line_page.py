"""docs/command-line.md shows what the commands say of themselves."""

from __future__ import annotations

from infra.cli import page
from infra.cli.entry import main

TEXT = page.PAGE.read_text()


def test_the_generated_parts_are_as_they_would_be_generated():
    assert page.filled(TEXT) == TEXT, "make command-line-page"


def test_every_generated_part_is_on_the_page():
    assert {match[2] for match in page.PART.finditer(TEXT)} == page.parts().keys()


def test_every_command_has_a_section_of_its_own_and_help():
    sections = [line.removeprefix("## ").partition(":")[0] for line in TEXT.splitlines() if line.startswith("## ")]
    assert sorted(sections) == sorted(main.commands)
    assert all(command.help for command in main.commands.values())
