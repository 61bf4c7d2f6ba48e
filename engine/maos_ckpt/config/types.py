"""The configuration's shape: one frozen struct per table, each key with its type, bounds, default and one line of text.

Only keys that this version honours exist; anything else in a file is an error that names the nearest key. The example
file and the command line's `config show` are generated from these types.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Codec = Literal["auto", "zstd", "lz4", "gzip", "brotli", "none"]
LogLevel = Literal["debug", "info", "warning", "error"]
Theme = Literal["auto", "dark", "light", "ansi"]


class Compression(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How records are compressed."""

    codec: Annotated[
        Codec,
        Meta(description="Codec for stored chunks; auto measures and chooses within performance.max_save_time_ms."),
    ] = "auto"
    level: Annotated[
        int,
        Meta(ge=1, le=19, description="Highest zstd level that auto may take, or the level of the codec named."),
    ] = 6


class Performance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Targets that the engine works towards and reports on."""

    max_save_time_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=86_400_000,
            description="A save should take no longer; the codec is chosen for it, and a slower save is reported.",
        ),
    ] = 5000
    max_recovery_time_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=86_400_000,
            description="A recovery should take no longer; a plan that expects more, or a slower one, is reported.",
        ),
    ] = 60000
    compression_target: Annotated[
        float, Meta(ge=1, le=1000, description="Wanted ratio of logical to stored bytes over the whole repository.")
    ] = 10.0


class LocalStorage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The local repository."""

    path: Annotated[
        str, Meta(max_length=4096, description="Directory of the repository; empty means .maos-ckpt beside the source.")
    ] = ""


class Storage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where checkpoints are kept."""

    local: LocalStorage = LocalStorage()


class Console(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The console's looks."""

    theme: Annotated[Theme, Meta(description="Colours of the console; ansi uses the terminal's own sixteen.")] = "auto"


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of engine, command line and console."""

    interval_seconds: Annotated[
        float, Meta(ge=0.1, le=86_400, description="Seconds from one scheduled checkpoint to the next.")
    ] = 30.0
    max_checkpoints: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="The engine keeps this many newest checkpoints, and all pinned ones; 0 keeps all.",
        ),
    ] = 10
    sources: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=4096)], ...],
        Meta(
            max_length=16,
            description="What to checkpoint: maos:DIR or sqlite:PATH; empty means the MAOS in the working directory.",
        ),
    ] = ()
    claude_home: Annotated[
        str, Meta(max_length=4096, description="Home of the agents' transcripts; empty means ~/.claude.")
    ] = ""
    read_only: Annotated[
        bool, Meta(description="Refuse everything that would change the source or the repository.")
    ] = False
    log_level: Annotated[LogLevel, Meta(description="Least important message that is logged.")] = "info"
    compression: Compression = Compression()
    performance: Performance = Performance()
    storage: Storage = Storage()
    console: Console = Console()
