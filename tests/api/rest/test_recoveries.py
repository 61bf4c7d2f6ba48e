"""Recoveries over HTTP on a real MAOS: what is planned is what is done, once, whoever asks how often."""

from __future__ import annotations

import json
import socket
import threading

import httpx2

from maos_ckpt.audit.log import AuditLog
from maos_ckpt.errors import NotFoundError
from maos_ckpt.seams import SYSTEM
from tests.api.house import House
from tests.api.rest.test_checkpoints import newest, problem
from tests.engine.support import wait_until
from tests.lab.mutate import mutate
from tests.lab.values import dump_exact

SEEDS = iter(range(100, 1000))


def damaged(place: House, fraction: float = 0.05) -> tuple[str, object, object]:
    """A checkpoint, the state that it holds, and another one that the MAOS has now."""
    saved = place.engine.save().id
    wanted = dump_exact(place.database)
    mutate(place.directory, fraction, seed=next(SEEDS))
    return saved, wanted, dump_exact(place.database)


def test_a_dry_run_changes_nothing_and_its_plan_is_applied_and_undone(place: House, api: httpx2.Client) -> None:
    saved, wanted, spoilt = damaged(place)
    dry = api.post("/recovery", json={"checkpointId": saved, "dryRun": True}).json()
    assert (dry["dryRun"], dry["applied"], dry["success"], dry["errors"]) == (True, False, True, [])
    assert dry["plan"]["summary"]["total"] > 0
    assert dump_exact(place.database) == spoilt
    digest = dry["plan"]["digest"]
    assert api.get(f"/plans/{digest[:12]}").json()["plan"]["digest"] == digest
    done = api.post(f"/plans/{digest}/apply", json={"reason": "a test"}).json()
    assert (done["applied"], done["verified"], done["success"]) == (True, True, True)
    assert done["plan"]["digest"] == digest
    assert dump_exact(place.database) == wanted
    status = api.get("/recovery/status").json()
    assert (status["running"], status["last"]["reason"]) == (None, "a test")
    back = api.post("/recovery/undo", json={"dryRun": True}).json()["plan"]
    assert back["summary"]["total"] == dry["plan"]["summary"]["total"]
    assert api.post(f"/plans/{back['digest']}/apply").json()["verified"]
    assert dump_exact(place.database) == spoilt
    problem(api.post(f"/plans/{digest}/apply"), 409)
    # Both recoveries took a safety checkpoint, which nobody means who asks for the latest one.
    assert api.get("/checkpoints").json()["checkpoints"][0]["trigger"] == "safety"
    assert api.get("/checkpoints/latest").json()["id"] == saved


def test_a_part_is_recovered_alone(place: House, api: httpx2.Client) -> None:
    saved, wanted, _ = damaged(place, 0.3)
    done = api.post("/recovery", json={"checkpointId": saved, "components": ["tasks"], "partial": True}).json()
    assert done["applied"]
    assert set(done["plan"]["byComponent"]) == {"tasks"}
    left = api.get("/diff", params={"before": saved, "limit": 0}).json()["byComponent"]
    assert left.get("tasks", {"modified": 0})["modified"] == 0
    assert sum(one["total"] for one in left.values()) > 0
    assert dump_exact(place.database) != wanted


def test_partial_and_what_is_named_must_agree(place: House, api: httpx2.Client) -> None:
    before = dump_exact(place.database)
    problem(api.post("/recovery", json={"partial": True}), 422)
    problem(api.post("/recovery", json={"partial": False, "components": ["tasks"]}), 422)
    problem(api.post("/recovery", json={"components": ["nonsense"]}), 404)
    assert dump_exact(place.database) == before


def test_a_request_that_says_nothing_recovers_nothing(place: House, api: httpx2.Client) -> None:
    _, _, spoilt = damaged(place)
    for body in (None, {}, {"reason": "oops"}, {"dryRun": False, "limit": 1}):
        refused = problem(api.post("/recovery", json=body), 422)
        assert refused["detail"] == "The body does not say what to recover."
    assert dump_exact(place.database) == spoilt
    assert api.post("/recovery", json={"dryRun": True}).json()["plan"]["summary"]["total"] > 0
    assert api.post("/recovery", json={"components": ["tasks"], "partial": True}).json()["success"]


def test_a_plan_is_applied_once_and_who_asks_again_is_told_so(place: House, api: httpx2.Client) -> None:
    saved, wanted, spoilt = damaged(place)
    digest = api.post("/plans", json={"checkpointId": saved}).json()["plan"]["digest"]
    assert api.post(f"/plans/{digest}/apply").json()["applied"]
    refused = problem(api.post(f"/plans/{digest[:12]}/apply"), 409)
    assert str(refused["detail"]).startswith(f"The plan {digest[:12]}… was applied at 20")
    assert api.post("/recovery/undo").json()["applied"]
    assert dump_exact(place.database) == spoilt
    again = api.post("/plans", json={"checkpointId": saved}).json()["plan"]["digest"]
    assert api.post(f"/plans/{again}/apply").json()["applied"]
    assert dump_exact(place.database) == wanted


def test_a_plan_that_the_live_state_has_overtaken_is_not_applied(place: House, api: httpx2.Client) -> None:
    saved, _, _ = damaged(place)
    digest = api.post("/plans", json={"checkpointId": saved}).json()["plan"]["digest"]
    mutate(place.directory, 0.05, seed=next(SEEDS))
    spoilt = dump_exact(place.database)
    refused = problem(api.post(f"/plans/{digest}/apply"), 409)
    assert refused["kind"] == "plan_moved"
    assert refused["data"]["digest"] != digest  # type: ignore[index]
    refused = problem(api.post("/recovery", json={"checkpointId": saved, "plan": digest}), 409)
    assert refused["kept"] == "Nothing live was changed."
    assert dump_exact(place.database) == spoilt


def test_of_two_recoveries_at_once_one_is_refused(place: House) -> None:
    saved, wanted, _ = damaged(place)
    together = threading.Barrier(2)
    answers: list[httpx2.Response] = []

    def recover() -> None:
        with place.http() as client:
            together.wait()
            answers.append(client.post("/recovery", json={"checkpointId": saved}))

    threads = [threading.Thread(target=recover) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(one.status_code for one in answers) == [200, 409]
    refused = next(one for one in answers if one.status_code == 409)
    assert problem(refused, 409)["kind"] == "recovery_running"
    assert dump_exact(place.database) == wanted


def test_a_request_that_is_repeated_with_its_key_is_carried_out_once(place: House, api: httpx2.Client) -> None:
    before = len(place.engine.checkpoints())
    key = {"idempotency-key": "save-1"}
    first = api.post("/checkpoints", json={"description": "once"}, headers=key)
    again = api.post("/checkpoints", json={"description": "once"}, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert len(place.engine.checkpoints()) == before + 1
    problem(api.post("/checkpoints", json={"description": "another"}, headers=key), 422)
    problem(api.post("/checkpoints", headers={"idempotency-key": "with space"}), 400)
    assert len(place.engine.checkpoints()) == before + 1


def test_requests_with_one_key_at_the_same_time_are_one(place: House) -> None:
    before = len(place.engine.checkpoints())
    together = threading.Barrier(5)
    bodies: list[bytes] = []

    def save() -> None:
        with place.http() as client:
            together.wait()
            bodies.append(client.post("/checkpoints", headers={"idempotency-key": "five"}).content)

    threads = [threading.Thread(target=save) for _ in range(5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(bodies) == 5
    assert len(set(bodies)) == 1
    assert len(place.engine.checkpoints()) == before + 1


def test_a_key_is_free_again_after_a_failure(place: House, api: httpx2.Client) -> None:
    key = {"idempotency-key": "verify-later"}
    problem(api.post("/checkpoints/latest~999999/validate", headers=key), 404)
    assert api.post("/checkpoints/latest/validate", headers=key).status_code == 200


def test_who_does_not_wait_asks_later(place: House, api: httpx2.Client) -> None:
    begun = api.post("/checkpoints", json={"description": "later"}, headers={"prefer": "respond-async"})
    assert begun.status_code == 202
    path = begun.headers["location"].removeprefix("/api/checkpoint")
    wait_until(lambda: api.get(path).json()["state"] != "running", "the save")
    found = api.get(path).json()
    assert (found["state"], found["operation"], found["result"]["description"]) == ("succeeded", "save", "later")
    assert found["id"] in [one["id"] for one in api.get("/operations").json()["operations"]]
    failed = api.post("/checkpoints/latest~999999/validate", headers={"prefer": "respond-async"})
    path = failed.headers["location"].removeprefix("/api/checkpoint")
    wait_until(lambda: api.get(path).json()["state"] != "running", "the failure")
    assert api.get(path).json()["result"]["status"] == 404
    problem(api.get("/operations/op_0123456789abcdef"), 404)


def leave_at_once(place: House, path: str, body: dict[str, object], key: str) -> None:
    """Send a request, and go before it is answered."""
    url = httpx2.URL(place.url)
    raw = json.dumps(body).encode()
    head = (
        f"POST {url.path}{path} HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {place.token}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(head.encode() + raw)
        # The engine has it once it says that something runs.
        wait_until(lambda: place.engine.status().running is not None, "the request to arrive")


def test_a_recovery_whose_client_goes_away_is_finished_and_its_answer_kept(place: House, api: httpx2.Client) -> None:
    saved, wanted, _ = damaged(place)
    body: dict[str, object] = {"checkpointId": saved, "reason": "gone"}
    leave_at_once(place, "/recovery", body, "gone-1")
    answer = api.post("/recovery", json=body, headers={"idempotency-key": "gone-1"})
    assert (answer.status_code, answer.headers["idempotency-replayed"]) == (200, "true")
    assert (answer.json()["applied"], answer.json()["verified"]) == (True, True)
    assert dump_exact(place.database) == wanted
    done = [fields for name, fields in place.engine.recent_events() if name == "RecoveryCompleted"]
    assert [one["reason"] for one in done].count("gone") == 1
    acts = AuditLog(place.workspace.repository, SYSTEM).newest_first()
    # A run is somebody's, though it has a thread of its own.
    assert next(one for one in acts if one.reason == "gone").who.via.endswith("(tests)")


def test_a_client_that_goes_in_the_middle_of_its_body_changes_nothing(place: House, api: httpx2.Client) -> None:
    before, found = dump_exact(place.database), [one.id for one in place.engine.checkpoints()]
    url = httpx2.URL(place.url)
    for path in ("/recovery", "/checkpoints", "/plans"):
        with socket.create_connection((url.host, url.port or 80)) as connection:
            head = (
                f"POST {url.path}{path} HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {place.token}\r\n"
                f'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"limit":'
            )
            connection.sendall(head.encode())
    assert api.get("/operations/current").json() == {"operation": None}
    assert dump_exact(place.database) == before
    assert [one.id for one in place.engine.checkpoints()] == found


def test_a_drill_is_held_and_its_report_found(place: House, api: httpx2.Client) -> None:
    made = api.post("/drills", json={"scenarios": ["full-loss"], "reason": "the API's test"})
    assert made.status_code == 201
    report = made.json()
    assert (report["passed"], report["failed"]) == (True, [])
    assert api.get(made.headers["location"].removeprefix("/api/checkpoint")).json() == report
    assert report["id"] in [one["id"] for one in api.get("/drills").json()["reports"]]
    problem(api.post("/drills", json={"scenarios": ["end-of-the-world"]}), 422)


def test_nothing_is_cancelled_where_nothing_runs(api: httpx2.Client) -> None:
    assert api.post("/recovery/cancel").json() == {"cancelled": False}


def test_plans_are_listed_and_forgotten(place: House, api: httpx2.Client) -> None:
    made = api.post("/plans", json={"kind": "recovery", "checkpointId": newest(place), "agents": []})
    assert made.status_code == 201
    path = made.headers["location"].removeprefix("/api/checkpoint")
    digest = path.rpartition("/")[2]
    assert digest in [one["digest"] for one in api.get("/plans").json()["plans"]]
    assert api.delete(path).json() == {"digest": digest, "deleted": True}
    problem(api.get(path), 404)
    problem(api.post("/plans", json={"kind": "rescue", "components": ["tasks"]}), 422)


def test_an_unknown_checkpoint_is_no_plan(api: httpx2.Client, place: House) -> None:
    unknown = api.post("/plans", json={"checkpointId": "cp_000000000000000"})
    assert problem(unknown, 404)["kind"] == NotFoundError.kind
