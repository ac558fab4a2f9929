"""The README and the docs stay true: their commands, variables, links and examples exist."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer.main

import consensus.cli
import ml_backend.cli
from common.settings import read
from consensus.settings import Settings as ConsensusSettings
from consensus.settings import project_config
from ml_backend.settings import Settings as BackendSettings

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {
    "consensus": typer.main.get_command(consensus.cli.app),
    "ml-backend": typer.main.get_command(ml_backend.cli.cli),
}
# A crontab's line, or a container.
_AROUND = re.compile(r"^((\S+ ){5}|docker compose exec (?:-T )?[a-z]\S+ )(?=(consensus|ml-backend) )")


def commands() -> list[str]:
    """Our commands in the pages: indented lines, and text between backticks."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for line in re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text):
            command = _AROUND.sub("", line.split("  #")[0].strip())
            if re.match(r"(consensus|ml-backend) [a-z]|python3 scripts/", command):
                found.append(command)
    return sorted(set(found))


@pytest.mark.parametrize("command", commands())
def test_commands_exist(command: str) -> None:
    """Scripts are there; sub-commands and their options are known to the command line."""
    program, *words = shlex.split(command)
    if program == "python3":
        assert (ROOT / words[0]).is_file()
        return
    known = PROGRAMS[program].commands[words[0]]  # type: ignore[attr-defined]
    if len(words) > 1 and words[1] in getattr(known, "commands", ()):
        known = known.commands[words[1]]
    options = {name for parameter in known.params for name in parameter.opts} | {"--help"}
    assert {word.split("=")[0] for word in words[1:] if word.startswith("--")} <= options


def test_pages_hold_the_commands_that_matter() -> None:
    """The search for commands finds them."""
    assert {"python3 scripts/demo.py", "python3 scripts/test.py"} <= set(commands())
    assert any(command.startswith("consensus run --project") for command in commands())
    assert any(command.startswith("ml-backend train --project") for command in commands())
    assert "ml-backend pretrain --project 1 --any-way-up" in commands()


def environment_names() -> set[str]:
    """Variables that the settings read, and those of compose in .env.example."""
    ours = {name.upper() for name in ConsensusSettings.model_fields}
    backend = {
        (field.validation_alias if isinstance(field.validation_alias, str) else f"ML_BACKEND_{name}").upper()
        for name, field in BackendSettings.model_fields.items()
    }
    return ours | backend | set(example())


def example() -> dict[str, str]:
    """The variables of .env.example."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))  # type: ignore[misc]


def test_variables_exist() -> None:
    """A variable of ours that a page names is one that is read."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"\b(?:CONSENSUS|ML_BACKEND)_[A-Z_]+\b|\bLABEL_STUDIO_(?:URL|API_KEY)\b", text))
    assert "LABEL_STUDIO_API_KEY" in named
    assert named <= environment_names()


def test_compose_reads_what_the_example_explains() -> None:
    """Every variable of the compose file is in .env.example; no secret has a value there or a default."""
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    read = set(re.findall(r"\$\{([A-Z_]+)", compose))
    assert {"POSTGRES_PASSWORD", "LABEL_STUDIO_API_KEY"} <= read
    assert read <= set(example())
    secret = {name for name in example() if re.search(r"PASSWORD|KEY|TOKEN", name)}
    assert {example()[name] for name in secret} == {""}
    assert not re.search(r"\$\{[A-Z_]*(?:PASSWORD|KEY|TOKEN)[A-Z_]*:-", compose)


def test_compose_passes_on_what_the_pages_explain() -> None:
    """A setting of a page or of .env.example has its effect in docker compose as well."""
    explained = "\n".join(page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / ".env.example"])
    images = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in ("docker-compose.yml", "Dockerfile"))
    ours = re.compile(r"\b(?:CONSENSUS|ML_BACKEND)_[A-Z_]+\b")
    mounted = {"ML_BACKEND_LOCAL_FILES_DIR"}  # needs a volume of one's own, as .env.example says
    assert set(ours.findall(explained)) - set(ours.findall(images)) == mounted


def test_an_empty_setting_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Compose passes on empty what is not set: every setting then has its default."""
    monkeypatch.chdir(tmp_path)
    for kind in (ConsensusSettings, BackendSettings):
        default = read(kind)
        for name in environment_names():
            monkeypatch.setenv(name, "")
        assert read(kind) == default


def test_the_readme_leads_to_every_page() -> None:
    """Its index has them all."""
    index = (ROOT / "README.md").read_text(encoding="utf-8").partition("## More to read")[2]
    linked = set(re.findall(r"\]\(([^)#]+)", index))
    assert {str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")} - linked == set()


def test_the_licence_is_apache_2() -> None:
    """The whole text is there, the package names it, and the README says so."""
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert "[Apache-2.0](LICENSE)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_order_in_which_annotators_get_tasks_is_said_to_be_label_studios() -> None:
    """Nothing of ours sets it: neither page nor help promises that the most informative come first there."""
    help_text = PROGRAMS["consensus"].commands["route"].help  # type: ignore[attr-defined]
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/routing.md")]
    for text in (help_text, *pages):
        assert re.search(r"order.{1,90}(is|in)\sLabel\sStudio's", text, re.DOTALL)
        assert "had it, the most informative first" not in text


def test_links_lead_somewhere() -> None:
    """A link to a file of the repository has a file at its end."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_settings_file_of_the_docs_is_understood(tmp_path: Path) -> None:
    """The example of docs/settings.md holds for a project, and what it says of project 7 replaces it there."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    path = tmp_path / "consensus.toml"
    path.write_text(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0], encoding="utf-8")
    everywhere, seventh = project_config(path, 1), project_config(path, 7)
    assert (everywhere.policy, seventh.policy) == ("default", "label-ai")
    assert everywhere.controls["check"].yes == "Looks right"
    assert everywhere.lines("default").fewest_votes == 3
    assert seventh.lines("label-ai").confirm == 0.90
