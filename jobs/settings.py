"""Addresses and time limits that every process of the service needs; environment names start with
``MMML_``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from jobs.redis_address import normalized, with_password

S = TypeVar("S", bound="SharedSettings")


try:
    VERSION = version("mmml-service")
except PackageNotFoundError:  # a source tree on the path, not installed
    VERSION = "0+unknown"


log = logging.getLogger(__name__)


class OtherNames(PydanticBaseSettingsSource):
    """A setting under the name that it had before, or in the file that ``MMML_…_FILE`` names. A
    file that can't be read is an error, not an absent setting.
    """

    def get_field_value(self, _field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = f"MMML_{field_name}".upper()
        renamed: Mapping[str, str] = getattr(self.settings_cls, "renamed", {})
        earlier = f"MMML_{renamed.get(field_name, '')}".upper()
        if field_name in renamed and earlier in os.environ:
            log.warning("%s is called %s now; the earlier name still works", earlier, variable)
            return os.environ[earlier], field_name, False
        path = os.environ.get(f"{variable}_FILE")
        try:
            value = Path(path).read_text(encoding="utf-8").strip() if path else None
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{variable}_FILE: {path} can't be read: {error}") from error
        return value, field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields.items()
        found = {name: self.get_field_value(field, name)[0] for name, field in fields}
        return {name: value for name, value in found.items() if value is not None}


def _weights() -> Path:
    """``weights`` here, else the one beside the source tree."""
    here = Path("weights")
    return here if here.is_dir() else Path(__file__).resolve().parent.parent / "weights"


RedisUrl = Annotated[str, AfterValidator(normalized)]


class SharedSettings(BaseSettings):
    """Read once per process and handed down. Times are in seconds. ``MMML_…_FILE`` names a file
    that holds the value. ``renamed``: by setting the name that it had before.
    """

    renamed: ClassVar[Mapping[str, str]] = {}

    # Variables that are empty count as absent: files of variables name them all.
    model_config = SettingsConfigDict(
        env_prefix="MMML_", extra="ignore", hide_input_in_errors=True, env_ignore_empty=True
    )

    redis_url: RedisUrl = Field("redis://127.0.0.1:6379/0", description="job store and broker")
    redis_password: SecretStr = Field(
        SecretStr(""), description="password for the address before, where that has none"
    )
    redis_replicas: int = Field(
        0,
        ge=0,
        description="replicas of Redis that have a job before it is accepted; with fewer, "
        "submissions are refused",
    )
    redis_prefix: str = Field(
        "mmml:", description="prefix of every key; {mmml}: keeps all in one slot of a Redis Cluster"
    )
    storage_url: str = Field(
        "memory://",
        description="blob store of all processes: file:///folder, s3://…, gs://…, az://…",
    )
    weights_dir: Path = Field(default_factory=_weights, description="folder of the bundles")
    default_synthesize: str = Field("", description="default bundle of /synthesize")
    default_manipulate: str = Field("", description="default bundle of /manipulate")
    default_inpaint: str = Field("", description="default bundle of /inpaint")
    lease_ttl: float = Field(15.0, gt=0, description="a worker silent for this long loses its jobs")
    job_deadline: float = Field(3600.0, gt=0, description="a job that waits longer fails")
    result_ttl: float = Field(24 * 3600.0, gt=0, description="lifetime of results")
    max_attempts: int = Field(3, ge=1, description="runs, each alone, of a job whose worker died")
    log_format: Literal["text", "json"] = Field(
        "text", description="text, or json: an object a line, with the ids it is about"
    )
    traces: bool = Field(
        False,
        description="send traces to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names; needs "
        "pip install 'mmml-service[otel]'",
    )
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="port of /metrics for Prometheus; 0: none. With mmml serve the gateway's; the "
        "reconciler has the next, the worker the one after",
    )
    metrics_host: str = Field("127.0.0.1", description="address that /metrics listens on")

    @model_validator(mode="after")
    def _log_in(self) -> Self:
        password = self.redis_password.get_secret_value()
        if password:
            self.redis_url = with_password(self.redis_url, password)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (a folder; not used)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then the files that it names."""
        return init_settings, env_settings, dotenv_settings, OtherNames(settings_cls)

    def defaults(self) -> dict[str, str]:
        """Default bundle by task, where one is set."""
        prefix = "default_"
        named = {k.removeprefix(prefix): v for k, v in self if k.startswith(prefix)}
        return {task: bundle for task, bundle in named.items() if bundle}


def read_settings(kind: type[S]) -> S:
    """Settings from the environment. Ends the process with a sentence when one can't be used."""
    try:
        return kind()
    except ValidationError as error:
        result = []
        for found in error.errors(include_input=False, include_url=False):
            name = f"MMML_{'_'.join(map(str, found['loc'][:1])).upper()}"
            result.append(f"{name} can't be used: {found['msg'].removeprefix('Value error, ')}")
        raise SystemExit("\n".join(f"mmml: {sentence}" for sentence in result)) from None
