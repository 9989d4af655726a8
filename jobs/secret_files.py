"""Settings from files: ``MMML_REDIS_URL_FILE=/run/secrets/redis_url`` stands for the file's
content, so that a secret need not be in the environment. The plain variable wins when both are set.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource


class SecretFiles(PydanticBaseSettingsSource):
    """One source for every field. A file that can't be read is an error, not an absent setting."""

    def __init__(self, settings: type[BaseSettings]) -> None:
        super().__init__(settings)
        self._prefix = self.config.get("env_prefix", "")

    def get_field_value(self, _field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = f"{self._prefix}{field_name}_FILE".upper()
        path = os.environ.get(variable)
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{variable}: {path} can't be read: {error}") from error

    def __call__(self) -> dict[str, Any]:
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}
