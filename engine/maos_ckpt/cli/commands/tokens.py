"""token create, list, revoke."""

from __future__ import annotations

from maos_ckpt.api.tokens import Token, Tokens
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import moment, rfc3339, table
from maos_ckpt.errors import ExitCode, NotFoundError, UsageError
from maos_ckpt.model.access import Scope
from maos_ckpt.operations.audit import audited
from maos_ckpt.safe_text import safe_text


def token(context: Context) -> int:
    """`maos-ckpt token`."""
    arguments = context.arguments
    if arguments.action == "revoke" and not arguments.id:
        raise UsageError("`maos-ckpt token revoke` needs the ID of a token.", hint="`maos-ckpt token list` shows them.")
    if arguments.action != "revoke" and arguments.id:
        raise UsageError(f"`maos-ckpt token {arguments.action}` takes no ID.")
    if arguments.action != "create" and (arguments.scope or arguments.name or arguments.expires_days):
        raise UsageError("--scope, --name and --expires-days belong to `maos-ckpt token create`.")
    return {"create": _create, "list": _list, "revoke": _revoke}[arguments.action](context)


def _tokens(context: Context) -> Tokens:
    workspace = context.workspace
    if not workspace.bring_home():
        raise NotFoundError(
            f"There is no repository at {workspace.repository} yet.",
            kept="Nothing was changed.",
            hint="Take a checkpoint first, with `maos-ckpt save` or by starting the engine.",
        )
    return Tokens(workspace.repository, workspace.seams)


def _shape(one: Token) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "scopes": [scope.value for scope in one.scopes],
        "created_at": rfc3339(one.created_at_ms),
        "expires_at": None if one.expires_at_ms is None else rfc3339(one.expires_at_ms),
    }


def _create(context: Context) -> int:
    arguments, workspace = context.arguments, context.workspace
    workspace.refuse_if_read_only("token create")
    tokens = _tokens(context)
    with audited(workspace, "token create") as note:
        made = tokens.create(arguments.name, tuple(Scope(one) for one in arguments.scope), arguments.expires_days)
        note.about = (made.token.id,)
        note.detail = ", ".join(made.token.scopes)
    if context.out.as_json:
        context.out.document({"token": made.text, **_shape(made.token)})
        return ExitCode.DONE
    context.out.lines([made.text])
    until = f" until {rfc3339(made.token.expires_at_ms)}" if made.token.expires_at_ms is not None else ""
    context.out.notice(
        f"This is shown once. Its id is {made.token.id}; it allows {', '.join(made.token.scopes)}{until}. Keep it in a "
        "file that only its user may read."
    )
    return ExitCode.DONE


def _list(context: Context) -> int:
    found = _tokens(context).all()
    if context.out.as_json:
        context.out.document({"tokens": [_shape(one) for one in found]})
        return ExitCode.DONE
    now_ms = context.seams.clock.now_ms()
    rows = [
        (one.id, ", ".join(one.scopes), moment(one.created_at_ms, now_ms), _end(one, now_ms), safe_text(one.name))
        for one in found
    ]
    context.out.lines(table(("ID", "SCOPES", "CREATED", "EXPIRES", "NAME"), rows))
    return ExitCode.DONE


def _end(one: Token, now_ms: int) -> str:
    if one.expires_at_ms is None:
        return "never"
    return "expired" if one.expired(now_ms) else moment(one.expires_at_ms, now_ms)


def _revoke(context: Context) -> int:
    workspace = context.workspace
    workspace.refuse_if_read_only("token revoke")
    tokens = _tokens(context)
    with audited(workspace, "token revoke") as note:
        revoked = tokens.revoke(context.arguments.id)
        note.about = (revoked.id,)
    if context.out.as_json:
        context.out.document({"revoked": revoked.id, **_shape(revoked)})
    else:
        context.out.lines([f"{revoked.id}  is accepted no more"])
    return ExitCode.DONE
