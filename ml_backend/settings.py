"""Every setting of the backend, read from the environment when first asked for."""

import json
import os
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from common.console import install
from common.images.addresses import AllowedHosts
from common.settings import Address, LabelStudioSettings, Secret, Token, read
from ml_backend.core.preparing import PREPARATIONS, read_address
from ml_backend.core.suggestions import Least, Ticking
from ml_backend.images.decoding import ImageLimits

EMBEDDERS = "ml_backend.embedders"  # group of entry points
LONGEST_S = 1e9  # a wait that no clock of the system can express ends in an error
Positive = Annotated[float, Field(gt=0, le=LONGEST_S)]
NotNegative = Annotated[float, Field(ge=0, le=LONGEST_S)]
Count = Annotated[int, Field(ge=1)]


class Settings(LabelStudioSettings):
    """Settings by environment variable or line of ``.env``: ``ML_BACKEND_<NAME>``, the first two without prefix.

    Only these name Label Studio and its key: what ``/setup`` carries is ignored, since anybody could post it.
    """

    model_config = SettingsConfigDict(env_prefix="ML_BACKEND_")
    prefix = "ML_BACKEND_"
    of_compose = frozenset({"ML_BACKEND_MEMORY"})
    options = {"host": "--host", "port": "--port", "workers": "--workers", "public_url": "--url"}  # noqa: RUF012

    # With which consensus signs its reports; empty: with Label Studio's key.
    consensus_signing_key: SecretStr = Field(SecretStr(""), validation_alias="CONSENSUS_SIGNING_KEY")

    # Serving
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 9090
    workers: Count = 2
    threads: Count = 32  # that answer, in each worker; three in four may predict at a time
    public_url: Address = ""  # as Label Studio knows it; needed where a project has several backends
    # Names of this backend, beside those that are not public, as in ml.example.org,*.example.net; * for any.
    served_hosts: str = Field("", validation_alias="ML_BACKEND_ALLOWED_HOSTS")
    max_request_bytes: Count = 200_000_000  # 50 MB where strangers reach it and it is not set
    max_tasks: Count = 20_000  # of one request; a hundred times as many JSON values
    predict_deadline_s: Annotated[float, Field(gt=0, lt=100)] = 80
    model_wait_s: Positive = 60

    # Who may call; all empty: everybody. Label Studio logs in with user and password, other programs with either.
    # The second names are label-studio-ml's.
    basic_user: str = Field("", validation_alias=AliasChoices("ML_BACKEND_BASIC_USER", "BASIC_AUTH_USER"))
    basic_password: Secret = Field(
        SecretStr(""), validation_alias=AliasChoices("ML_BACKEND_BASIC_PASSWORD", "BASIC_AUTH_PASS")
    )
    token: Token = SecretStr("")

    # The model
    data_dir: Path = Path("ml-backend-data")
    backbone: str = "auto"  # resnet18, or efficientnet-lite0 where the weights of ImageNet cannot be downloaded
    weights: str = "imagenet"  # imagenet, random, or a path to a state dict
    # The middle of an image, the whole filled up to a square, or what predicts held-out annotations better.
    view: Literal["auto", "crop", "whole"] = "auto"
    # What suggests by the names of the labels while nothing is annotated: open_clip:NAME, open_clip:NAME:WEIGHTS,
    # open_clip:/DIR, or a registered embedder that embeds texts; empty: nothing.
    zero_shot: str = ""
    zero_shot_prompts: Annotated[tuple[str, ...], NoDecode] = ("a photo of a {label}",)
    weights_timeout_s: Positive = 120
    engine: Literal["auto", "onnx", "torch"] = "auto"  # auto: torch on a graphics processor, else ONNX Runtime
    engines_dir: Path | None = None  # with what `ml-backend export` has written; copied from there into data_dir
    export_timeout_s: Positive = 300  # of a network to ONNX, once for each embedding key
    seed: int = 0
    batch_size: Count = 16  # images a run: 32 are no faster on a processor and take 110 MB more
    torch_threads: Annotated[int, Field(ge=0)] = 0  # while serving, of torch or ONNX Runtime; 0: all
    training_torch_threads: Annotated[int, Field(ge=0)] = 0

    # Annotations that teach nothing: of accounts by e-mail address or id, as in bot@example.com,12.
    machines: str = ""
    # Choices that have a new name, by control, as in {"kind": {"dog": "hound"}}.
    renamed: Annotated[dict[str, dict[str, str]], NoDecode] = Field(default_factory=dict)

    # What a suggestion needs to be ticked in advance: one number, or by control, as in {"kind": 0.8}.
    least_score: Least = 0.5
    least_accuracy: Least = 0.5  # of the version, on held-out annotations of the control
    # Keys of the labels that tasks came with, by control, as in {"kind": "species"}; "none": there are none. Of a
    # control that asks whether they are right, {"check": {"given": "species", "yes": "ja", "no": "nein"}} names
    # the answers, too. What is not named here is found as consensus finds it.
    given: Annotated[dict[str, str | dict[str, str]], NoDecode] = Field(default_factory=dict)

    # Images
    image_hosts: str = ""  # that may be asked besides Label Studio and its storages, as AllowedHosts.parse reads
    # Label Studio's LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, to read its local files without it. Whoever can write
    # a task's address then reaches every image below: Label Studio's check of the project's storages is left out.
    local_files_dir: Path | None = None
    fetch_threads: Count = 8
    decode_threads: Annotated[int, Field(gt=0, default_factory=lambda: len(os.sched_getaffinity(0)))]
    fetch_timeout_s: Positive = 20
    max_image_bytes: Count = 30_000_000
    max_image_pixels: Count = 50_000_000
    decode_timeout_s: Positive = 5  # of processor time, for an image
    recheck_s: NotNegative = 3600  # an image is not fetched again; uploads never are
    cache_bytes: Count = 2_000_000_000  # of the file of embeddings; what was used longest ago goes
    backlog: Count = 10_000  # images of requests that are over, embedded for the next ones; of each worker

    # Training
    quiet_s: NotNegative = 5  # without events before a training starts
    max_wait_s: NotNegative = 60  # after the first event, come what may
    training_timeout_s: Positive = 3600
    reconcile_s: NotNegative = 300  # between looks for changes whose event was lost; 0: never
    keep_versions: Count = 3
    publish_predictions: bool = True
    ordered_tasks: Annotated[int, Field(ge=0)] = 100  # that uncertainty sampling serves first, by cluster

    @field_validator("backbone")
    @classmethod
    def _named(cls, value: str) -> str:
        family, _, name = value.partition(":")
        if family == "onnx" and name:
            read_address(name)
        elif not (family == "timm" and name) and value not in ("auto", *PREPARATIONS):
            plugged = sorted(entry_points(group=EMBEDDERS).names)
            if value not in plugged:
                names = ", ".join(["auto", *PREPARATIONS, "timm:NAME", "onnx:FILE", *plugged])
                raise ValueError(f"must be one of {names}; others come with a package that registers them")
        return value

    @field_validator("zero_shot")
    @classmethod
    def _image_text(cls, value: str) -> str:
        family, _, name = value.partition(":")
        if value and not (family == "open_clip" and name) and value not in entry_points(group=EMBEDDERS).names:
            raise ValueError(
                "must be open_clip:NAME, as in open_clip:ViT-B-16-SigLIP, open_clip:NAME:WEIGHTS, open_clip:/DIR, "
                "or the name of an installed embedder that embeds texts"
            )
        return value

    @field_validator("zero_shot_prompts", mode="before")
    @classmethod
    def _prompts(cls, value: object) -> object:
        if isinstance(value, str):
            value = json.loads(value) if value.startswith("[") else [value]
        if not isinstance(value, list | tuple) or not value or not all("{label}" in str(each) for each in value):
            raise ValueError('must be a text with {label} in it, or a JSON list, as in ["a photo of a {label}"]')
        return value

    @field_validator("data_dir")
    @classmethod
    def _possible(cls, value: Path) -> Path:
        there = next((place for place in (value, *value.parents) if place.exists()), value)
        if there.exists() and not there.is_dir():
            raise ValueError(f"{str(value)!r} must be a folder with free space that this account may write")
        return value

    @field_validator("engine")
    @classmethod
    def _installed(cls, value: str) -> str:
        if value == "torch" and find_spec("torch") is None:
            raise ValueError(f"is torch, which is not installed: {install('.[ml]')}")
        return value

    @field_validator("basic_user")
    @classmethod
    def _account(cls, value: str) -> str:
        if ":" in value or not value.isprintable():
            raise ValueError("must hold no colon and nothing that cannot be printed: HTTP basic cannot send it")
        return value

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if bool(self.basic_user) != bool(self.basic_password.get_secret_value()):
            given, lacking = "USER", "PASSWORD"
            if not self.basic_user:
                given, lacking = lacking, given
            raise ValueError(
                f"ML_BACKEND_BASIC_{given} is set and ML_BACKEND_BASIC_{lacking} is not: give both, or none"
            )
        return self

    @model_validator(mode="after")
    def _weights_of_the_backbone(self) -> Self:
        if self.backbone not in ("auto", *PREPARATIONS) and self.weights not in ("imagenet", "random"):
            raise ValueError(f"ML_BACKEND_WEIGHTS names a file, and {self.backbone} has weights of its own")
        return self

    @field_validator("renamed", mode="before")
    @classmethod
    def _read_renamed(cls, value: object) -> object:
        with suppress(ValueError):
            value = json.loads(value) if isinstance(value, str) else value
        by_control = list(value.values()) if isinstance(value, dict) else [None]
        names = [
            name for choices in by_control for name in (choices.values() if isinstance(choices, dict) else [None])
        ]
        if not all(isinstance(name, str) for name in names):
            raise ValueError('must be JSON, by control and choice, as in {"kind": {"dog": "hound"}}')
        return value

    @field_validator("least_score", "least_accuracy")
    @classmethod
    def _share(cls, value: Least) -> Least:
        if not all(0 <= share <= 1 for share in (value.values() if isinstance(value, dict) else [value])):
            raise ValueError('must be a number from 0 to 1, or JSON by control, as in {"kind": 0.8}')
        return value

    @field_validator("given", mode="before")
    @classmethod
    def _read_given(cls, value: object) -> object:
        with suppress(ValueError):
            value = json.loads(value) if isinstance(value, str) else value
        places = list(value.values()) if isinstance(value, dict) else [None]
        if not all(isinstance(place, str) or _is_verification(place) for place in places):
            raise ValueError(
                'must be JSON, by control the key of the tasks, as in {"kind": "species"}, "none", or '
                '{"check": {"given": "species", "yes": "ja", "no": "nein"}}'
            )
        return value

    @field_validator("image_hosts")
    @classmethod
    def _hosts(cls, value: str) -> str:
        AllowedHosts.parse(value)
        return value

    @field_validator("local_files_dir", mode="before")
    @classmethod
    def _folder(cls, value: object) -> object:
        if value in (None, ""):
            return None
        folder = Path(str(value))
        if not folder.is_absolute() or folder == Path(folder.anchor) or not folder.is_dir():
            raise ValueError(f"{str(folder)!r} must be the absolute path of a folder, not of a whole disk")
        return folder

    @property
    def allowed_hosts(self) -> AllowedHosts:
        """What ``image_hosts`` says."""
        return AllowedHosts.parse(self.image_hosts)

    @property
    def ticking(self) -> Ticking:
        """What a suggestion needs to be ticked in advance."""
        return Ticking(self.least_score, self.least_accuracy)

    @property
    def image_limits(self) -> ImageLimits:
        """How large an image may be, and how long it may take."""
        return ImageLimits(self.max_image_bytes, self.max_image_pixels, self.decode_timeout_s)

    @property
    def signing_key(self) -> str:
        """The secret by which reports of consensus are believed."""
        return (
            self.consensus_signing_key.get_secret_value() or self.label_studio_api_key.get_secret_value()
        ).strip()

    @property
    def machine_names(self) -> list[str]:
        """The names in ``machines``."""
        return [name.strip() for name in self.machines.split(",") if name.strip()]


def _is_verification(place: object) -> bool:
    """Whether a place of given labels names a key, and labels for yes, no and perhaps unsure."""
    return (
        isinstance(place, dict)
        and isinstance(place.get("given"), str)
        and place.keys() <= {"given", "yes", "no", "unsure"}
        and all(isinstance(name, str) for name in place.values())
    )


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the settings once.

    Raises
    ------
    SettingsError
        As ``read_settings``.
    """
    return read_settings()


def read_settings(**given: object) -> Settings:
    """Read the settings; what is given by name goes before the environment.

    Raises
    ------
    SettingsError
        If a setting has a value that does not fit, naming the setting but not its value.
    """
    return read(Settings, given)
