"""Settings from the environment and `.env`, and what the settings file says of a project."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from consensus.core.controls import ControlSettings
from consensus.core.policies import POLICIES, PolicyName
from consensus.core.thresholds import Thresholds
from consensus.errors import ConfigError


class Settings(BaseSettings):
    """What the environment says; the names are the upper-case ones of the fields."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    label_studio_url: str = ""
    label_studio_api_key: SecretStr = SecretStr("")
    consensus_database_url: SecretStr = SecretStr("sqlite:///consensus.db")
    consensus_config: Path | None = None
    consensus_cron: str = "*/15 * * * *"
    consensus_projects: str = ""


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Read the environment once, at first need.

    Raises
    ------
    ConfigError
        Where a variable cannot be understood.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigError(f"the environment cannot be used: {_first_fault(error)}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"the file .env is no UTF-8 text: {error}") from None


HandSetTrust = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ControlSection(_Strict):
    """`[controls.NAME]` of the settings file."""

    kind: Literal["choices", "verification"] | None = None
    given: str | None = None
    candidates: str | None = None
    yes: str | None = None
    no: str | None = None
    unsure: str | None = None

    def core(self) -> ControlSettings:
        """The same, as the core reads it."""
        return ControlSettings(**self.model_dump())


class ProjectConfig(_Strict):
    """What the settings file says of one project.

    Attributes
    ----------
    policy
        A key of `consensus.core.policies.POLICIES`.
    thresholds
        Lines that replace the policy's own, by name.
    machines
        E-mail addresses or ids of accounts that never vote.
    trust
        Trust set by hand, by e-mail address.
    controls
        Sections by the name of the control.
    """

    policy: PolicyName = "default"
    thresholds: dict[str, float] = {}
    machines: list[Annotated[str, BeforeValidator(str)]] = []
    trust: dict[str, HandSetTrust] = {}
    controls: dict[str, ControlSection] = {}

    def lines(self, policy: str) -> Thresholds:
        """Thresholds of a policy with those of the file in their place.

        Raises
        ------
        ConfigError
            Where the policy or a threshold is unknown, or lines cross.
        """
        if policy not in POLICIES:
            raise ConfigError(f"policy {policy!r} is unknown; use one of {', '.join(POLICIES)}")
        own = POLICIES[policy].thresholds
        known = own.__dataclass_fields__
        for name in self.thresholds:
            if name not in known:
                raise ConfigError(f"threshold {name!r} is unknown; use {', '.join(known)}")
        return Thresholds(**{name: self.thresholds.get(name, getattr(own, name)) for name in known})


class _File(ProjectConfig):
    projects: dict[int, ProjectConfig] = {}


def project_config(path: Path | None, project: int) -> ProjectConfig:
    """Read what the settings file says of a project.

    Parameters
    ----------
    path : Path or None
        A TOML file; what it says at the top holds for every project, `[projects.7]` replaces it for project 7.
        None: the defaults.
    project : int

    Raises
    ------
    ConfigError
        Where the file is missing, no TOML or says something unknown.
    """
    if path is None:
        return ProjectConfig()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        whole = _File.model_validate(content)
        special = whole.projects.get(project, ProjectConfig()).model_dump(exclude_unset=True)
        found = ProjectConfig.model_validate({**whole.model_dump(exclude={"projects"}), **special})
        found.lines(found.policy)
    except OSError as error:
        raise ConfigError(f"settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path} is no TOML: {error}") from None
    except ValidationError as error:
        raise ConfigError(f"settings file {path}: {_first_fault(error)}") from None
    except ConfigError as error:
        raise ConfigError(f"settings file {path}: {error}") from None
    return found


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
