"""config show, init, check, keys."""

from __future__ import annotations

import os
from dataclasses import asdict

from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import table
from maos_ckpt.codec.secret import exposed_key_file
from maos_ckpt.config import FILE_NAME, example, toml_value
from maos_ckpt.errors import ConfigError, ConflictError, ExitCode
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.operations.remotes import effective, remote_settings
from maos_ckpt.safe_text import safe_text


def config(context: Context) -> int:
    """`maos-ckpt config`."""
    return {"show": _show, "init": _init, "check": _check, "keys": _keys}[context.arguments.action](context)


def _show(context: Context) -> int:
    settings = context.settings
    if context.out.as_json:
        values = [{"key": key, "value": value, "origin": origin} for key, value, origin in settings.items()]
        context.out.document({"file": str(settings.file) if settings.file else None, "values": values})
    elif context.arguments.origin:
        context.out.lines(table(("KEY", "VALUE", "ORIGIN"), [(k, toml_value(v), o) for k, v, o in settings.items()]))
    else:
        context.out.lines(f"{key} = {safe_text(toml_value(value))}" for key, value, _ in settings.items())
    return ExitCode.DONE


def _init(context: Context) -> int:
    path = context.path(context.arguments.config or FILE_NAME)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(example())
    except FileExistsError as error:
        raise ConflictError(
            f"{path} exists already.",
            kept="It was left as it is.",
            hint="Name another file with --config, or remove this one first.",
            path=str(path),
        ) from error
    except OSError as error:
        raise_storage_error(error, path)
    if context.out.as_json:
        context.out.document({"file": str(path)})
    else:
        context.out.lines([f"wrote {safe_text(str(path))}"])
    return ExitCode.DONE


def _keys(context: Context) -> int:
    found = context.console.keys(context.settings)
    if context.out.as_json:
        context.out.document({"keys": [asdict(one) for one in found]})
    else:
        context.out.lines(table(("ID", "KEYS", "WHAT IT DOES"), [(one.id, one.keys, one.does) for one in found]))
    return ExitCode.DONE


def _check(context: Context) -> int:
    settings = context.settings
    context.console.keys(settings)
    # Raises where the values that say where the remote copy lies do not fit each other.
    remote_settings(effective(settings.config))
    exposed = settings.exposed_secrets()
    if exposed:
        raise ConfigError(
            f"{settings.file} holds {' and '.join(exposed)}, and others may read it.",
            kept="Nothing was changed.",
            hint="chmod 600, and change the secret.",
            keys=exposed,
        )
    key_file = exposed_key_file(settings.config.encryption_key)
    if key_file is not None:
        raise ConfigError(
            f"The key file {key_file} may be read by others.",
            kept="Nothing was changed.",
            hint="chmod 600, and change the key.",
            keys=["encryption_key"],
        )
    if context.out.as_json:
        context.out.document({"ok": True, "file": str(settings.file) if settings.file else None})
    else:
        where = f"{settings.file} is" if settings.file else "no configuration file; environment and defaults are"
        context.out.lines([safe_text(f"{where} in order")])
    return ExitCode.DONE
