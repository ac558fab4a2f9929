"""Settings from the environment and `.env`, and what the settings file says of a project."""

import os
import re
import tomllib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
)

from common.errors import SettingsError
from common.serving.credentials import Credentials
from common.settings import ENV_FILE, Address, LabelStudioSettings, Secret, Token, read
from consensus.core.decide.policies import POLICIES
from consensus.core.decide.policy_names import PolicyName
from consensus.core.decide.thresholds import Thresholds
from consensus.core.votes.controls import ControlSettings
from consensus.errors import ConfigError

AnyRules = TypeVar("AnyRules", bound=BaseModel)
POSTGRES = re.compile(r"^postgres(ql)?(\+psycopg)?://")


class Settings(LabelStudioSettings):
    """What the environment says; the names are the upper-case ones of the fields."""

    prefix = "CONSENSUS_"
    of_compose = frozenset({"CONSENSUS_API_BIND", "CONSENSUS_API_PORT", "CONSENSUS_DATASETS", "CONSENSUS_MEMORY"})

    consensus_signing_key: SecretStr = SecretStr("")
    consensus_api_token: Token = SecretStr("")
    consensus_webhook_token: Token = SecretStr("")  # of Label Studio's webhook, which all its members can read
    consensus_public_url: Address = ""  # where people open the console, if a proxy is before it
    consensus_proxies: str = ""  # addresses or networks of proxies that are believed who asks, with commas
    consensus_admins: str = ""  # accounts by e-mail address, with commas; whose key we use is one in any case
    consensus_reviewers: str = ""  # the same: they see the queues of review alone
    consensus_ml_backend_url: Address = ""  # of the one that is connected, as seen from here; no other is asked
    ml_backend_basic_user: str = ""  # what that asks for, under its own names
    ml_backend_basic_password: Secret = SecretStr("")
    ml_backend_token: Token = SecretStr("")
    consensus_url: Address = ""  # for the plugin in Label Studio, which reads it from the environment of its own
    consensus_database_url: SecretStr = Field(default_factory=lambda: SecretStr(f"sqlite:///{default_store()}"))
    consensus_config: Path | None = None
    consensus_cron: str = "*/15 * * * *"
    consensus_projects: str = ""
    consensus_metrics_address: str = ""  # of `consensus schedule`, as in 127.0.0.1:9092; empty: none
    consensus_history_days: int = Field(default=90, ge=0, le=36_500)
    consensus_import_dir: Path | None = None  # of datasets that the console may import
    consensus_picture_bytes: int = Field(default=2 << 30, ge=1 << 20)  # of small pictures of the console
    consensus_cache_dir: Path = Field(
        default_factory=lambda: _home("XDG_CACHE_HOME", ".cache", "CONSENSUS_CACHE_DIR")
    )

    @field_validator("consensus_ml_backend_url")
    @classmethod
    def _without_login(cls, value: str) -> str:
        if "@" in value:  # it is shown where the backend does not answer
            raise ValueError("holds a login; ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD are for that")
        return value

    @field_validator("consensus_database_url")
    @classmethod
    def _driver(cls, secret: SecretStr) -> SecretStr:
        """Name the PostgreSQL driver that is installed, whatever the address says."""
        return SecretStr(POSTGRES.sub("postgresql+psycopg2://", secret.get_secret_value().strip()))


def ml_backend_credentials(settings: Settings) -> Credentials:
    """Return what lets into the ML backend at the address that stands beside it.

    Raises
    ------
    SettingsError
        Where the address comes from `.env` and what is secret from the environment: the file of a folder could
        send it anywhere.
    """
    secrets = ("ml_backend_basic_user", "ml_backend_basic_password", "ml_backend_token")
    elsewhere = [name for name in secrets if getattr(settings, name) and not settings.is_from_file(name)]
    if settings.is_from_file("consensus_ml_backend_url") and elsewhere:
        raise SettingsError(
            f"CONSENSUS_ML_BACKEND_URL comes from the file {ENV_FILE} of this folder and {elsewhere[0].upper()} "
            "from the environment: it is sent only to the address beside it; put both into one place"
        )
    return Credentials(
        "ML backend",
        settings.ml_backend_basic_user,
        settings.ml_backend_basic_password.get_secret_value(),
        settings.ml_backend_token.get_secret_value(),
    )


def default_store() -> Path:
    """Return where the store lies unless CONSENSUS_DATABASE_URL says otherwise, wherever the command is run."""
    return _home("XDG_DATA_HOME", ".local/share", "CONSENSUS_DATABASE_URL") / "consensus.db"


def _home(variable: str, below_home: str, remedy: str) -> Path:
    """Return the folder of this program among this account's files of a kind."""
    try:
        folder = Path(os.environ.get(variable) or Path.home() / below_home)
    except RuntimeError:
        raise SettingsError(f"{remedy} is not set, and this account has no home folder") from None
    return folder / "consensus"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Read the environment once, at first need.

    Raises
    ------
    SettingsError
        Where a variable cannot be understood.
    """
    return read(Settings)


def scheduled_projects() -> list[int]:
    """Return the projects that CONSENSUS_PROJECTS names; none where it is empty."""
    text = settings().consensus_projects
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"CONSENSUS_PROJECTS is {text!r}; use ids with commas, as in 1,2,7") from None


Share = Annotated[float, Field(gt=0, lt=1)]
HandSetTrust = Annotated[float, Field(ge=0, allow_inf_nan=False)]


INTERVAL_LINES = ("confirm", "reject", "controversial_votes", "fewest_votes")
LINES: dict[PolicyName, tuple[str, ...]] = {
    "default": INTERVAL_LINES,
    "majority": INTERVAL_LINES,
    "wilson": INTERVAL_LINES,
    "dawid-skene": INTERVAL_LINES,
    "label-ai": ("confirm", "reject", "controversial_votes", "controversial_low", "controversial_high"),
}
"""The thresholds that each policy reads."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ControlSection(_Strict):
    """`[controls.NAME]` of the settings file."""

    kind: Literal["choices", "verification"] | None = None
    given: str | None = None
    given_annotations: bool = False
    given_version: str | None = None
    candidates: str | None = None
    yes: str | None = None
    no: str | None = None
    unsure: str | None = None
    renamed: dict[str, str] = {}

    def core(self) -> ControlSettings:
        """The same, as the core reads it."""
        return ControlSettings(**self.model_dump())


class ReviewSection(_Strict):
    """`[review]` of the settings file.

    Attributes
    ----------
    spot_share
        Share of the tasks that reviewers look at whatever the votes say.
    spot_order
        Which: at random among all with votes, or of the confirmed those with the lowest agreement.
    tabs
        Whether each queue has a tab in Label Studio.
    gold_share
        Share of what each annotator is shown next of which the answer is known; a run opens such tasks.
    gold_line
        Who is surely right on known answers less often than this is named.
    """

    spot_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    spot_order: Literal["random", "agreement"] = "random"
    tabs: bool = True
    gold_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    gold_line: Share | None = None


class ProjectConfig(_Strict):
    """What the settings file says of one project.

    Attributes
    ----------
    policy
        A key of `consensus.core.decide.policies.POLICIES`.
    thresholds
        Lines that replace a policy's own, by the name of the policy and of the line.
    machines
        E-mail addresses or ids of accounts that never vote.
    trust
        Trust set by hand, by e-mail address.
    guarantee
        Largest share wrong of a report; ground truth then decides what the reports hold and teaches no trust.
    task_columns
        Whether tasks of MisClassified, Undecided and Controversial get columns in the Data Manager.
    model_votes
        Whether suggestions that were made before anybody annotated a task count as one more voter.
    controls
        Sections by the name of the control.
    review
        What people look at.
    auto
        Rules file of `consensus auto`, which a schedule then follows after each run.
    pay
        Rules file of `consensus pay`, by which the console makes pay lists.
    """

    policy: PolicyName = "default"
    thresholds: dict[PolicyName, dict[str, float]] = {}
    machines: list[Annotated[str, BeforeValidator(str)]] = []
    trust: dict[str, HandSetTrust] = {}
    guarantee: Share | None = None
    model_votes: bool = False
    task_columns: bool = False
    controls: dict[str, ControlSection] = {}
    review: ReviewSection = ReviewSection()
    auto: Path | None = None
    pay: Path | None = None
    _special: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def special_controls(self) -> frozenset[str]:
        """Controls that the file names for this project alone; others may belong to other projects."""
        return self._special

    def lines(self, policy: PolicyName) -> Thresholds:
        """Thresholds of a policy with those of the file in their place.

        Raises
        ------
        ConfigError
            Where a threshold is unknown, or lines cross.
        """
        own, names = POLICIES[policy].thresholds, LINES[policy]
        changed = self.thresholds.get(policy, {})
        for name in changed:
            if name not in names:
                raise ConfigError(f"threshold {name!r} is unknown to policy {policy}; use {', '.join(names)}")
        return replace(own, **changed)


class _File(ProjectConfig):
    projects: dict[int, ProjectConfig] = {}


def project_config(path: Path | None, project: int) -> ProjectConfig:
    """Read what the settings file says of a project.

    Parameters
    ----------
    path : Path or None
        A TOML file; what it says at the top holds for every project, what `[projects.7]` says goes before it for
        project 7, key by key.
        None: the defaults.

    Raises
    ------
    ConfigError
        Where the file is missing, no TOML or says something unknown.
    """
    if path is None:
        return ProjectConfig()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"settings file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"settings file {path} is no TOML: {error}") from None
    return config_of(text, path, project)


def config_of(text: str, path: Path, project: int) -> ProjectConfig:
    """Return what the text of a settings file says of a project, as `project_config` does.

    Raises
    ------
    ConfigError
        Where it is no TOML or says something unknown.
    """
    try:
        content = tomllib.loads(text)
        whole = _File.model_validate(content)
        special = whole.projects.get(project, ProjectConfig()).model_dump(exclude_unset=True)
        everywhere = whole.model_dump(exclude={"projects"}, exclude_unset=True)
        config = ProjectConfig.model_validate(_merged(everywhere, special))
        config._special = frozenset(special.get("controls", {}))  # noqa: SLF001  # its own
        for policy in get_args(PolicyName):
            config.lines(policy)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"settings file {path} is no TOML: {error}") from None
    except ValidationError as error:
        raise ConfigError(f"settings file {path}: {_first_fault(error)}") from None
    except ConfigError as error:
        raise ConfigError(f"settings file {path}: {error}") from None
    files = {"auto": config.auto, "pay": config.pay}
    return config.model_copy(update={name: path.parent / file for name, file in files.items() if file is not None})


def read_rules_file(rules: type[AnyRules], path: Path, page: str) -> AnyRules:
    """Read a file of rules: TOML.

    Parameters
    ----------
    page : str
        Under docs/: explains each key.

    Raises
    ------
    ConfigError
        Where the file is missing, no TOML, or says something unknown or impossible.
    """
    try:
        return rules.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"rules file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"rules file {path} is no TOML: {error}") from None
    except ValidationError as error:
        fault = _first_fault(error).removeprefix(": ")
        raise ConfigError(f"rules file {path}: {fault}; docs/{page} names every key") from None


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def _merged(everywhere: dict[str, Any], special: dict[str, Any]) -> dict[str, Any]:
    """Put what is special in the place of what holds everywhere, table by table."""
    merged = dict(everywhere)
    for key, value in special.items():
        there = merged.get(key)
        merged[key] = _merged(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return merged


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
