"""Where a MAOS keeps its state: the paths, and which component each file and each table belongs to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATABASE_NAME: Final = "maos.db"
TRANSCRIPT_SUFFIX: Final = ".jsonl"
#: Roots that records of files name in their key.
ROOT_WORK: Final = "work"
ROOT_HOME: Final = "home"
ROOT_CLAUDE: Final = "claude"

#: Home of tables by name; every other table is in `other`.
TABLE_COMPONENTS: Final = {
    "agents": "agents",
    "tasks": "tasks",
    "sessions": "memory",
    "messages": "queue",
    "orchestrations": "system",
    "checkpoints": "system",
    "key_value_store": "system",
}
#: Keys of `key_value_store` that hold what agents remember.
MEMORY_KEY_PREFIXES: Final = ("context:", "embedding:", "memory:")

#: Single files below a root, and their component.
_FILES: Final = (
    (ROOT_WORK, ".maos/config.yaml", "system"),
    (ROOT_WORK, ".maos/config.yml", "system"),
    (ROOT_WORK, ".maos/config.json", "system"),
    (ROOT_WORK, ".maos.yml", "system"),
    (ROOT_HOME, ".maos/config.yaml", "system"),
    (ROOT_HOME, ".maos/config.yml", "system"),
    (ROOT_HOME, ".maos/config.json", "system"),
    (ROOT_HOME, ".maos.yml", "system"),
)
#: Folders below the working directory, the ending of the files that count, and their component.
_FOLDERS: Final = (
    (".claude/agents", ".md", "system"),
    ("maos_storage", ".json", "system"),
    ("maos_checkpoints", ".json", "memory"),
)
_STORAGE_COMPONENTS: Final = {
    "state_agents.json": "agents",
    "state_agent_pools.json": "agents",
    "state_tasks.json": "tasks",
    "state_messages.json": "queue",
}


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A file, or with an ending all such files of a folder: root alias, path below it, component."""

    root: str
    path: str
    component: str
    ending: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one MAOS. `directory` and `claude_home` are absolute and have no symbolic links.

    `home` is the user's home directory, whose MAOS configuration applies to every MAOS of that user. `original` is the
    directory that this one is a copy of: its transcripts are still filed under that one's name.
    """

    directory: Path
    claude_home: Path
    home: Path
    original: Path | None = None

    @classmethod
    def of(cls, directory: Path, claude_home: Path, home: Path | None = None) -> Layout:
        """The layout of the MAOS in `directory`; links are followed here, once, and nowhere below."""
        user = Path(os.path.expanduser("~")) if home is None else home
        return cls(*(Path(os.path.realpath(one)) for one in (directory, claude_home.expanduser(), user)))

    @property
    def database(self) -> Path:
        """MAOS's SQLite file; the real one, where the name is a link."""
        return Path(os.path.realpath(self.directory / DATABASE_NAME))

    @property
    def projects(self) -> Path:
        """What the paths of transcripts are relative to; often kept on another disk by way of a link."""
        return Path(os.path.realpath(self.claude_home / "projects"))

    def root(self, alias: str) -> Path:
        """The directory behind a root alias; KeyError for any other name."""
        return {ROOT_WORK: self.directory, ROOT_HOME: self.home, ROOT_CLAUDE: self.projects}[alias]

    @property
    def slugs(self) -> tuple[str, ...]:
        """Folders of `projects` that may hold this MAOS's transcripts, the one that is used today first.

        Claude Code turns everything but ASCII letters and digits into `-`; older releases only turned `/`.
        """
        path = str(self.original or self.directory)
        # The original counts in UTF-16 units, so a character outside of the Basic Multilingual Plane gives two dashes.
        today = "".join(
            one if one.isascii() and one.isalnum() else "-" * (2 if ord(one) > 0xFFFF else 1) for one in path
        )
        return tuple(dict.fromkeys((today, path.replace("/", "-"))))

    def file_places(self) -> list[FilePlace]:
        """Where files other than database and transcripts are looked for."""
        # Where the home directory is the working directory, each file is there once.
        roots = {ROOT_WORK} if self.home == self.directory else {ROOT_WORK, ROOT_HOME}
        single = [FilePlace(root, path, component) for root, path, component in _FILES if root in roots]
        folders = [FilePlace(ROOT_WORK, path, component, ending) for path, ending, component in _FOLDERS]
        return single + folders


def file_component(place: FilePlace, name: str) -> str:
    """The component of the file called `name` at a place: MAOS's storage folder mixes several."""
    return _STORAGE_COMPONENTS.get(name, place.component) if place.path == "maos_storage" else place.component
