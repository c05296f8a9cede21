"""A headless Chromium that looks at a page; and axe, where it can be had."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

# Smallest contrast of any text with what is behind it, by WCAG 2's formula.
CONTRAST = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const parse = text => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) =>
  0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const behind = node => {
  for (let n = node; n; n = n.parentElement) {
    const found = parse(getComputedStyle(n).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found;
  }
  return [255, 255, 255];
};
let worst = [99, ""];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some(n => n.nodeType == 3 && n.data.trim());
  if (!own || ["TITLE", "DESC"].includes(node.tagName.toUpperCase())) continue;
  const style = getComputedStyle(node);
  const front = parse(node.namespaceURI.endsWith("svg") ? style.fill : style.color);
  const pair = [light(front), light(behind(node))].sort((a, b) => b - a);
  const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
  if (ratio < worst[0]) worst = [ratio, node.outerHTML.slice(0, 80)];
}
return worst;
"""


@contextmanager
def chromium(theme: str, width: int) -> Iterator[Any]:
    """A browser of this width that prefers this theme, and notes every request."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{flag}")
    service = webdriver.ChromeService(executable_path=DRIVER)
    browser = webdriver.Chrome(options=options, service=service)
    try:
        browser.execute_cdp_cmd("Network.enable", {})
        feature = {"name": "prefers-color-scheme", "value": theme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield browser
    finally:
        browser.quit()


def requested(browser: Any) -> list[str]:
    """Addresses that the browser has asked for since it was last asked."""
    found = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"])
    return found


def faultless(browser: Any, page: Path, axe_source: str | None) -> tuple[Any, str]:
    """
    Look at a page for anything that is wrong.

    Returns
    -------
    points : list of int
        Estimates that each figure shows.
    ground : str
        Colour of the page.
    """
    browser.get(page.as_uri())
    asked = [u for u in requested(browser) if not u.startswith("data:")]
    assert asked == [page.as_uri()]
    assert browser.get_log("browser") == []
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('svg')].map("
        "s => [s.getBoundingClientRect().width, "
        "s.getBoundingClientRect().height, s.querySelectorAll('circle').length,"
        "s.getBBox().x, s.getBBox().width])"
    )
    for wide, high, _, left, extent in drawn:
        assert wide > 250
        assert high > 60
        assert left >= -1
        assert left + extent <= 401
    assert browser.execute_script(
        "return document.documentElement.scrollWidth <= innerWidth"
    )
    contrast, where = browser.execute_script(CONTRAST)
    assert contrast >= 4.5, where
    if axe_source is not None:
        browser.execute_script(axe_source)
        found = browser.execute_async_script(
            "axe.run().then(r => arguments[0](r.violations.map("
            "v => v.id + ' ' + v.nodes[0].html)))"
        )
        assert found == []
    ground = browser.execute_script(
        "return getComputedStyle(document.body).backgroundColor"
    )
    return [points for _, _, points, _, _ in drawn], str(ground)


def axe(folder: Path) -> str | None:
    """The source of axe-core, from npm at this moment; None where that fails."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    try:
        subprocess.run(
            [npm, "pack", "axe-core@4", "--silent"],
            cwd=folder,
            capture_output=True,
            check=True,
            timeout=60,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    (archive,) = folder.glob("axe-core-*.tgz")
    with tarfile.open(archive) as packed:
        member = packed.extractfile("package/axe.min.js")
        return None if member is None else member.read().decode()
