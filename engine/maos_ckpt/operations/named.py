"""Providers that a user names as `provider:MODULE:ATTR`, on the command line or in the configuration.

Never from what is stored: a repository that says which module its state lived in gives no reason to import it.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from maos_ckpt.config import Config
from maos_ckpt.errors import SourceError, UsageError
from maos_ckpt.model import COMPONENTS
from maos_ckpt.operations.barrier import provider_host
from maos_ckpt.seams import Seams
from maos_ckpt.sources.provider.calls import reason
from maos_ckpt.sources.provider.in_process import InProcessSession, ProviderHost
from maos_ckpt.sources.provider.providers import Provider, provider_of

#: Where what is no mapping of components is kept.
DEFAULT_COMPONENT: Final = "system"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*"
_SPEC: Final = re.compile(rf"provider:({_NAME}):({_NAME})")


def check_spec(spec: str) -> None:
    """See that a spec names a module and an attribute.

    Raises:
        UsageError: it does not.
    """
    if not _SPEC.fullmatch(spec):
        raise UsageError(
            "A provider is named as provider:MODULE:ATTR.",
            kept="Nothing was changed.",
            hint="For example provider:app.state:managers, with the module on PYTHONPATH.",
        )


class NamedProviders:
    """See `Host`: imports the modules when they are asked for the first time."""

    def __init__(self, specs: Sequence[str], config: Config, directory: Path, seams: Seams) -> None:
        self._specs = specs
        self._config = config
        self._directory = directory
        self._seams = seams
        self._lock = threading.Lock()
        self._host: ProviderHost | None = None

    def session(self) -> InProcessSession:
        """See `Host.session`.

        Raises:
            SourceError: a module cannot be imported, or has no such attribute.
            UsageError: that is no provider.
        """
        with self._lock:
            if self._host is None:
                found = [one for spec in self._specs for one in _load(spec)]
                self._host = provider_host(self._config, found, self._directory, self._seams)
        return self._host.session()


def _load(spec: str) -> list[Provider]:
    match = _SPEC.fullmatch(spec)
    assert match is not None
    module, attribute = match.groups()
    try:
        found: Any = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except Exception as error:
        raise SourceError(
            f"{spec} cannot be loaded: {reason(error)}.",
            kept="Nothing was changed.",
            hint="See that the module is on PYTHONPATH and holds that name.",
            source=spec,
        ) from error
    name = f"{module}.{attribute}"
    if isinstance(found, Mapping) and found and all(key in COMPONENTS for key in found):
        return [provider_of(component, name, one) for component, one in found.items()]
    return [provider_of(getattr(found, "component", DEFAULT_COMPONENT), name, found)]
