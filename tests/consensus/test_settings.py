"""Settings from the environment and the settings file."""

from pathlib import Path

import pytest

from common.errors import SettingsError
from consensus.core.decide.policies import POLICIES
from consensus.core.decide.policy_names import PolicyName
from consensus.core.decide.thresholds import Thresholds
from consensus.errors import ConfigError
from consensus.settings import LINES, ControlSection, ProjectConfig, default_store, project_config, settings


def file(folder: Path, content: str) -> Path:
    """A settings file."""
    path = folder / "consensus.toml"
    path.write_text(content, encoding="utf-8")
    return path


FULL = """
policy = "label-ai"
machines = ["bot@example.com", 12]
[thresholds.label-ai]
confirm = 0.8
[trust]
"a1@example.com" = 0.9
"a2@example.com" = 0.5
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
machines = [13]
[projects.7.thresholds.label-ai]
reject = 0.1
[projects.7.thresholds.default]
confirm = 0.7
[projects.7.trust]
"a2@example.com" = 0.25
[projects.7.controls.kind]
given = "species"
"""


def test_the_file_is_understood_whole(tmp_path: Path) -> None:
    """Every section reaches its place; ids of machines are text."""
    config = project_config(file(tmp_path, FULL), 1)
    assert (config.policy, config.machines) == ("label-ai", ["bot@example.com", "12"])
    assert config.trust == {"a1@example.com": 0.9, "a2@example.com": 0.5}
    assert config.controls["kind"].core().given == "label"
    check = config.controls["check"].core()
    assert (check.kind, check.yes, check.no, check.unsure) == ("verification", "ok", "bad", "hm")
    assert config.lines("label-ai").confirm == 0.8
    assert config.lines("default") == POLICIES["default"].thresholds


def test_a_project_of_its_own_goes_before_what_holds_for_all_key_by_key(tmp_path: Path) -> None:
    """What `[projects.7]` says replaces that key of the top alone, and project 70 sees nothing of it."""
    seven, seventy = (project_config(file(tmp_path, FULL), number) for number in (7, 70))
    assert (seven.policy, seven.machines) == ("default", ["13"])
    assert seven.trust == {"a1@example.com": 0.9, "a2@example.com": 0.25}
    assert (seven.lines("label-ai").confirm, seven.lines("label-ai").reject) == (0.8, 0.1)
    assert seven.lines("default").confirm == 0.7
    assert seven.controls["kind"] == ControlSection(given="species", candidates="maybe")
    assert seven.controls["check"] == seventy.controls["check"]
    assert seventy == project_config(file(tmp_path, FULL), 1)


@pytest.mark.parametrize("share", ["0", "1", "-0.1", "nan", "'high'"])
def test_a_guarantee_is_a_share(tmp_path: Path, share: str) -> None:
    """Between 0 and 1; a project of its own may have its own, and none is the default."""
    path = file(tmp_path, "guarantee = 0.05\n[projects.7]\nguarantee = 0.1\n")
    assert [project_config(path, number).guarantee for number in (1, 7)] == [0.05, 0.1]
    assert ProjectConfig().guarantee is None
    with pytest.raises(ConfigError, match="guarantee: Input should be"):
        project_config(file(tmp_path, f"guarantee = {share}"), 1)


def test_the_controls_of_a_project_of_its_own_are_known(tmp_path: Path) -> None:
    """Those under `[projects.N]` must be there; those of the top may belong to other projects."""
    seven, seventy = (project_config(file(tmp_path, FULL), number) for number in (7, 70))
    assert (seven.special_controls, seventy.special_controls) == ({"kind"}, frozenset())
    assert ProjectConfig(controls={"kind": ControlSection()}).special_controls == frozenset()


def test_without_a_file_the_defaults_hold() -> None:
    """No file is no error."""
    assert project_config(None, 7) == ProjectConfig()


def test_thresholds_replace_the_policys_own() -> None:
    """Named lines move, the others are the policy's."""
    config = ProjectConfig(thresholds={"label-ai": {"confirm": 0.95}, "default": {"fewest_votes": 3}})
    lines = config.lines("label-ai")
    assert (lines.confirm, lines.reject, lines.controversial_votes) == (0.95, 0.08, 100)
    assert isinstance(lines, Thresholds)
    default = POLICIES["default"].thresholds
    assert (config.lines("default").fewest_votes, config.lines("default").confirm) == (3, default.confirm)


def test_the_lines_of_each_policy_are_fields_and_all_are_read_by_one() -> None:
    """No policy is forgotten, no line is misspelt, and none is there for nobody."""
    assert set(LINES) == set(POLICIES)
    assert {name for names in LINES.values() for name in names} == set(Thresholds.__dataclass_fields__)


@pytest.mark.parametrize(
    ("policy", "line"),
    [("default", "controversial_low"), ("default", "controversial_high"), ("label-ai", "fewest_votes")],
)
def test_a_line_that_the_policy_does_not_read_is_refused(policy: PolicyName, line: str) -> None:
    """It would have no effect."""
    config = ProjectConfig(thresholds={policy: {line: 0.5}})
    with pytest.raises(
        ConfigError, match=f"threshold '{line}' is unknown to policy {policy}; use confirm, reject"
    ):
        config.lines(policy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("policy = ", "is no TOML"),
        ('policy = "best"', "policy: Input should be 'default', 'majority', 'wilson', "),
        ('polcy = "default"', "polcy: Extra inputs"),
        ("[thresholds]\nconfirm = 0.9", "thresholds.confirm.*: Input should be 'default', 'majority', 'wilson', "),
        (
            "[thresholds.best]\nconfirm = 0.9",
            "thresholds.best.*: Input should be 'default', 'majority', 'wilson', ",
        ),
        (
            "[thresholds.default]\nconfrm = 0.9",
            "threshold 'confrm' is unknown to policy default; use confirm, reject",
        ),
        ("[thresholds.label-ai]\nconfrm = 0.9", "threshold 'confrm' is unknown to policy label-ai; use confirm"),
        ("[thresholds.default]\nconfirm = 'high'", "thresholds.default.confirm: "),
        ("[thresholds.label-ai]\nconfirm = 0.05", "reject must not lie above confirm"),
        (
            "[thresholds.default]\nconfirm = 0.7\n[projects.7.thresholds.default]\nreject = 0.8",
            "reject must not lie above confirm",
        ),
        ("[thresholds.default]\nconfirm = nan", "threshold confirm is nan"),
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
    assert found.consensus_database_url.get_secret_value() == f"sqlite:///{default_store()}"


def test_a_file_of_variables_that_is_no_text_is_refused() -> None:
    """The message names it."""
    Path(".env").write_bytes(b"CONSENSUS_CRON=\xe9\n")
    with pytest.raises(SettingsError, match=r"\.env is no UTF-8 text"):
        settings()


@pytest.mark.parametrize("days", ["-1", "999999999999", "nan"])
def test_a_history_that_no_calendar_holds_is_refused(monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    """By the variable's name, before it is asked what is older."""
    monkeypatch.setenv("CONSENSUS_HISTORY_DAYS", days)
    settings.cache_clear()
    with pytest.raises(SettingsError, match="CONSENSUS_HISTORY_DAYS: Input should be"):
        settings()


def test_files_that_the_settings_file_names_lie_beside_it(tmp_path: Path) -> None:
    """Wherever the command is run; an absolute path stays as it is."""
    file = tmp_path / "consensus.toml"
    file.write_text(
        'auto = "auto.toml"\n[projects.7]\npay = "rules/pay.toml"\n[projects.8]\npay = "/etc/pay.toml"\n'
    )
    configs = [project_config(file, project) for project in (7, 8, 9)]
    assert [config.pay for config in configs] == [tmp_path / "rules/pay.toml", Path("/etc/pay.toml"), None]
    assert {config.auto for config in configs} == {tmp_path / "auto.toml"}
