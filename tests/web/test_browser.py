"""The pages in a real Chromium, on a real control plane: light and dark, wide and narrow, by mouse and by keyboard."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.control.control_plane import Handle, started
from tests.control.world import add_catalog, add_subscription
from tests.support.browser import running_browser

WIDE, NARROW = 1280, 390

_BACKGROUND = """() => {
    const canvas = document.createElement("canvas").getContext("2d");
    canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    with started(Path(tmp_path_factory.mktemp("control"))) as handle:
        handle.write(add_catalog)
        handle.write(add_subscription)
        yield handle


@contextmanager
def page_of(browser: Browser, control: Handle, *, width: int = WIDE, dark: bool = False) -> Iterator[Page]:
    """A page of an operator who is signed in; at the end, what the browser complained of is a failure."""
    context = browser.new_context(
        base_url=control.running.origin,
        color_scheme="dark" if dark else "light",
        viewport={"width": width, "height": 800},
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/login")
    page.fill("#login", "admin")
    secrets = control.running.first_secrets
    assert secrets is not None
    page.fill("#password", secrets.password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/")
    yield page
    context.close()
    assert [text for text in complaints if "422" not in text] == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("path", ["/", "/customers", "/customers/acme"])
def test_a_page_is_styled_fits_its_width_and_follows_the_browsers_colours(
    browser: Browser, control: Handle, *, path: str, width: int, dark: bool
) -> None:
    with page_of(browser, control, width=width, dark=dark) as page:
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        red, green, blue, _ = page.evaluate(_BACKGROUND)
        assert (red + green + blue < 200) is dark


@pytest.mark.parametrize("dark", [False, True])
def test_the_look_inside_the_sandbox_fits_a_small_screen(browser: Browser, control: Handle, *, dark: bool) -> None:
    with page_of(browser, control, width=360, dark=dark) as page:
        for tab in ("Account", "Requests", "Webhooks", "Faults"):
            page.goto("/sandbox/inspect")
            page.get_by_role("navigation", name="Sandbox").get_by_role("link", name=tab).click()
            page.wait_for_load_state()
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            red, green, blue, _ = page.evaluate(_BACKGROUND)
            assert (red + green + blue < 200) is dark
        page.select_option("#answer", "request:failed")
        page.fill("#times", "1")
        page.get_by_role("button", name="Let it fail").click()
        expect(page.get_by_text("0 of 0")).to_be_visible()
        page.get_by_role("button", name="Take back").click()
        expect(page.get_by_text("Everything is answered as it should be.")).to_be_visible()


def test_a_search_changes_the_list_without_loading_the_page_and_stays_in_the_address(
    browser: Browser, control: Handle
) -> None:
    with page_of(browser, control) as page:
        page.goto("/customers")
        page.evaluate("window.kept = true")
        page.get_by_role("searchbox").fill("nobody")
        expect(page.get_by_text("No company has that in its name or id.")).to_be_visible()
        assert page.evaluate("window.kept")
        assert page.url.endswith("/customers?search=nobody")


def test_credit_is_given_on_the_spot_and_a_wrong_amount_is_named_where_it_stands(
    browser: Browser, control: Handle
) -> None:
    with page_of(browser, control) as page:
        page.goto("/customers/acme")
        page.evaluate("window.kept = true")
        page.get_by_label("Amount in USD").fill("-1")
        page.get_by_role("button", name="Give").click()
        expect(page.get_by_text("must be above zero")).to_be_visible()
        page.get_by_label("Amount in USD").fill("2.50")
        page.get_by_label("Description").fill("a present")
        page.get_by_role("button", name="Give").click()
        expect(page.get_by_text("a present")).to_be_visible()
        expect(page.get_by_text("2.50 USD").first).to_be_visible()
        assert page.evaluate("window.kept")
