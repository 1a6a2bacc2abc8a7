"""What the server showed, in a file."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from litestar.testing import TestClient

from serendip.bundle import Bundle
from serendip.bundle.shelving import shelved
from serendip.pipeline import in_turn, reranked
from serendip.rerank import Explore
from serendip.serve.app import create_app
from serendip.types import SerendipError


@pytest.fixture
def exploring(bundle: Bundle) -> Bundle:
    pipeline = shelved(reranked(bundle.pipeline, *in_turn([Explore(epsilon=0.5)])), bundle.items, bundle.histories)
    return replace(bundle, pipeline=pipeline)


def client_of(bundle: Bundle, file: Path) -> TestClient:
    return TestClient(create_app(bundle, exposures=file), base_url="http://127.0.0.1")


def ready(client: TestClient) -> None:
    for _ in range(500):
        if client.get("/health/ready").status_code == 200:
            return
        time.sleep(0.01)
    raise AssertionError("the server is not ready")


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_list_is_kept_as_it_was_answered(exploring: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "shown.jsonl"
    with client_of(exploring, file) as client:
        ready(client)
        assert lines(file) == [], "what makes the server ready is shown to nobody"
        replies = [client.post("/v1/recommend", json={"user_id": 1, "k": 3, "explore": True}).json()]
        replies.append(client.post("/v1/recommend", json={"history": [101], "k": 2}).json())
        batch = {"queries": [{"user_id": 2}, {"history": [111]}], "k": 2, "explore": True}
        replies += client.post("/v1/recommend/batch", json=batch).json()["replies"]
    found = lines(file)
    assert [one["user_id"] for one in found] == [1, None, 2, None]
    assert [one["explore"] for one in found] == [True, False, True, True]
    assert [one["items"] for one in found] == [reply["items"] for reply in replies]
    assert [one["recommendation_id"] for one in found] == [reply["recommendation_id"] for reply in replies]
    assert all(0 < item["propensity"] <= 1 for item in found[0]["items"])
    assert all("propensity" not in item for item in found[1]["items"])
    assert file.stat().st_mode & 0o077 == 0


def test_a_line_that_was_cut_off_stays_alone(exploring: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "shown.jsonl"
    file.write_text('{"time": "2026')
    with client_of(exploring, file) as client:
        ready(client)
        client.post("/v1/recommend", json={"user_id": 1, "k": 1})
    first, second = file.read_text().splitlines()
    assert first == '{"time": "2026' and json.loads(second)["user_id"] == 1


def test_a_file_that_cannot_be_written_is_named(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(SerendipError, match=r"Got .*nowhere.*Try another path for --exposures"):
        create_app(bundle, exposures=tmp_path / "nowhere" / "shown.jsonl")


def test_what_was_shown_tells_what_another_policy_would_earn(exploring: Bundle, tmp_path: Path) -> None:
    """Item 111 is liked by everybody, nothing else by anybody: who shows each of 20 items alike earns 1/20."""
    file, chance = tmp_path / "shown.jsonl", 1 / 20
    queries = {"queries": [{"history": [101]}] * 1000, "k": 1, "explore": True}
    with client_of(exploring, file) as client:
        ready(client)
        for _ in range(4):
            client.post("/v1/recommend/batch", json=queries)
    shown = [one["items"][0] for one in lines(file)]
    liked = np.array([item["item_id"] == 111 for item in shown])
    weights = chance / np.array([item["propensity"] for item in shown])
    worth = liked * weights
    error = worth.std() / np.sqrt(len(worth))
    assert abs(worth.mean() - chance) < 4 * error
    assert abs(liked.mean() - chance) > 4 * liked.std() / np.sqrt(len(liked)), "unweighed, the policy's own rate"
