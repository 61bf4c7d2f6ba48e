"""The configuration's shape: one frozen struct per table, each key with its type, bounds, default and one line of text.

Only keys that this version honours exist; anything else in a file is an error that names the nearest key. The example
file and the command line's `config show` are generated from these types.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from maos_ckpt.config.alerting import Alerts, Hooks
from maos_ckpt.model.drills import DrillScenario

Codec = Literal["auto", "zstd", "lz4", "gzip", "brotli", "none"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
Primary = Literal["local", "s3"]
Addressing = Literal["auto", "path", "virtual"]
ServerSideEncryption = Literal["", "AES256", "aws:kms", "aws:kms:dsse"]
Theme = Literal["auto", "dark", "light", "high-contrast", "colour-blind", "ansi"]
Ascii = Literal["auto", "always", "never"]
#: Marks a key whose value is never shown, by JSON Schema's word for it.
_SECRET = {"writeOnly": True}


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept beyond the newest `max_checkpoints`."""

    hourly: Annotated[
        int, Meta(ge=0, le=100_000, description="Keep the newest of each of so many hours (UTC) that have one.")
    ] = 0
    daily: Annotated[
        int, Meta(ge=0, le=100_000, description="Keep the newest of each of so many days (UTC) that have one.")
    ] = 0
    weekly: Annotated[
        int,
        Meta(
            ge=0, le=100_000, description="Keep the newest of each of so many weeks (UTC, from Monday) that have one."
        ),
    ] = 0
    tags: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...],
        Meta(max_length=50, description="Keep every checkpoint with one of these tags."),
    ] = ()


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
    batch_size: Annotated[
        int,
        Meta(
            ge=1,
            le=16,
            description="Parts of a large object that are uploaded to S3 at once; each takes 16 MiB of memory.",
        ),
    ] = 5


_Command = tuple[Annotated[str, Meta(max_length=4096)], ...]


class Recovery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is run around a recovery or undo; programs with their arguments, without a shell."""

    quiesce_command: Annotated[
        _Command,
        Meta(max_length=100, description="Run before: it holds the system still; where it fails nothing is changed."),
    ] = ()
    resume_command: Annotated[
        _Command,
        Meta(max_length=100, description="Run after, also where the recovery failed or was killed."),
    ] = ()
    quiesce_timeout_s: Annotated[
        float, Meta(gt=0, le=100, description="The quiesce command is ended, and counts as failed, after this long.")
    ] = 30.0
    resume_timeout_s: Annotated[
        float, Meta(gt=0, le=100, description="The resume command is ended, and counts as failed, after this long.")
    ] = 30.0


_Url = Annotated[str, Meta(max_length=2048, pattern=r"^(|https?://[^\s]+)$", extra={"wanted": "an http(s) address"})]
Partial = Literal["allow", "refuse"]


class Barrier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a checkpoint is taken of a system at one moment; programs are run without a shell."""

    quiesce_command: Annotated[
        _Command,
        Meta(
            max_length=100, description="Run before sources are opened, to hold the system still; else no checkpoint."
        ),
    ] = ()
    resume_command: Annotated[
        _Command, Meta(max_length=100, description="Run once all sources are open, and whatever happens.")
    ] = ()
    quiesce_url: Annotated[_Url, Meta(description="Address that gets a POST to hold the system still.")] = ""
    resume_url: Annotated[_Url, Meta(description="Address that gets a POST to let the system go on.")] = ""
    hook_timeout_s: Annotated[
        float, Meta(gt=0, le=100, description="A quiesce or resume hook counts as failed after this long.")
    ] = 5.0
    hold_timeout_s: Annotated[
        float,
        Meta(gt=0, le=100, description="A system that is held still for a checkpoint is let go on after this long."),
    ] = 10.0
    recovery_hold_timeout_s: Annotated[
        float, Meta(gt=0, le=100, description="The same for a recovery of providers' state.")
    ] = 60.0
    provider_timeout_s: Annotated[
        float, Meta(gt=0, le=100, description="A provider that takes longer to be read or restored is left out.")
    ] = 5.0
    provider_bytes_max: Annotated[
        int, Meta(ge=1, le=1 << 40, description="A provider that holds more bytes of records is left out.")
    ] = 1 << 30
    partial: Annotated[
        Partial,
        Meta(description="What becomes of a checkpoint without a provider that failed: a partial one, or none."),
    ] = "allow"


class LocalStorage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The local repository."""

    path: Annotated[
        str, Meta(max_length=4096, description="Directory of the repository; empty means .maos-ckpt beside the source.")
    ] = ""
    max_size_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 60,
            description="Bytes that the local repository should take at most: what is oldest and not protected makes"
            " room, and where that is not enough an alarm says so; 0 means no bound.",
        ),
    ] = 0


class S3Storage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The remote copy; without a bucket there is none. What is empty is left to boto3's ordinary chain."""

    bucket: Annotated[str, Meta(max_length=63, description="Bucket of the remote copy; empty means no copy.")] = ""
    region: Annotated[str, Meta(max_length=64, description="Region of the bucket.")] = ""
    prefix: Annotated[str, Meta(max_length=700, description="Key prefix below which all systems lie.")] = ""
    access_key_id: Annotated[
        str, Meta(max_length=256, description="Access key; empty means boto3's chain: environment, files, roles.")
    ] = ""
    secret_access_key: Annotated[
        str, Meta(max_length=256, description="Secret of access_key_id; never shown.", extra_json_schema=_SECRET)
    ] = ""
    profile: Annotated[str, Meta(max_length=256, description="Profile of the shared AWS configuration.")] = ""
    endpoint_url: Annotated[
        str, Meta(max_length=2048, description="http(s)://HOST[:PORT] of a store other than AWS.")
    ] = ""
    addressing_style: Annotated[
        Addressing, Meta(description="How the bucket is named in requests: in the path or in the host name.")
    ] = "auto"
    server_side_encryption: Annotated[
        ServerSideEncryption, Meta(description="Encryption by the store, beside this program's own.")
    ] = ""
    kms_key_id: Annotated[str, Meta(max_length=2048, description="Key for aws:kms; empty means the bucket's own.")] = ""
    storage_class: Annotated[
        str, Meta(max_length=64, description="Storage class of new objects; empty means the bucket's default.")
    ] = ""
    single_writer: Annotated[
        bool,
        Meta(description="Declares that one machine alone writes, so that a store without conditional writes may do."),
    ] = False

    def __repr__(self) -> str:
        return f"S3Storage({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """What is shown of it anywhere: not the secret."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        return list((shown | {"secret_access_key": "<not shown>" if self.secret_access_key else ""}).items())


class Storage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where checkpoints are kept."""

    primary: Annotated[
        Primary,
        Meta(
            description="Which tier keeps all packs: with s3, local ones that lie there may make room"
            " for new ones beyond local.max_size_bytes."
        ),
    ] = "local"
    cache_size: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Most that the cache of what was read from S3 takes, in MB; 0: none.")
    ] = 256
    cache_ttl: Annotated[
        int, Meta(ge=0, le=31_536_000, description="How long the cache gives out what it holds, in seconds.")
    ] = 86_400
    spool_size_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 60,
            description="Checkpoints that S3 does not have yet are kept beyond the policy up to these bytes; beyond"
            " them the oldest scheduled ones go.",
        ),
    ] = 20_000_000_000
    local: LocalStorage = LocalStorage()
    s3: S3Storage = S3Storage()


class Drill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rehearsed recoveries."""

    interval_hours: Annotated[
        float,
        Meta(
            ge=0, le=8760, description="The engine rehearses a recovery so often, when it is idle; 0: never by itself."
        ),
    ] = 0.0
    max_minutes: Annotated[
        float,
        Meta(ge=0, le=10_080, description="A drill that takes longer is ended and has not passed; 0: no limit."),
    ] = 60.0
    scenarios: Annotated[
        tuple[DrillScenario, ...],
        Meta(
            max_length=20,
            description="Scenarios of these drills; empty means all.",
            extra={"wanted": f"a list of {', '.join(DrillScenario)}"},
        ),
    ] = ()
    sql: Annotated[
        tuple[Annotated[str, Meta(max_length=10_000, pattern=r"^(?s:.*\S.*=>.*)$")], ...],
        Meta(
            max_length=100,
            extra={"wanted": "a list of STATEMENT => EXPECTED"},
            description="Your own checks, run read-only on the recovered copy, each as STATEMENT => EXPECTED"
            " (values joined by a comma and a blank, rows by a semicolon and a blank).",
        ),
    ] = ()
    command: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=4096)], ...],
        Meta(
            max_length=100,
            description="Your own program and its arguments, run in the recovered copy, which MAOS_DRILL_DIRECTORY and"
            " MAOS_DRILL_DATABASE name; it passes by ending with 0.",
        ),
    ] = ()
    directory: Annotated[
        str, Meta(max_length=4096, description="Where the scratch copies lie; empty means drills/ in the repository.")
    ] = ""


_Name = Annotated[str, Meta(min_length=1, max_length=300)]


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the headless engine serves its API, beside its own Unix socket, and to whom."""

    listen: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=4096)], ...],
        Meta(
            max_length=16,
            description="Where else to listen: HOST:PORT (TCP, with tokens), or unix:PATH. Away from this machine's"
            " loopback only with TLS.",
        ),
    ] = ()
    tls_certificate: Annotated[
        str, Meta(max_length=4096, description="PEM file with the certificate and its chain; empty means no TLS.")
    ] = ""
    tls_key: Annotated[
        str, Meta(max_length=4096, description="PEM file with its key; empty means that it is in tls_certificate.")
    ] = ""
    allow_plaintext: Annotated[
        bool,
        Meta(description="Serve TCP away from loopback without TLS, because a proxy before it has TLS."),
    ] = False
    hosts: Annotated[
        tuple[_Name, ...],
        Meta(max_length=100, description="Names that requests may call this server by, beside its addresses."),
    ] = ()
    origins: Annotated[
        tuple[_Name, ...],
        Meta(max_length=100, description="Web pages that may send requests, each as https://HOST[:PORT]."),
    ] = ()
    requests_per_second: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Requests that one token may send on average; 0 means no bound.")
    ] = 500


class Console(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The console's looks."""

    theme: Annotated[Theme, Meta(description="Colours of the console; ansi uses the terminal's own sixteen.")] = "auto"
    ascii: Annotated[
        Ascii,
        Meta(description="Draw with ASCII alone; auto does where the locale is not UTF-8 or TERM is linux or vt100."),
    ] = "auto"
    low_bandwidth: Annotated[
        bool, Meta(description="Send the terminal little: a clock of five seconds, no plots, the sixteen colours.")
    ] = False
    mouse: Annotated[
        bool, Meta(description="Take clicks and the wheel; the terminal's own selection needs Shift then.")
    ] = False
    keys: Annotated[
        dict[str, Annotated[str, Meta(min_length=1, max_length=100)]],
        Meta(
            max_length=500,
            description='Other keys for actions, as "overview.recover" = "R"; `maos-ckpt config keys` lists the ids.',
            extra={"wanted": "a table of ids and keys"},
        ),
    ] = msgspec.field(default_factory=dict)


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
            description="What to checkpoint together: maos:DIR or sqlite:PATH, and provider:MODULE:ATTR;"
            " empty means the MAOS in the working directory.",
        ),
    ] = ()
    system: Annotated[
        str,
        Meta(
            max_length=63,
            pattern="^[a-z0-9]?[a-z0-9_.-]*$",
            extra={"wanted": "at most 63 of a to z, 0 to 9, `_`, `.` and `-`, the first a letter or a digit"},
            description="Name of this system among those that share a prefix, which lies at prefix/system;"
            " empty means that the prefix is this system's alone.",
        ),
    ] = ""
    claude_home: Annotated[
        str, Meta(max_length=4096, description="Home of the agents' transcripts; empty means ~/.claude.")
    ] = ""
    read_only: Annotated[
        bool, Meta(description="Refuse everything that would change the source or the repository.")
    ] = False
    scrub_days: Annotated[
        int,
        Meta(ge=0, le=3650, description="The engine reads every stored object again within so many days; 0: never."),
    ] = 7
    log_level: Annotated[LogLevel, Meta(description="Least important message that is logged.")] = "info"
    log_levels: Annotated[
        tuple[Annotated[str, Meta(max_length=200, pattern="^[a-z_0-9.]+=(debug|info|warning|error)$")], ...],
        Meta(
            max_length=50,
            extra={"wanted": "a list of AREA=LEVEL"},
            description="Other levels for single areas, as api=debug; the log lines name their areas.",
        ),
    ] = ()
    log_format: Annotated[LogFormat, Meta(description="Lines for people, or one JSON object a line.")] = "text"
    encryption_enabled: Annotated[
        bool, Meta(description="Encrypt a new repository, and refuse one that exists and is not encrypted.")
    ] = False
    encryption_key: Annotated[
        str,
        Meta(
            max_length=4096,
            pattern="^(|env:[A-Z_][A-Z0-9_]*|file:(?s:.+))$",
            description="Where the key is: env:NAME (a variable with a passphrase) or file:PATH (a key file).",
            extra={"wanted": "env:NAME, with NAME in capitals, or file:PATH"},
            extra_json_schema=_SECRET,
        ),
    ] = ""
    retention: Retention = Retention()
    compression: Compression = Compression()
    performance: Performance = Performance()
    recovery: Recovery = Recovery()
    barrier: Barrier = Barrier()
    storage: Storage = Storage()
    drill: Drill = Drill()
    alerts: Alerts = Alerts()
    hooks: Hooks = Hooks()
    server: Server = Server()
    console: Console = Console()
