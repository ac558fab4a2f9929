import re

import click
import pytest
import typer
import typer.rich_utils  # reads the width that a variable names once, here: before a test sets that
from click.testing import CliRunner

from consensus.cli import app
from ml_backend.cli import cli

PROGRAMS = {name: typer.main.get_command(program) for name, program in (("consensus", app), ("ml-backend", cli))}
COMMANDS = [(program, name) for program, group in PROGRAMS.items() for name in group.commands]
OF_GROUPS = [
    (program, name, own)
    for program, group in PROGRAMS.items()
    for name, command in group.commands.items()
    for own in getattr(command, "commands", ())
]
WORDS = {
    ("consensus", "run"): ["default", "label-ai"],
    ("consensus", "report"): ["AllConfirmed", "NoVotes", "table", "csv", "json"],
    ("consensus", "import"): ["unlabeled by default", "check with --verify", "3 by default", "Exits with 3"],
    ("consensus", "score"): ["task,annotator,label", "task,label and optionally right"],
    ("consensus", "serve"): ["CONSENSUS_API_TOKEN", "openapi.json"],
    ("consensus", "ping"): ["Label Studio", "database", "exit with 1"],
    ("consensus", "agreement"): ["Krippendorff"],
    ("consensus", "pay"): ["UTC"],
    ("consensus", "route"): ["10 by", "Exits with 3"],
    ("consensus", "prompt"): ["in bits"],
    ("ml-backend", "finetune"): ["[20000]", "[what the project uses]", "[if options agree]"],
    ("ml-backend", "pretrain"): ["[20000]", "[what the project uses]", "[if options agree]"],
}


def shown(program: str, *words: str) -> str:
    """A help without colours, frames and breaks of lines."""
    result = CliRunner().invoke(PROGRAMS[program], [*words, "--help"], env={"COLUMNS": "400"})
    assert result.exit_code == 0
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[\u2500-\u257f]", " ", result.output).split())


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_help_names_every_command(program: str) -> None:
    """Each with a sentence."""
    text = shown(program)
    assert [
        name for name, command in PROGRAMS[program].commands.items() if not command.help or name not in text
    ] == []


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_every_command_explains_itself(program: str, name: str) -> None:
    """The help names each option, says what it is for, and has the words that a reader looks for."""
    options = [option for option in PROGRAMS[program].commands[name].params if isinstance(option, click.Option)]
    text = shown(program, name)
    assert [option.name for option in options if not option.help] == []
    named = [word for option in options for word in (*option.opts, *option.secondary_opts)]
    assert [word for word in (*named, *WORDS.get((program, name), ())) if word not in text] == []


@pytest.mark.parametrize(("program", "group", "name"), OF_GROUPS)
def test_every_command_of_a_group_explains_itself(program: str, group: str, name: str) -> None:
    """Its help has a sentence, and each option says what it is for."""
    command = PROGRAMS[program].commands[group].commands[name]
    text = shown(program, group, name)
    assert command.help
    assert [
        option.name for option in command.params if not getattr(option, "help", "") or option.opts[0] not in text
    ] == []
