"""Settings from the environment and the settings file."""

from pathlib import Path

import pytest

from consensus.core.thresholds import Thresholds
from consensus.errors import ConfigError
from consensus.settings import ProjectConfig, project_config, settings


def file(folder: Path, content: str) -> Path:
    """A settings file."""
    path = folder / "consensus.toml"
    path.write_text(content, encoding="utf-8")
    return path


FULL = """
policy = "label-ai"
machines = ["bot@example.com", 12]
[thresholds]
confirm = 0.8
[trust]
"a1@example.com" = 0.9
[controls.kind]
given = "label"
candidates = "maybe"
[controls.check]
kind = "verification"
yes = "ok"
no = "bad"
unsure = "hm"
[projects.7]
policy = "default"
trust = {}
[projects.7.controls.kind]
given = "species"
"""


def test_the_file_is_understood_whole(tmp_path: Path) -> None:
    """Every section reaches its place; ids of machines are text."""
    config = project_config(file(tmp_path, FULL), 1)
    assert (config.policy, config.machines) == ("label-ai", ["bot@example.com", "12"])
    assert config.trust == {"a1@example.com": 0.9}
    assert config.controls["kind"].core().given == "label"
    check = config.controls["check"].core()
    assert (check.kind, check.yes, check.no, check.unsure) == ("verification", "ok", "bad", "hm")
    assert config.lines("label-ai").confirm == 0.8


def test_a_project_of_its_own_replaces_what_holds_for_all(tmp_path: Path) -> None:
    """What `[projects.7]` says replaces the key of the top, the rest stays, and project 70 sees nothing of it."""
    seven, seventy = (project_config(file(tmp_path, FULL), number) for number in (7, 70))
    assert (seven.policy, seven.trust, seven.machines) == ("default", {}, ["bot@example.com", "12"])
    assert list(seven.controls) == ["kind"]
    assert seven.controls["kind"].given == "species"
    assert seventy == project_config(file(tmp_path, FULL), 1)


def test_without_a_file_the_defaults_hold() -> None:
    """No file is no error."""
    assert project_config(None, 7) == ProjectConfig()


def test_thresholds_replace_the_policys_own() -> None:
    """Named lines move, the others are the policy's."""
    lines = ProjectConfig(thresholds={"confirm": 0.95}).lines("label-ai")
    assert (lines.confirm, lines.reject, lines.controversial_votes) == (0.95, 0.08, 100)
    assert isinstance(lines, Thresholds)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("policy = ", "is no TOML"),
        ('policy = "best"', "policy: Input should be 'default' or 'label-ai'"),
        ('polcy = "default"', "polcy: Extra inputs"),
        ("[thresholds]\nconfrm = 0.9", "threshold 'confrm' is unknown; use confirm, reject"),
        ("[thresholds]\nconfirm = 'high'", "thresholds.confirm: "),
        ("[thresholds]\nconfirm = 0.05", "reject must lie below confirm"),
        ("[thresholds]\nconfirm = nan", "threshold confirm is nan"),
        ("[trust]\na1 = -1", "trust.a1: "),
        ("[trust]\na1 = nan", "trust.a1: "),
        ("[trust]\na1 = inf", "trust.a1: "),
        ("[controls.kind]\ngivn = 'x'", "controls.kind.givn: Extra inputs"),
        ("[controls.kind]\nkind = 'x'", "controls.kind.kind: Input should be 'choices' or 'verification'"),
        ("machines = 'bot'", "machines: "),
        ("[projects.7]\npolcy = 'default'", "projects.7.polcy: Extra inputs"),
        ("[projects.8.controls.a]\nx = 1", "projects.8.controls.a.x: Extra inputs"),
        ("[projects.seven]\npolicy = 'default'", "projects.seven.*: "),
        ("[projects.7.projects.8]\npolicy = 'default'", "projects.7.projects: Extra inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, content: str, message: str) -> None:
    """The message names the file and the key."""
    with pytest.raises(ConfigError, match=rf"settings file .*consensus.toml:? .*{message}"):
        project_config(file(tmp_path, content), 7)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, a folder and a file that is no text are refused."""
    with pytest.raises(ConfigError, match=r"none.toml cannot be read: No such file"):
        project_config(tmp_path / "none.toml", 7)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        project_config(tmp_path, 7)
    (tmp_path / "latin.toml").write_bytes(b"policy = '\xe9'")
    with pytest.raises(ConfigError, match=r"latin.toml is no TOML"):
        project_config(tmp_path / "latin.toml", 7)


def test_an_unknown_policy_is_named() -> None:
    """Also where it does not come from a file."""
    with pytest.raises(ConfigError, match="policy 'best' is unknown; use one of default, label-ai"):
        ProjectConfig().lines("best")


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables have the upper-case names of the fields; secrets are not shown."""
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://label-studio:8080")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "s3cret")
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", "postgresql://u:s3cret@h/d")
    monkeypatch.setenv("CONSENSUS_CONFIG", "a.toml")
    found = settings()
    assert (found.label_studio_url, found.consensus_config) == ("http://label-studio:8080", Path("a.toml"))
    assert found.label_studio_api_key.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(found)


def test_a_file_of_variables_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` of the folder is read; an empty variable is none."""
    Path(".env").write_text("CONSENSUS_CRON=1 * * * *\nCONSENSUS_PROJECTS=1,2\nCONSENSUS_CONFIG=\nOTHER=1\n")
    monkeypatch.setenv("CONSENSUS_PROJECTS", "3")
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", "")
    found = settings()
    assert (found.consensus_cron, found.consensus_projects) == ("1 * * * *", "3")
    assert found.consensus_config is None
    assert found.consensus_database_url.get_secret_value() == "sqlite:///consensus.db"


def test_a_file_of_variables_that_is_no_text_is_refused() -> None:
    """The message names it."""
    Path(".env").write_bytes(b"CONSENSUS_CRON=\xe9\n")
    with pytest.raises(ConfigError, match=r"\.env is no UTF-8 text"):
        settings()
