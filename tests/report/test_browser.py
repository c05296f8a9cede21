"""The page in a real browser: silent, whole, readable, in both themes and sizes."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from examples.exposure import falls
from examples.noise import readmission
from examples.slopes import recovery
from fedglmm_flower import simulate
from fedglmm_flower.report import rendered
from tests.reference.rows import load
from tests.report.browser import CHROMIUM, DRIVER, axe, chromium, faultless
from tests.report.results import full_result

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER and find_spec("selenium")),
        reason="needs Chromium, its driver and selenium",
    ),
]
EVIL = (
    "<img src='http://127.0.0.1:9/x' onerror=alert(1)></svg><script>alert(1)</script>"
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """A plain page, one of hostile names, and one of a very long name."""
    folder = tmp_path_factory.mktemp("pages")
    names = {"plain": "west", "evil": EVIL, "long": "w" * 200}
    found = {}
    for key, name in names.items():
        found[key] = folder / f"{key}.html"
        text = rendered(full_result(name), "html")
        found[key].write_text(text, encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def axe_source(tmp_path_factory) -> str | None:
    """axe-core, or None."""
    return axe(tmp_path_factory.mktemp("axe"))


@pytest.fixture(scope="module")
def example_pages(tmp_path_factory) -> list[Path]:
    """The report of every example."""
    folder = tmp_path_factory.mktemp("examples")
    for example in (falls, recovery, readmission):
        example.run(folder / example.__name__)
    quick = simulate(
        load("gusto")[1],
        "day30 ~ age10 + sysbp10 + pulse10 + hf + pmi + (1 | grpl)",
        "binomial",
        order=2,
        compare_pooled=True,
    )
    (folder / "gusto").mkdir()
    (folder / "gusto" / "report.html").write_text(quick.report(), encoding="utf-8")
    return sorted(folder.glob("*/report.html"))


@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_in_a_browser(pages, axe_source, theme, width):
    """No message, no request, all figures, no sideways scrolling, enough contrast."""
    grounds = set()
    with chromium(theme, width) as browser:
        for page in pages.values():
            points, ground = faultless(browser, page, axe_source)

            assert points == [2, 2]
            grounds.add(ground)
    assert len(grounds) == 1
    assert (grounds == {"rgb(255, 255, 255)"}) is (theme == "light")


@pytest.mark.lengthy
@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_reports_of_the_examples_in_a_browser(
    example_pages, axe_source, theme, width
):
    """Without a fault, and with a point for every effect."""
    found = {}
    with chromium(theme, width) as browser:
        for page in example_pages:
            found[page.parent.name], _ = faultless(browser, page, axe_source)

    assert found == {
        "examples.exposure.falls": [2, 12],
        "examples.noise.readmission": [2, 10],
        "examples.slopes.recovery": [2, 15, 15],
        "gusto": [5, 48],
    }


def test_a_page_can_be_read_with_the_keyboard(pages):
    """The first stop skips the contents, and every wide table can be reached."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    with chromium("light", 360) as browser:
        browser.get(pages["plain"].as_uri())
        stops = []
        body = browser.find_element(By.TAG_NAME, "body")
        for _ in range(40):
            body.send_keys(Keys.TAB)
            stop = browser.switch_to.active_element
            stops.append(stop.get_attribute("class") or stop.get_attribute("href"))
        tables = len(browser.find_elements(By.TAG_NAME, "table"))
        assert stops[0] == "skip"
        assert stops.count("scroll") >= tables


def test_a_page_prints(pages, tmp_path):
    """On white, without the contents, as a PDF of a few sheets."""
    import base64

    with chromium("dark", 1200) as browser:
        browser.get(pages["plain"].as_uri())
        sheet = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
        media = {"media": "print", "features": []}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        hidden, ground = browser.execute_script(
            "return [getComputedStyle(document.querySelector('nav')).display,"
            "getComputedStyle(document.body).backgroundColor]"
        )
    pdf = base64.b64decode(sheet["data"])

    assert pdf.startswith(b"%PDF")
    assert 1 <= pdf.count(b"/Type /Page\n") <= 6
    assert (hidden, ground) == ("none", "rgb(255, 255, 255)")
