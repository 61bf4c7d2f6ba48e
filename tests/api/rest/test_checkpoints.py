"""Checkpoints and what they hold, over HTTP, from a real engine."""

from __future__ import annotations

import io
import json
import re
import tarfile
import threading

import httpx2
import pytest

from maos_ckpt.api.downloads import DIRECTORY, DOWNLOADS_MAX
from tests.api.house import House
from tests.engine.support import wait_until
from tests.lab.mutate import mutate

IDENTITY = re.compile("cp_[0-9a-z]{15}")


def newest(place: House) -> str:
    return place.engine.checkpoint("latest").id


def problem(answer: httpx2.Response, status: int) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, object] = answer.json()
    assert found["status"] == status
    return found


def test_a_checkpoint_is_taken_listed_shown_and_found_where_it_says(place: House, api: httpx2.Client) -> None:
    made = api.post("/checkpoints", json={"description": "before the release", "tags": ["of this test alone"]})
    assert made.status_code == 201
    saved = made.json()
    assert IDENTITY.fullmatch(saved["id"])
    assert (saved["description"], saved["tags"], saved["trigger"]) == (
        "before the release",
        ["of this test alone"],
        "api",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", saved["createdAt"])
    assert {one["name"] for one in saved["components"]} >= {"agents", "tasks", "memory", "queue", "system"}
    assert len(saved["integrity"]["digest"]) == 128
    assert api.get(made.headers["location"].removeprefix("/api/checkpoint")).json() == saved
    listed = api.get("/checkpoints", params={"tag": "of this test alone"}).json()
    assert [one["id"] for one in listed["checkpoints"]] == [saved["id"]]
    assert listed["total"] == 1


def test_pages_lead_through_the_whole_list(place: House, api: httpx2.Client) -> None:
    while len(place.engine.checkpoints()) < 4:
        api.post("/checkpoints")
    wanted = [one.id for one in place.engine.checkpoints()]
    found, address = [], "/checkpoints?limit=3"
    while address:
        page = api.get(address)
        found += [one["id"] for one in page.json()["checkpoints"]]
        following = re.search(r'<([^>]*)>; rel="next"', page.headers["link"])
        address = following[1].removeprefix("/api/checkpoint") if following else ""
    assert found == wanted
    beyond = api.get("/checkpoints?limit=3&offset=1000")
    assert beyond.json()["checkpoints"] == []
    before = re.search(r'<([^>]*)>; rel="prev"', beyond.headers["link"])
    assert before is not None
    assert api.get(before[1].removeprefix("/api/checkpoint")).json()["checkpoints"]


def test_what_one_has_already_is_not_sent_again(place: House, api: httpx2.Client) -> None:
    path = f"/checkpoints/{newest(place)}"
    first = api.get(path)
    again = api.get(path, headers={"if-none-match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert api.get(path, headers={"if-none-match": '"other"'}).status_code == 200


def test_marks_change_only_what_the_caller_saw(place: House, api: httpx2.Client) -> None:
    path = f"/checkpoints/{newest(place)}"
    seen = api.get(path).headers["etag"]
    changed = api.patch(path, json={"pinned": True, "addTags": ["keep"]}, headers={"if-match": seen})
    assert (changed.json()["pinned"], changed.json()["tags"][-1:]) == (True, ["keep"])
    late = api.patch(path, json={"pinned": False}, headers={"if-match": seen})
    assert problem(late, 412)["kept"] == "Nothing was changed."
    assert problem(api.delete(path, headers={"if-match": seen}), 412)
    assert "pinned" in str(problem(api.delete(path), 409)["detail"])
    assert api.patch(path, json={"pinned": False, "removeTags": ["keep"]}).json()["pinned"] is False
    assert problem(api.patch(path, json={}), 422)


def test_a_checkpoint_is_removed_by_its_whole_id_alone(place: House, api: httpx2.Client) -> None:
    identity = api.post("/checkpoints").json()["id"]
    for name in ("latest", identity[:-1], identity.upper()):
        problem(api.delete(f"/checkpoints/{name}"), 404)
    assert api.get(f"/checkpoints/{identity}").status_code == 200
    assert api.delete(f"/checkpoints/{identity}").json() == {"id": identity, "deleted": True}
    problem(api.get(f"/checkpoints/{identity}"), 404)


def test_validating_says_what_was_read(place: House, api: httpx2.Client) -> None:
    found = api.post("/checkpoints/latest/validate", json={"level": "full"}).json()
    assert (found["valid"], found["ok"], found["level"], found["findings"]) == (True, True, "full", [])
    assert found["bytes"] > 0


def test_records_come_page_by_page_each_once_with_typed_values(place: House, api: httpx2.Client) -> None:
    identity = newest(place)
    found, address = [], f"/checkpoints/{identity}/records?limit=100"
    while address:
        page = api.get(address)
        found += page.json()["records"]
        following = re.search(r'<([^>]*)>; rel="next"', page.headers.get("link", ""))
        address = following[1].removeprefix("/api/checkpoint") if following else ""
    assert len(found) == place.engine.checkpoint(identity).records
    assert len({(one["component"], one["collection"], one["key"]) for one in found}) == len(found)
    agent = next(one for one in found if one["collection"] == "agents")
    assert agent["values"]["id"] == agent["key"]
    only = api.get(f"/checkpoints/{identity}/records", params={"record": f"agents/agents/{agent['key']}"}).json()
    assert only["records"] == [agent]
    assert only["next"] == ""
    live = api.get("/checkpoints/live/records", params={"record": f"agents/agents/{agent['key']}", "clip": 3}).json()
    assert live["checkpoint"] == "live"
    assert live["records"][0]["values"]["id"] == {
        "$clipped": agent["key"][:3],
        "of": "text",
        "length": len(agent["key"]),
    }
    problem(api.get(f"/checkpoints/{identity}/records", params={"after": "bm9uc2Vuc2U"}), 422)
    problem(api.get(f"/checkpoints/{identity}/records", params={"component": "agnets"}), 404)


def test_differences_histories_and_texts_are_found(place: House, api: httpx2.Client) -> None:
    before = newest(place)
    changed = mutate(place.directory, 0.05, seed=7)
    found = api.get("/diff", params={"before": before}).json()
    assert found["after"] == "live"
    assert found["summary"]["total"] >= sum(map(len, changed.values()))
    one = next(one for one in found["changes"] if one["kind"] == "modified")
    assert one["fields"][0]["before"] != one["fields"][0]["after"]
    after = api.post("/checkpoints").json()["id"]
    path = f"{one['component']}/{one['collection']}/{one['key']}"
    versions = api.get("/history", params={"key": path}).json()["versions"]
    assert (versions[0]["kind"], versions[-1]["kind"]) == ("added", "modified")
    assert versions[-1]["checkpoint"] == after
    agent = api.get(f"/checkpoints/{after}/records", params={"component": "agents"}).json()["records"][0]["key"]
    matches = api.get("/find", params={"text": agent, "limit": 5}).json()["matches"]
    assert {(one["gone"], one["goneAt"]) for one in matches} == {(None, None)}
    assert any(match["key"] == agent for match in matches)
    assert api.get("/recommendation").json()["lookedAt"] >= 1


def test_an_export_is_an_archive_of_all_records_and_leaves_nothing_behind(place: House, api: httpx2.Client) -> None:
    identity = newest(place)
    answer = api.get(f"/checkpoints/{identity}/export")
    assert len(answer.content) == int(answer.headers["content-length"])
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        about = json.load(archive.extractfile(f"{identity}/checkpoint.json"))  # type: ignore[arg-type]
        lines = 0
        for one in about["files"]:
            content = archive.extractfile(f"{identity}/{one['path']}").read()  # type: ignore[union-attr]
            lines += len(content.splitlines())
            assert len(content.splitlines()) == one["records"]
    assert lines == place.engine.checkpoint(identity).records
    wait_until(lambda: not list((place.workspace.repository / DIRECTORY).iterdir()), "the export to go")


def test_a_download_that_is_given_up_frees_its_room(place: House, api: httpx2.Client) -> None:
    for _ in range(DOWNLOADS_MAX + 1):
        with api.stream("GET", "/checkpoints/latest/export") as answer:
            assert answer.status_code == 200
            next(answer.iter_raw(1))
    wait_until(lambda: not list((place.workspace.repository / DIRECTORY).iterdir()), "the exports to go")


def test_downloads_beyond_those_that_fit_are_refused(place: House) -> None:
    statuses: list[int] = []

    def download() -> None:
        with place.http() as client:
            statuses.append(client.get("/checkpoints/latest/export").status_code)

    threads = [threading.Thread(target=download) for _ in range(DOWNLOADS_MAX + 3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert set(statuses) == {200, 503}


@pytest.mark.parametrize(
    "path", ["/status", "/tiers", "/drills", "/operations", "/operations/current", "/journal", "/health", "/processes"]
)
def test_the_engine_tells_how_it_is(api: httpx2.Client, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 200
    assert answer.json()


def test_head_answers_as_get_without_the_body(place: House, api: httpx2.Client) -> None:
    for path in ("/checkpoints", "/checkpoints/latest/export", "/events"):
        answer = api.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
