"""Items that are put in and taken out over HTTP, and those that another process changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from serendip.bundle import Bundle
from serendip.catalogue import Catalogue, beside
from serendip.serve.app import create_app
from serendip.serve.openapi import document
from tests.serve.conftest import ready_client
from tests.serve.test_openapi import DOCUMENT, validate


@pytest.fixture
def live(bundle: Bundle, tmp_path: Path) -> Iterator[TestClient[Any]]:
    yield from ready_client(bundle, live=tmp_path / "live")


def shown(client: TestClient[Any], **asked: Any) -> list[Any]:
    return [item["item_id"] for item in client.post("/v1/recommend", json=asked).json()["items"]]


def test_an_item_that_is_put_in_is_found_and_one_that_is_taken_out_is_not(live: TestClient[Any]) -> None:
    schemas = DOCUMENT["paths"]["/v1/items"]
    reply = live.put(
        "/v1/items", json={"items": [{"item_id": 900, "title": "Quite new"}, {"item_id": 121, "title": "x"}]}
    )
    assert reply.status_code == 200
    validate(schemas["put"]["responses"]["200"]["content"]["application/json"]["schema"], reply.json())
    said = "together knows nothing of 1 of the items that came, and leaves them to others"
    assert reply.json() == {"sequence": 1, "items": 22, "notes": [said]}
    assert shown(live, filter='title == "Quite new"') == [900]
    assert live.get("/v1/items?search=quite").json()["items"] == [{"item_id": 900, "title": "Quite new"}]
    assert live.get("/v1/bundle").json()["live"] == 1
    reply = live.delete("/v1/items?item_id=115")
    validate(schemas["delete"]["responses"]["200"]["content"]["application/json"]["schema"], reply.json())
    assert (reply.json()["sequence"], reply.json()["items"]) == (2, 21)
    assert 115 not in shown(live, user_id="new", k=50)
    assert 115 not in [item["item_id"] for item in live.post("/v1/similar", json={"item_id": 116}).json()["items"]]
    assert live.get("/v1/items?search=115").json()["items"] == []
    assert live.post("/v1/similar", json={"item_id": 115}).status_code == 404


def test_what_was_taken_out_can_still_be_asked_about(live: TestClient[Any]) -> None:
    live.delete("/v1/items?item_id=115")
    why = live.post("/v1/explain", json={"user_id": 1, "item_id": 115})
    assert why.status_code == 200 and why.json()["verdict"] == "deleted"
    assert "it was deleted from the live catalogue" in why.json()["said"]
    asked = live.post("/v1/onboard", json={"k": 50, "liked": [115]})
    assert asked.status_code == 200 and 115 not in [one["item_id"] for one in asked.json()["questions"]]
    assert live.post("/v1/explain", json={"user_id": 1, "item_id": 999}).status_code == 404


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"item_id": 1, "title": "a"}, {"item_id": "1"}], "Every item must be given once. Got 1"),
        ([{"title": "a"}], "must have an item_id"),
        ([{"item_id": 1, "prize": 3}], "Got 'prize'"),
        ([{"item_id": 1, "title": 3}], "'title' must be String. Got 3"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changes(live: TestClient[Any], rows: Any, said: str) -> None:
    reply = live.put("/v1/items", json={"items": rows})
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "invalid_items")
    assert said in reply.json()["error"]["message"]
    assert live.get("/v1/bundle").json()["live"] == 0


def test_the_unknown_cannot_be_taken_out(live: TestClient[Any]) -> None:
    for path, status, code in (
        ("?item_id=999", 404, "unknown_item"),
        ("", 422, "missing_field"),
        ("?item=1", 422, "unknown_field"),
    ):
        reply = live.delete(f"/v1/items{path}")
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def test_a_server_that_was_not_told_so_changes_nothing(client: TestClient[Any]) -> None:
    for reply in (client.put("/v1/items", json={"items": [{"item_id": 1}]}), client.delete("/v1/items?item_id=101")):
        assert (reply.status_code, reply.json()["error"]["code"]) == (501, "not_supported")
    assert client.get("/v1/bundle").json()["live"] is None
    assert b"/v1/items" in document()


def test_what_others_change_is_followed(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serendip.serve.app.FOLLOW_SECONDS", 0.02)
    path = bundle.save(tmp_path / "bundle")
    other = Catalogue.open(bundle, beside(path))
    other.delete([115])
    with TestClient(create_app(path), base_url="http://127.0.0.1") as client:
        seen = []
        for _ in range(300):
            time.sleep(0.02)
            if client.get("/health/ready").status_code != 200:
                continue
            seen.append(client.get("/v1/bundle").json()["live"])
            if len(seen) == 1:
                assert 115 not in shown(client, k=30)
                other.delete([116])
            if seen[-1] == 2:
                break
        assert (seen[0], seen[-1]) == (1, 2)
        assert 116 not in shown(client, k=30)
        assert client.put("/v1/items", json={"items": [{"item_id": 1}]}).status_code == 501


def test_live_items_that_begin_while_it_answers_are_followed(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serendip.serve.app.FOLLOW_SECONDS", 0.02)
    path = bundle.save(tmp_path / "bundle")
    with TestClient(create_app(path), base_url="http://127.0.0.1") as client:
        while client.get("/health/ready").status_code != 200:
            time.sleep(0.02)
        assert client.get("/v1/bundle").json()["live"] is None and 115 in shown(client, k=30)
        assert not beside(path).exists()
        Catalogue.open(bundle, beside(path)).delete([115])
        for _ in range(300):
            if client.get("/v1/bundle").json()["live"] == 1:
                break
            time.sleep(0.02)
        assert 115 not in shown(client, k=30)


def test_questions_follow_the_answers(client: TestClient[Any]) -> None:
    """Two groups of users: who likes an item of one is asked about others than who does not know it."""
    first = client.post("/v1/onboard", json={"k": 2}).json()["questions"]
    assert [one["rank"] for one in first] == [1, 2]
    item = first[0]["item_id"]
    yes, no = (
        client.post("/v1/onboard", json={"k": 3, name: [item]}).json()["questions"] for name in ("liked", "not_known")
    )
    assert item not in [one["item_id"] for one in yes + no]
    assert [one["known"] for one in yes] != [one["known"] for one in no]
    short = client.post("/v1/onboard", json={"k": 5, "filter": "item_id < 103"}).json()
    assert len(short["questions"]) == 2
    assert short["notes"] == ["2 of 5 questions: there is no other item that may be asked about"]
    for body, status in (({"liked": [999]}, 404), ({"liked": [101], "not_liked": [101]}, 422), ({"k": 0}, 422)):
        assert client.post("/v1/onboard", json=body).status_code == status
