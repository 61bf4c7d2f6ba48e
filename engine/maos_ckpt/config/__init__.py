"""Configuration: types, the file and environment they are read from, and the example generated from them."""

from maos_ckpt.config.example import example, toml_value
from maos_ckpt.config.load import FILE_NAME, Settings, load
from maos_ckpt.config.types import Config

__all__ = ["Config", "Settings", "load", "example", "toml_value", "FILE_NAME"]
