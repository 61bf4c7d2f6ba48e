"""Requests that should not be: each has its status and a problem, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from maos_ckpt.api.application import ENDPOINTS
from maos_ckpt.api.endpoint import Endpoint
from maos_ckpt.model.access import Scope, granted
from tests.api.hostile import STREAM, Before, attack
from tests.api.house import House, house, workspace_at
from tests.api.rest.test_checkpoints import problem

JSON = {"content-type": "application/json"}
DEEP = b"[" * 100_000
LONG = "a" * 4096
#: method, path, headers, body, status
TABLE: list[tuple[str, str, dict[str, str], bytes, int]] = [
    # Content
    ("POST", "/checkpoints", {"content-type": "text/plain"}, b"{}", 415),
    ("POST", "/checkpoints", {"content-type": "application/x-www-form-urlencoded"}, b"description=x", 415),
    ("POST", "/checkpoints", {"content-type": ""}, b"{}", 415),
    ("POST", "/checkpoints", {**JSON, "content-encoding": "gzip"}, b"\x1f\x8b\x08\x00", 415),
    ("POST", "/recovery", JSON, b"{", 400),
    ("POST", "/recovery", JSON, b"\xff\xfe", 400),
    ("POST", "/recovery", JSON, b'{"reason": "\\ud800"}', 400),
    ("POST", "/recovery", JSON, b'{"reason": "' + b"x" * 2001 + b'"}', 422),
    ("POST", "/recovery", JSON, DEEP, 422),
    ("POST", "/recovery", JSON, b'{"components": ' + DEEP, 422),
    ("POST", "/recovery", JSON, b'{"limit": 1' + b"0" * 5000 + b"}", 422),
    ("POST", "/recovery", JSON, b'{"limit": NaN}', 400),
    ("POST", "/recovery", JSON, b'{"limit": 1e3}', 422),
    ("POST", "/recovery", JSON, b'{"limit": -1}', 422),
    ("POST", "/recovery", JSON, b"[]", 422),
    ("POST", "/recovery", JSON, b"null", 422),
    ("POST", "/recovery", JSON, b'{"dryRun": "false"}', 422),
    ("POST", "/recovery", JSON, b'{"dryRun": 0}', 422),
    ("POST", "/recovery", JSON, b'{"dryrun": true}', 422),
    ("POST", "/recovery", JSON, b'{"dry_run": true}', 422),
    ("POST", "/recovery", JSON, b'{"dryRun": true, "to": "dir:/etc"}', 422),
    ("POST", "/recovery", JSON, b'{"checkpointId": "../latest"}', 422),
    ("POST", "/recovery", JSON, b'{"checkpointId": "latest\\n"}', 404),
    ("POST", "/recovery", JSON, b'{"components": "tasks"}', 422),
    ("POST", "/recovery", JSON, b'{"components": [""]}', 422),
    ("POST", "/recovery", JSON, b'{"plan": "0"}', 422),
    ("POST", "/recovery", JSON, b'{"plan": "000000000000", "dryRun": true}', 422),
    ("POST", "/recovery", JSON, b'{"merge": "sideways"}', 422),
    ("POST", "/checkpoints", JSON, b'{"tags": [" "]}', 422),
    ("POST", "/checkpoints", JSON, b'{"description": 1}', 422),
    ("POST", "/checkpoints", JSON, b'{"description": "' + b"x" * (2 << 20) + b'"}', 413),
    ("DELETE", "/checkpoints/latest", {}, b"", 404),
    # Names
    ("GET", "/checkpoints/..%2f..%2fetc%2fpasswd", {}, b"", 404),
    ("GET", "/checkpoints/%2e%2e", {}, b"", 404),
    ("GET", "/checkpoints/cp_%00", {}, b"", 404),
    ("GET", "/checkpoints/latest%0a", {}, b"", 404),
    ("GET", "/checkpoints/latest%00", {}, b"", 404),
    ("GET", "/checkpoints//", {}, b"", 404),
    ("GET", "/checkpoints/latest/", {}, b"", 404),
    ("GET", f"/checkpoints/{LONG}", {}, b"", 404),
    ("GET", "/checkpoints/latest~%D9%A3", {}, b"", 404),
    ("GET", "/checkpoints/cp_000000000000000", {}, b"", 404),
    ("GET", "/checkpoints/..%2f..%2fetc/export", {}, b"", 404),
    ("GET", "/plans/..%2f..", {}, b"", 404),
    ("GET", "/operations/op_..%2f..%2f..%2f.", {}, b"", 404),
    ("GET", "/drills/dr_..%2fx", {}, b"", 404),
    ("DELETE", "/plans/00000000000f", {}, b"", 404),
    ("POST", "/plans/00000000000f/apply", JSON, b"{}", 404),
    # Queries
    ("GET", "/checkpoints?limit=0", {}, b"", 422),
    ("GET", "/checkpoints?limit=501", {}, b"", 422),
    ("GET", "/checkpoints?limit=1e2", {}, b"", 422),
    ("GET", "/checkpoints?limit=%D9%A3", {}, b"", 422),
    ("GET", "/checkpoints?limit=1&limit=2", {}, b"", 422),
    ("GET", "/checkpoints?offset=-1", {}, b"", 422),
    ("GET", f"/checkpoints?offset={'9' * 4000}", {}, b"", 422),
    ("GET", "/checkpoints?Limit=1", {}, b"", 422),
    ("GET", f"/checkpoints?tag={'a' * 20_000}", {}, b"", 414),
    ("GET", "/diff", {}, b"", 422),
    ("GET", "/diff?before=live%0a", {}, b"", 404),
    ("GET", "/find?text=", {}, b"", 422),
    ("GET", "/find?text=x&ignoreCase=1", {}, b"", 422),
    ("GET", "/find?text=x&between=latest", {}, b"", 422),
    ("GET", "/checkpoints/latest/records?after=%00", {}, b"", 422),
    # Methods
    ("PUT", "/checkpoints", JSON, b"{}", 405),
    ("POST", "/checkpoints/latest", {**JSON, "x-http-method-override": "DELETE"}, b"{}", 405),
    ("TRACE", "/status", {}, b"", 405),
    ("GET", "/nothing", {}, b"", 404),
    # Conditions and keys
    ("POST", "/checkpoints", {**JSON, "idempotency-key": "x" * 201}, b"{}", 400),
    ("POST", "/checkpoints", {**JSON, "idempotency-key": ""}, b"{}", 400),
    ("GET", "/events", {"last-event-id": "1 or 1=1"}, b"", 422),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of its own: who has shown that many wrong tokens is not let in elsewhere."""
    with house(workspace_at(tmp_path_factory.mktemp("hostile"), 60_000, 10_000)) as one:
        yield one


@pytest.fixture(scope="module", autouse=True)
def unchanged(place: House) -> Iterator[None]:
    """Whatever the tests of this file ask for: the MAOS and every checkpoint are the same afterwards."""
    before = Before.of(place)
    yield
    before.assert_still_so(place)


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    TABLE,
    ids=[f"{one[0]} {one[1][:50]} {i}" for i, one in enumerate(TABLE)],
)
def test_a_bad_request_has_its_status_and_begins_nothing(
    place: House, api: httpx2.Client, method: str, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    begun = len(api.get("/operations").json()["operations"])
    answer = api.request(method, place.url + path, headers=headers, content=body or None)
    found = problem(answer, status)
    assert str(found["detail"]).endswith(".")
    assert place.token not in answer.text
    # A name that is well-formed is looked up by what would carry the request out.
    if (method, status) != ("POST", 404):
        assert len(api.get("/operations").json()["operations"]) == begun


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/checkpoints", {"tags": ["a", " "]}, "Expected a tag that is not blank - at `$.tags[1]`."),
        ("POST", "/plans", {"checkpointId": "cp_1"}, "Expected an id in full, `latest` or `latest~N` - at `$.checkpo"),
        ("GET", "/diff?before=latest&after=new", None, "Expected `live`, an id in full, `latest` or `latest~N` - at "),
    ],
)
def test_what_does_not_match_is_told_in_words_and_not_as_a_pattern(
    api: httpx2.Client, method: str, path: str, body: object, said: str
) -> None:
    detail = str(problem(api.request(method, path, json=body), 422)["detail"])
    assert said in detail
    assert "regex" not in detail


def test_a_name_in_a_path_that_is_none_is_told_what_stands_there(api: httpx2.Client) -> None:
    assert problem(api.delete("/checkpoints/latest"), 404)["hint"] == "Here stands a checkpoint's id in full."


def asked(one: Endpoint) -> str:
    """A path of an endpoint, with names that exist or could."""
    return one.path.replace("{id}", "latest").replace("{digest}", "0" * 64).replace("{method}", "status")


BELOW = [one for one in ENDPOINTS if not one.at_root]
NAMES = [f"{one.method} {one.path}" for one in BELOW]


@pytest.fixture(scope="module")
def tokens(place: House) -> dict[Scope, str]:
    """A token for each scope."""
    return {scope: place.token_for(scope) for scope in Scope}


@pytest.mark.parametrize("one", BELOW, ids=NAMES)
def test_a_token_is_good_for_its_scopes_alone(place: House, tokens: dict[Scope, str], one: Endpoint) -> None:
    for scope, token in tokens.items():
        if one.scope not in granted((scope,)):
            with place.http(token) as client:
                answer = client.request(one.method, asked(one))
            assert problem(answer, 403)["data"] == {"scope": one.scope.value}


def test_what_changes_something_needs_more_than_reading() -> None:
    assert [one.path for one in BELOW if one.method != "GET" and one.scope is Scope.READ and one.listed] == []


def test_made_up_requests_find_no_fault(place: House) -> None:
    """A short run; `python -m tests.api.hostile` is the long one."""
    only = r"^/(checkpoints/\{id\}|operations|plans/\{digest\}|journal|metrics|alerts|status|recovery/cancel)$"
    outcome = attack(place, examples=2, seed=1, phases=("fuzzing",), only=only, token=place.token)
    assert outcome.failures == []
    assert len(outcome.operations) >= 6
    assert not [status for status in outcome.statuses if status >= 500]


def test_the_description_tells_of_every_endpoint_and_every_reference_leads_somewhere(api: httpx2.Client) -> None:
    document = api.get("/openapi.json").json()
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(one.method, one.path) for one in BELOW if one.listed}
    assert ("GET", STREAM) in told
    text = api.get("/openapi.json").text
    for schema in {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert schema in document["components"]["schemas"]
    identities = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(identities) == len(set(identities))


#: Behind the others: who shows wrong tokens in a row is refused for a while whatever comes next.
@pytest.mark.parametrize("one", BELOW, ids=NAMES)
def test_nothing_is_told_or_done_without_a_token(place: House, one: Endpoint) -> None:
    for token in ("", "nonsense", place.token[:-1], place.token + "x"):
        with place.http(token) as client:
            answer = client.request(one.method, asked(one))
        # Wrong tokens in a row are refused without a look at them.
        assert answer.status_code in (401, 429), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
