"""What can be typed: commands, their arguments, and the global options, which may stand before or after the command."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable
from dataclasses import dataclass

from maos_ckpt.cli.engine_options import add_console_options, add_engine_options, seconds
from maos_ckpt.cli.parser import PROGRAM, Parser
from maos_ckpt.cli.selecting import add_named, add_selection
from maos_ckpt.cli.spans import span
from maos_ckpt.errors import UsageError

_LIMIT_HELP = "list at most N changes; by default 1,000, with --json 1,000,000"
_CHECKPOINT_HELP = "an id, a unique part of one, latest or latest~N"
_Configure = Callable[[argparse.ArgumentParser], None]


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `handler` is `MODULE:FUNCTION` below `maos_ckpt.cli.commands`, imported only when it is called;
    `attached` is that for an engine that is reached with --connect, or "" where the command needs the repository."""

    name: str
    area: str
    summary: str
    handler: str
    configure: _Configure
    attached: str = ""


def _number(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return value

    return parse


def add_globals(parser: argparse.ArgumentParser) -> None:
    """The options that every command takes."""
    group = parser.add_argument_group("global options")
    add = group.add_argument
    add("--config", metavar="PATH", help="configuration file")
    add("--repo", metavar="PATH|URL", help="repository, or s3://BUCKET/PREFIX; by default .maos-ckpt beside the source")
    add(
        "--source",
        metavar="SPEC",
        action="append",
        help="maos:DIR, sqlite:PATH or provider:MODULE:ATTR; may be repeated",
    )
    add("--s3-endpoint", metavar="URL", help="S3 store other than AWS, as http(s)://HOST[:PORT]")
    add("--connect", metavar="ADDRESS", help="a running engine instead: unix:PATH or https://HOST:PORT")
    add("--token-file", metavar="FILE", help="with --connect over TCP: the file that holds the token")
    add("--system", metavar="NAME", help="this system's name among those that share a bucket")
    add("--claude-home", metavar="DIR", help="home of the agents' transcripts; by default ~/.claude")
    add("--json", action="store_true", help="print JSON")
    add("--read-only", action="store_true", help="refuse everything that would change something")
    add("--log-level", metavar="LEVEL", help="debug, info, warning or error")
    add("--version", action="store_true", help="print the version")
    add("-h", "--help", action="store_true", help="print this help")


#: Global options that take a value, for finding the command among the words.
VALUED = frozenset(
    {
        "--config",
        "--repo",
        "--source",
        "--claude-home",
        "--log-level",
        "--interval",
        "--s3-endpoint",
        "--system",
        "--connect",
        "--token-file",
        "--listen",
        "--theme",
    }
)


def _nothing(parser: argparse.ArgumentParser) -> None:
    pass


def _checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help=_CHECKPOINT_HELP)


def _delete(parser: argparse.ArgumentParser) -> None:
    _checkpoint(parser)
    parser.add_argument("--yes", action="store_true", help="delete without asking; only a terminal is asked")


def _save(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--message", metavar="TEXT", default="", help="a description")
    parser.add_argument("--tag", metavar="T", action="append", default=[], help="a tag; repeatable")


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", metavar="N", type=_number(1), help="at most N")
    parser.add_argument("--tag", metavar="T", help="only those with this tag")
    parser.add_argument("--systems", action="store_true", help="the systems that share the bucket and prefix instead")


def _diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="A", help=f"{_CHECKPOINT_HELP}, or live")
    parser.add_argument("after", metavar="B", nargs="?", default="live", help="as A; by default live")
    parser.add_argument("--stat", action="store_true", help="only counts")
    parser.add_argument("--limit", metavar="N", type=_number(0), help=_LIMIT_HELP)


def _records(parser: argparse.ArgumentParser) -> None:
    _checkpoint(parser)
    parser.add_argument("--component", metavar="C", help="only this component")
    parser.add_argument("--record", metavar="GLOB", help="only keys, or component/collection/key, that match")
    parser.add_argument("--limit", metavar="N", type=_number(1), help="at most N")


def _history(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "key", metavar="KEY", help="a key, or component/collection/key, as `records` shows it; or a glob that means one"
    )
    parser.add_argument("--limit", metavar="N", type=_number(1), help="the newest N versions; by default 1,000")


def _find(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "text", metavar="TEXT", help="what records hold, in any text or key; JSON's escapes are seen through"
    )
    parser.add_argument(
        "--between", metavar=("A", "B"), nargs=2, help="only in these checkpoints and those between them"
    )
    parser.add_argument("--component", metavar="C", help="only this component")
    parser.add_argument("-i", "--ignore-case", action="store_true", help="whatever the case of its letters")
    parser.add_argument("--limit", metavar="N", type=_number(1), help="at most N matches; by default 1,000")


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", metavar="ID", nargs="*", help=f"{_CHECKPOINT_HELP}; none means all")
    parser.add_argument("--all", action="store_true", help="all checkpoints")
    parser.add_argument("--level", choices=("quick", "standard", "full"), default="standard", help="how deep")
    tiers = ("local", "s3", "all")
    parser.add_argument("--tier", choices=tiers, default="all", help="where to read; by default all there is")
    parser.add_argument("--repair", action="store_true", help="replace what is damaged from the other tier")


def _apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="show the plan and write nothing")
    parser.add_argument(
        "--plan", metavar="DIGEST", help="apply exactly the plan of this digest (its first 12 digits do), or refuse"
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; kept in the journal")
    parser.add_argument("--yes", action="store_true", help="apply without asking")
    text = "list at most N changes; by default 1,000, or with --dry-run --json all"
    parser.add_argument("--limit", metavar="N", type=_number(0), help=text)


def _undo(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Where nothing is named the whole of the last recovery is taken back; else that part of it."
    add_named(parser)
    _apply(parser)


def _restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help=f"{_CHECKPOINT_HELP}; without, one is recommended")
    parser.epilog = (
        "Where nothing is named everything is recovered. --component, --record, --search, --agent, --orchestration and "
        "--field add up: a record is recovered where any of them names it."
    )
    add_selection(parser)
    parser.add_argument("--with-dependencies", action="store_true", help="also missing records these refer to")
    parser.add_argument("--exact", action="store_true", help="also remove what the checkpoint does not hold")
    parser.add_argument(
        "--to",
        metavar="SPEC",
        help="build it elsewhere and leave the live state alone: sqlite:NEW.db, maos:DIR or dir:PATH, which is empty",
    )
    _apply(parser)


def _rescue(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "After a crash MAOS takes up neither its orchestrations nor its messages. A rescue proposes what mends its "
        "records, each with the reason; --agent continues one agent's conversation instead."
    )
    parser.add_argument(
        "--agent", metavar="ID", default="", help="put this agent's transcript back, and say how to resume"
    )
    parser.add_argument("--at", metavar="CHECKPOINT", default="", help=f"with --agent: as it was in {_CHECKPOINT_HELP}")
    _apply(parser)


def _drill(parser: argparse.ArgumentParser) -> None:
    from maos_ckpt.model.drills import SCENARIO_TITLES

    parser.add_argument(
        "checkpoint", metavar="ID", nargs="?", default="latest", help=f"{_CHECKPOINT_HELP}; by default latest"
    )
    parser.add_argument(
        "--scenario",
        metavar="NAME",
        action="append",
        choices=("all", *(one.value for one in SCENARIO_TITLES)),
        default=[],
        help="only this one; repeatable; all by default",
    )
    parser.add_argument("--history", action="store_true", help="the last drills and their trends instead")
    parser.add_argument("--limit", metavar="N", type=_number(1), default=10, help="with --history: at most N")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; kept in the report")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    width = max(len(one) for one in SCENARIO_TITLES)
    lines = [f"  {one.value:<{width}}  {title}" for one, title in SCENARIO_TITLES.items()]
    parser.epilog = "Scenarios, each in a scratch copy; the live system is not touched:\n" + "\n".join(lines)


def _guide(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id", metavar="ID", nargs="?", help=f"also what is to be said about this one: {_CHECKPOINT_HELP}"
    )


def _tag(parser: argparse.ArgumentParser) -> None:
    _checkpoint(parser)
    parser.add_argument("tags", metavar="T", nargs="*", help="tags to add")
    parser.add_argument("--remove", metavar="T", action="append", default=[], help="a tag to take away; repeatable")


def _prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would go and remove nothing")
    parser.add_argument("--keep-last", metavar="N", type=_number(0), help="instead of max_checkpoints; 0 keeps all")


def _export(parser: argparse.ArgumentParser) -> None:
    _checkpoint(parser)
    parser.add_argument("--to", metavar="DIR", required=True, help="an empty directory, or one to be made")


def _events(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--follow", action="store_true", help="the last 10, then go on with what happens")
    parser.add_argument("--since", metavar="T", help="from an RFC 3339 time, or an age such as 90s, 30m, 2h, 1d")


def _audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", metavar="N", type=_number(1), help="the newest N entries; by default 100")


def _metrics(parser: argparse.ArgumentParser) -> None:
    from maos_ckpt.model.metrics import HOURS, HOURS_MAX

    text = f"look back so many hours, at most {HOURS_MAX}; by default {HOURS}"
    parser.add_argument("--hours", metavar="N", type=_number(1), default=HOURS, help=text)


def _alerts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", choices=("list", "ack", "snooze", "test"), default="list", help="what to do"
    )
    parser.add_argument("name", metavar="ALERT", nargs="?", default="", help="with ack and snooze: which, by its name")
    parser.epilog = "`test` sends a test to the webhook, the command and the heartbeat that are configured."
    text = "with snooze: for so long, as 90s, 30m, 2h, 1d; by default 1h"
    parser.add_argument("--for", metavar="AGE", dest="for_s", type=span, default=3600.0, help=text)


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("show", "init", "check", "keys"), help="what to do")
    parser.add_argument("--origin", action="store_true", help="with show: where each value comes from")


def _key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "add", "remove", "rotate"), help="what to do")
    parser.add_argument("id", metavar="ID", nargs="?", help="with remove and rotate: the key, or a unique beginning")
    parser.add_argument(
        "--new-key",
        metavar="REF",
        default="",
        help="with add and rotate: env:NAME (a variable with a passphrase) or file:PATH; else the terminal is asked",
    )
    parser.add_argument("--label", metavar="TEXT", default="", help="with add and rotate: what to call the key")


def _token(parser: argparse.ArgumentParser) -> None:
    from maos_ckpt.model.access import Scope

    parser.epilog = (
        "Who reaches the engine over TCP needs a token, sent as `Authorization: Bearer TOKEN`. Every scope includes "
        "read, admin all. A token is shown once; only its hash is stored."
    )
    parser.add_argument("action", choices=("create", "list", "revoke"), help="what to do")
    parser.add_argument("id", metavar="ID", nargs="?", help="with revoke: the token's id, or a unique beginning")
    parser.add_argument(
        "--scope",
        metavar="SCOPE",
        action="append",
        choices=[one.value for one in Scope],
        default=[],
        help="with create: read, save, recover or admin; repeatable; by default read",
    )
    parser.add_argument("--name", metavar="N", default="", help="with create: what or whom it is for")
    parser.add_argument(
        "--expires-days", metavar="N", type=_number(1), default=0, help="with create: refuse it from then on"
    )


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--headless", action="store_true", help="event lines instead of a console")
    parser.add_argument("--seconds", metavar="N", type=seconds, help="end after N seconds")
    parser.add_argument("--incident", action="store_true", help="let an agent corrupt its tasks half-way")
    parser.add_argument("--keep", metavar="DIR", help="work in this directory and leave it there")
    parser.add_argument("--interval", metavar="S", type=seconds, default=5.0, help="seconds between checkpoints")
    add_console_options(parser)


COMMANDS = {
    command.name: command
    for command in (
        Command("save", "Checkpoints", "take one checkpoint now", "checkpoints:save", _save, "attached:save"),
        Command("list", "Checkpoints", "checkpoints, newest first", "checkpoints:list_", _list, "attached:list_"),
        Command("show", "Checkpoints", "one checkpoint in full", "checkpoints:show", _checkpoint, "attached:show"),
        Command("pin", "Checkpoints", "keep a checkpoint for good", "checkpoints:pin", _checkpoint, "attached:pin"),
        Command(
            "unpin", "Checkpoints", "let retention have it again", "checkpoints:unpin", _checkpoint, "attached:unpin"
        ),
        Command("tag", "Checkpoints", "add or take away tags", "checkpoints:tag", _tag, "attached:tag"),
        Command("delete", "Checkpoints", "remove a checkpoint", "checkpoints:delete", _delete, "attached:delete"),
        Command("diff", "Looking inside", "what differs, record by record", "contents:diff", _diff, "attached:diff"),
        Command(
            "records",
            "Looking inside",
            "a checkpoint's records",
            "contents:records",
            _records,
            "attached_contents:records",
        ),
        Command(
            "history",
            "Looking inside",
            "how one record changed",
            "contents:history",
            _history,
            "attached_contents:history",
        ),
        Command(
            "find", "Looking inside", "which records held a text, and when", "insight:find", _find, "attached:find"
        ),
        Command("export", "Looking inside", "a checkpoint as plain files", "contents:export", _export),
        Command(
            "guide", "Recovery", "which checkpoint to go back to, and why", "insight:guide", _guide, "attached:guide"
        ),
        Command(
            "restore",
            "Recovery",
            "plan a recovery, then apply it",
            "recovery:restore",
            _restore,
            "attached_recovery:restore",
        ),
        Command(
            "rescue", "Recovery", "mend what a crash left behind", "rescue:rescue", _rescue, "attached_recovery:rescue"
        ),
        Command("ps", "Recovery", "every live MAOS on this machine", "processes:ps", _nothing, "attached:ps"),
        Command("undo", "Recovery", "take the last recovery back", "recovery:undo", _undo, "attached_recovery:undo"),
        Command("drill", "Recovery", "rehearse recoveries in a scratch copy", "drills:drill", _drill, "attached:drill"),
        Command("verify", "Upkeep", "check what is stored", "upkeep:verify", _verify, "attached:verify"),
        Command("prune", "Upkeep", "apply retention, free space", "upkeep:prune", _prune),
        Command(
            "status", "Upkeep", "engine, storage, last success", "status:status", _nothing, "attached_status:status"
        ),
        Command(
            "metrics",
            "Upkeep",
            "how saves and recoveries went, with trends",
            "metrics:metrics",
            _metrics,
            "attached_contents:metrics",
        ),
        Command(
            "alerts",
            "Upkeep",
            "what an operator must know of now",
            "alerts:alerts",
            _alerts,
            "attached_contents:alerts",
        ),
        Command("events", "Upkeep", "what has happened", "upkeep:events", _events, "attached_status:events"),
        Command("audit", "Upkeep", "who changed what, and why", "audit:audit", _audit),
        Command("doctor", "Upkeep", "check source, storage and machine", "upkeep:doctor", _nothing),
        Command("config", "Upkeep", "show, init or check the configuration; the keys", "configure:config", _config),
        Command("key", "Upkeep", "the keys of an encrypted repository", "keys:key", _key),
        Command("token", "Upkeep", "who may reach the engine over TCP", "tokens:token", _token),
        Command("demo", "Upkeep", "a sample MAOS with its console", "demo:demo", _demo),
    )
}

#: Run where no command is named.
NO_COMMAND = Command("", "", "", "service:service", add_engine_options, "service:attached")


def needs_repository(what: str) -> UsageError:
    """What to say to who wants it of an engine that --connect names."""
    return UsageError(
        f"`{PROGRAM} {what}` works on the repository itself and does not go through an engine.",
        kept="Nothing was changed.",
        hint="Run it on the machine of the repository, without --connect.",
    )


def find_command(words: list[str]) -> tuple[Command, list[str]]:
    """The command among the words, and the words without it.

    Raises:
        UsageError: the first free word is no command; names the nearest.
    """
    at = 0
    while at < len(words):
        word = words[at]
        if word in VALUED:
            at += 2
        elif word.startswith("-"):
            at += 1
        elif word in COMMANDS:
            return COMMANDS[word], words[:at] + words[at + 1 :]
        else:
            near = difflib.get_close_matches(word, COMMANDS, 1)
            raise UsageError(
                f"There is no command {word!r}." + (f" Did you mean {near[0]}?" if near else ""),
                hint=f"`{PROGRAM} --help` lists the commands.",
                command=word,
                nearest=near[0] if near else None,
            )
    return NO_COMMAND, words


def parser_for(command: Command) -> Parser:
    """The parser of one command with the global options."""
    program = f"{PROGRAM} {command.name}".strip()
    summary = f"{command.summary[:1].upper()}{command.summary[1:]}."
    parser = Parser(prog=program, description=summary, allow_abbrev=False, add_help=False)
    command.configure(parser)
    add_globals(parser)
    return parser


def overview() -> str:
    """The text of `maos-ckpt --help`."""
    lines = [
        f"usage: {PROGRAM} [OPTION]... [COMMAND]",
        "",
        "Checkpoints, and recovery one dares to use, for MAOS multi-agent systems.",
        "Without a command the console opens; with --headless the engine runs alone.",
        "",
    ]
    for area in dict.fromkeys(command.area for command in COMMANDS.values()):
        lines.append(f"{area}:")
        lines += [f"  {one.name:<10}{one.summary}" for one in COMMANDS.values() if one.area == area]
        lines.append("")
    options = Parser(prog=PROGRAM, add_help=False, usage=argparse.SUPPRESS)
    add_engine_options(options)
    add_globals(options)
    lines.append(options.format_help().rstrip())
    lines += ["", f"`{PROGRAM} COMMAND --help` shows what a command takes."]
    return "\n".join(lines)
