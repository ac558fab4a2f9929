"""The base of both programs' settings: the environment, the file `.env`, and texts that name what is wrong."""

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Annotated, ClassVar, Self, TypeVar
from urllib.parse import urlsplit

import structlog
from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from common.errors import SettingsError

LOG = structlog.get_logger()
ENV_FILE = ".env"
URL, API_KEY = "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"


def _address(value: str) -> str:
    value = value.strip().rstrip("/")
    if value and not value.startswith(("http://", "https://")):
        raise ValueError(f"{value!r} must start with http:// or https://")
    address = urlsplit(value)
    if value and (not address.hostname or address.port == 0):  # what is no port raises ValueError
        raise ValueError("must name a host, and a port from 1 to 65535 if any")
    return value


def _sendable(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value().strip()  # a file's last line break is no part of a secret
    if not value.isprintable():
        raise ValueError("must hold nothing that cannot be printed")
    return SecretStr(value)


def _one_word(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if " " in value or not value.isascii():
        raise ValueError("must be ASCII without blanks: an Authorization header cannot send it otherwise")
    return secret


Address = Annotated[str, AfterValidator(_address)]
Secret = Annotated[SecretStr, AfterValidator(_sendable)]
Token = Annotated[SecretStr, AfterValidator(_sendable), AfterValidator(_one_word)]


class LabelStudioSettings(BaseSettings):
    """Label Studio's address and key, and how settings are read; an empty variable is none.

    Only these two name Label Studio and its key. A key is sent only to the address that is named beside it: where
    the address comes from `.env` and the key from the environment, there is no key.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )
    prefix: ClassVar[str]
    """Of the program's own variables: one that begins so and is no setting is misspelt."""
    options: ClassVar[Mapping[str, str]] = {}
    """Options of the command line by the field that they set."""
    of_compose: ClassVar[frozenset[str]] = frozenset()
    """Variables that docker-compose.yml alone reads, and that stand in the same `.env`."""

    label_studio_url: Address = Field("", validation_alias=URL)
    label_studio_api_key: Token = Field(SecretStr(""), validation_alias=API_KEY)
    _key_refused: bool = PrivateAttr(default=False)
    _from_file: frozenset[str] = PrivateAttr(default=frozenset())

    def is_from_file(self, field: str) -> bool:
        """Return whether a value stands in `.env` and not in the environment."""
        return field in self._from_file

    @property
    def missing(self) -> list[str]:
        """Names of the environment variables without which Label Studio cannot be asked."""
        given = {URL: self.label_studio_url, API_KEY: self.label_studio_api_key.get_secret_value()}
        return [name for name, value in given.items() if not value]

    def require_label_studio(self) -> None:
        """Raise SettingsError unless Label Studio's address and key are set."""
        if self._key_refused:
            raise SettingsError(
                f"{URL} comes from the file {ENV_FILE} of this folder and {API_KEY} from the environment: a key "
                "is sent only to the address that is named beside it; put both into the one place or the other"
            )
        if self.missing:
            raise SettingsError(
                f"{' and '.join(self.missing)} {'is' if len(self.missing) == 1 else 'are'} not set; give "
                "Label Studio's address and the access token of an account that may edit the project (Account & "
                f"Settings > Access Token), in the environment or in a file {ENV_FILE} where the command is run"
            )

    def _place(self, environment: Mapping[str, object], file: Mapping[str, object], given: set[str]) -> Self:
        """Keep which fields come from the file, and withhold a key that belongs to another address."""
        for field in type(self).model_fields.keys() - given:
            variable = _variable(type(self), field).lower()
            if variable in file and variable not in environment:
                self._from_file |= {field}
        key = API_KEY.lower() in environment and "label_studio_api_key" not in given
        if key and self.is_from_file("label_studio_url"):
            self.label_studio_api_key = SecretStr("")
            self._key_refused = True
        return self


Kind = TypeVar("Kind", bound=LabelStudioSettings)


def read(kind: type[Kind], options: Mapping[str, object] | None = None) -> Kind:
    """Read settings from the environment and `.env`; what an option says goes before them.

    Parameters
    ----------
    options : mapping of str to object, optional
        Values of the command line by the name of their field.

    Raises
    ------
    SettingsError
        Naming each option or variable that does not fit and where it stands, but not its value.
    """
    options = options or {}
    try:
        environment, file = EnvSettingsSource(kind).env_vars, DotEnvSettingsSource(kind).env_vars
        settings = kind.model_validate(dict(options))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        lines = [
            _named(kind, fault["loc"], fault["msg"].removeprefix("Value error, "), options, environment, file)
            for fault in faults
        ]
        raise SettingsError(f"cannot use the settings: {'; '.join(lines)}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"the file {ENV_FILE} is no UTF-8 text: {error}") from None
    except OSError as error:
        raise SettingsError(f"the file {ENV_FILE} cannot be read: {error.strerror}") from None
    variables_of = {_variable(kind, name).lower() for name in kind.model_fields}
    others = {variable.lower() for variable in kind.of_compose}
    for place, variables in (("the environment", environment), (ENV_FILE, file)):
        for variable in variables:
            if variable.startswith(kind.prefix.lower()) and variable not in variables_of | others:
                _warn_unknown(variable.upper(), place, tuple(sorted(variables_of)))
    return settings._place(environment, file, set(options))  # noqa: SLF001 - its own


@cache
def _warn_unknown(variable: str, place: str, variables_of: tuple[str, ...]) -> None:
    """Warn once in a process."""
    near = difflib.get_close_matches(variable.lower(), variables_of, n=1)
    remedy = f"; did you mean {near[0].upper()}?" if near else ""
    warning = f"{variable} in {place} is no setting and has no effect{remedy}"
    LOG.warning(warning)


def _variable(kind: type[LabelStudioSettings], field: str) -> str:
    alias = kind.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{kind.model_config.get('env_prefix', '')}{field}".upper()


def _named(
    kind: type[LabelStudioSettings],
    place: tuple[int | str, ...],
    fault: str,
    options: Mapping[str, object],
    environment: Mapping[str, object],
    file: Mapping[str, object],
) -> str:
    """Put the option or the variable, and the file that holds it, before a fault."""
    if not place:
        return fault
    first = str(place[0])
    field = next((name for name in kind.model_fields if first in (name, _variable(kind, name))), first)
    if field in options and field in kind.options:
        return f"{kind.options[field]}: {fault}"
    variable = _variable(kind, field) if field in kind.model_fields else first
    inside = variable.lower() in file and variable.lower() not in environment
    return f"{variable}{f' in {ENV_FILE}' if inside else ''}: {fault}"
