"""The page's files."""

from __future__ import annotations

import re

import pytest
from litestar.testing import TestClient

from serendip.serve import static


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript"), ("/icon.svg", "image/svg+xml")],
)
def test_files_are_served_with_their_kind(client: TestClient, path: str, kind: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 200 and reply.content
    assert reply.headers["content-type"].split(";")[0] == kind
    assert path in static.ROUTES


def test_the_page_refers_to_its_own_files_only_and_has_nothing_inline(client: TestClient) -> None:
    text = client.get("/").text
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert links and all(client.get(link).status_code == 200 for link in links)
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", text)
    for name in ("/page.css", "/page.js"):
        assert not re.search(r"https?://|innerHTML|@import|eval\(", client.get(name).text)
