"""The page, in a browser: what people see and can do, with no request to elsewhere and no error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.serve.conftest import LATEST, SCRIPT
from tests.serve.test_app import server

WIDE = {"width": 1200, "height": 900}


@pytest.fixture(scope="module")
def address(bundle_path: Path, chromium: str) -> Iterator[str]:
    with server(bundle_path) as (_, address, _):
        yield address


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watch:
    """What a page asked for and complained of."""

    urls: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def page(browser: Browser, address: str, watch: Watch) -> Iterator[Page]:
    page = browser.new_page(viewport=WIDE)
    page.set_default_timeout(10_000)
    page.on("request", lambda request: watch.urls.append(request.url))
    page.on("console", lambda message: watch.errors.append(message.text))
    page.on("pageerror", lambda error: watch.errors.append(str(error)))
    page.goto(address)
    expect(page.locator("#list li")).to_have_count(10)
    yield page
    page.close()
    assert watch.errors == []
    assert all(url.startswith(f"{address}/") for url in watch.urls)


def titles(page: Page, where: str) -> list[str]:
    return page.locator(f"{where} .title").all_inner_texts()


def test_it_opens_with_a_user_and_shows_the_list_and_what_was_liked(page: Page) -> None:
    assert page.get_by_label("User id").input_value() == "1"
    assert page.locator("#size").inner_text() == "25 users · 21 items · 185 events"
    first = page.locator("#list li").first
    assert first.locator(".source").inner_text() == "together"
    assert first.locator(".score").inner_text().endswith("72.00")
    assert first.locator(".id").inner_text() == "id 101"
    assert titles(page, "#history-list") == [f"Item number {item}" for item in range(110, 101, -1)]


def test_a_title_is_text_whatever_it_holds(page: Page) -> None:
    assert titles(page, "#list")[0] == SCRIPT
    assert page.title() == "Serendip"
    assert page.locator("#list script").count() == 0


def test_typing_a_user_and_pressing_enter_shows_ten_rows(page: Page) -> None:
    page.get_by_label("User id").fill("15")
    page.keyboard.press("Enter")
    expect(page.locator("#results-title")).to_have_text("Recommended for user 15")
    expect(page.locator("#list li")).to_have_count(10)
    assert titles(page, "#list")[0] == LATEST
    assert page.url.endswith("#user=15")
    page.reload()
    expect(page.locator("#results-title")).to_have_text("Recommended for user 15")


def test_an_unknown_user_sees_what_is_popular_and_why(page: Page) -> None:
    page.get_by_label("User id").fill("a/b & <i>")
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator("#notes li")).to_have_text(["user_id: 1 not known: 'a/b & <i>'"])
    assert set(page.locator("#list .source").all_inner_texts()) == {"popular"}
    expect(page.locator("#history")).to_be_hidden()


def test_similar_items_come_by_a_click_and_take_the_focus(page: Page) -> None:
    page.locator("#history-list .title").first.click()
    expect(page.locator("#similar-title")).to_have_text("Similar to Item number 110")
    expect(page.locator("#similar-title")).to_be_focused()
    expect(page.locator("#similar-list li")).to_have_count(9)


def test_somebody_new_picks_items_by_keyboard_alone(page: Page) -> None:
    page.get_by_label("A user").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#results-title")).to_have_text("Recommended to someone new")
    page.keyboard.press("Tab")
    page.keyboard.type("cafe mu")
    expect(page.get_by_role("option")).to_have_text([LATEST])
    page.keyboard.press("Enter")
    expect(page.locator("#results-title")).to_have_text("Recommended for what you picked")
    expect(page.locator("#list .source").first).to_have_text("together")
    page.keyboard.type("number 11")
    expect(page.get_by_role("option")).to_have_count(9)
    box = page.get_by_role("combobox")
    page.keyboard.press("ArrowDown")
    assert box.get_attribute("aria-activedescendant") == "option-1"
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox", name="Items found")).to_be_hidden()
    box.fill("")
    page.keyboard.press("Backspace")
    expect(page.locator("#picks li")).to_have_count(0)
    expect(page.locator("#results-title")).to_have_text("Recommended to someone new")


def test_a_pick_can_be_removed_by_its_button(page: Page) -> None:
    page.get_by_text("Someone new", exact=True).click()
    page.get_by_role("combobox").fill("105")
    page.get_by_role("option").first.click()
    page.get_by_role("button", name="Remove Item number 105").click()
    expect(page.locator("#picks li")).to_have_count(0)
    expect(page.get_by_role("combobox")).to_be_focused()


def test_a_server_that_has_gone_is_said_to_be_gone(page: Page, watch: Watch) -> None:
    page.route("**/v1/**", lambda route: route.abort())
    page.get_by_role("button", name="Recommend").click()
    expect(page.get_by_role("status")).to_have_text("The server does not answer. Is it still running?")
    assert all("ERR_FAILED" in error for error in watch.errors)
    watch.errors.clear()


def test_it_fits_a_narrow_screen_in_either_colour(browser: Browser, address: str) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 400, "height": 800}, color_scheme=scheme)
        page.goto(address)
        expect(page.locator("#list li")).to_have_count(10)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        ground, ink = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert contrast(ground, ink) > 7
        grounds.add(ground)
        page.close()
    assert len(grounds) == 2


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two CSS colours."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
