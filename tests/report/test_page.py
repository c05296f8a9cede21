"""The page of a result: whole, in reading order, alone, and safe to open."""

import json
import re
from html.parser import HTMLParser

import pytest

from fedglmm_flower.errors import DataError, UsageError
from fedglmm_flower.report import FORMS, Result, rendered
from tests.report.results import fixed, full_result, site

EVIL = (
    "</title></script><script>alert(1)</script><img src=x onerror='alert(1)'>\"&{{7*7}}"
)
VOID = {"meta", "link", "br"}


class Elements(HTMLParser):
    """Tags with their attributes in order, and whether they close as they open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def tags(self) -> list[str]:
        """Names alone."""
        return [tag for tag, _ in self.found]


def test_the_page_says_first_what_must_be_read_first():
    """Verdict, warnings and refusals stand before any estimate."""
    page = rendered(full_result(), "html")
    order = ["1 warning to read first", "look at west", "disclosure-refused", "<svg"]
    places = [page.index(text) for text in order]

    assert places == sorted(places)


def test_the_page_has_every_part():
    """Estimates as ratios, pooled reference, effects, variances, noise, provenance."""
    page = rendered(full_result(), "html")
    for text in (
        "Odds ratio", "1.649 (1.35 to 2.014)", "fit of the pooled rows", "-1.26",
        "Intraclass correlation", "R² marginal", "zero_out", "1e-06", "0.02",
        "--seed 7", "fedglmm coordinator refit RUN", "y ~ x + g + (1 | site)",
        "Shift from the order below", "Effects of site on Intercept", "logit P(y)",
    ):  # fmt: skip
        assert text in page, text
    assert Elements(page).tags().count("svg") == 2


def test_the_page_for_paper_is_light_and_without_contents():
    """The same parts on sheets, whatever theme the reader has."""
    page, sheets = (rendered(full_result(), form) for form in ("html", "pdf-ready"))

    assert "prefers-color-scheme: dark" in page
    assert "prefers-color-scheme" not in sheets
    assert "size: A4" in sheets
    assert "<nav" not in sheets
    body = sheets.partition("<main")[2]
    assert body == page.partition("<main")[2]


def test_the_noise_is_told_in_words():
    """No key of result.json, and by how much each standard error grew."""
    result = full_result()
    result["privacy"] |= {
        "intervals_include_noise": True, "bootstrap_draws": None,
        "se_inflation": {"x": 1.25},
    }  # fmt: skip
    page = rendered(result, "html")

    assert "Standard error of x" in page
    assert "1.25 times as wide" in page
    assert "Budget left" in page
    assert "Intervals hold the noise" in page
    assert "bootstrap" not in page


def test_sites_stand_in_the_order_in_which_people_count():
    """2 before 10, as the levels of effects do."""
    result = full_result()
    result["sites"] = [site(name) for name in ("1", "10", "2")]
    rows = re.findall(r'<th scope="row"><bdi>(\d+)</bdi>', rendered(result, "html"))

    assert rows == ["1", "2", "10"]


def test_no_name_becomes_markup():
    """The page has the same elements whatever a site, level or study is called."""
    plain = Elements(rendered(full_result(), "html"))
    evil = Elements(rendered(full_result(EVIL), "html"))

    assert evil.tags() == plain.tags()
    assert EVIL in "".join(evil.text)
    names = {key for _, attributes in evil.found for key in attributes}
    assert not {key for key in names if key.startswith("on")}


def test_no_name_becomes_markup_in_markdown():
    """Nor a row, a cell, a heading or HTML of the Markdown form."""
    evil = rendered(full_result("a|b\n# <b>*x*"), "md")
    plain = rendered(full_result(), "md")

    assert "<b>" not in evil.replace("\\<b\\>", "")
    assert len(evil.splitlines()) == len(plain.splitlines())


def test_the_page_asks_for_nothing():
    """No script, no address, and a policy that would stop either."""
    elements = Elements(rendered(full_result(), "html"))
    links = [
        str(attributes.get("src") or attributes.get("href"))
        for _, attributes in elements.found
        if {"src", "href"} & set(attributes)
    ]

    assert "script" not in elements.tags()
    assert all(link.startswith(("#", "data:")) for link in links)
    policies = [a["content"] for t, a in elements.found if a.get("http-equiv")]
    assert str(policies[0]).startswith("default-src 'none'")
    assert "url(" not in rendered(full_result(), "html")


def test_everybody_can_read_the_page():
    """Language, landmarks, headings in order, captions, scopes, texts for figures."""
    elements = Elements(rendered(full_result(), "html"))
    tags = elements.tags()
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    ids = [a["id"] for _, a in elements.found if "id" in a]

    assert dict(elements.found)["html"] == {"lang": "en"}
    assert [tags.count(t) for t in ("main", "header", "nav", "footer")] == [1] * 4
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    assert tags.count("caption") == tags.count("table") > 5
    assert all("scope" in a for tag, a in elements.found if tag == "th")
    assert len(ids) == len(set(ids))
    for tag, attributes in elements.found:
        for key in str(attributes.get("aria-labelledby", "")).split():
            assert key in ids
        if tag == "svg":
            assert attributes["role"] == "img"
        if tag == "a":
            assert str(attributes["href"])[1:] in ids


@pytest.mark.parametrize("form", FORMS)
def test_a_result_with_little_in_it_is_shown(form):
    """No random part, no rows told, nothing judged, not converged, no pooled fit."""
    result = full_result()
    result |= {
        "family": "gaussian", "link": "identity", "method": "ml", "random": [],
        "ranef": [], "icc": None, "pooled": None, "privacy": None, "n_rows": None,
        "fixed": [fixed("Intercept", 2.0)], "residual_sd": 1.0, "converged": False,
    }  # fmt: skip
    del result["diagnostics"]["r2"]
    result["diagnostics"] |= {"order_shift": [], "seed_spread": [], "eta_range": None}
    result["sites"][0]["n_rows"] = None

    text = rendered(result, form)

    assert text
    if form in ("html", "md"):
        assert "do not use the estimates" in text


def test_the_forms_of_a_result():
    """JSON is the result itself; another word is refused; half a result is."""
    result = full_result()

    assert json.loads(rendered(result, "json")) == result
    with pytest.raises(UsageError, match=r"one of html, md, txt, json, pdf-ready is"):
        rendered(result, "pdf")
    for form in ("html", "md", "txt", "pdf-ready"):
        with pytest.raises(DataError, match="a whole result of this version"):
            rendered({"format": 1, "study": {"formula": "y ~ x"}}, form)


def test_a_result_as_tables():
    """Each part under the names of result.json."""
    result = Result(full_result())

    assert result.to_frame().loc["x", "estimate"] == 0.5
    assert result.to_frame("random")["sd"].tolist() == [0.3]
    assert list(result.to_frame("ranef").index.names) == ["group", "term", "level"]
    assert result.to_frame("sites").loc["north", "code"] == "disclosure-refused"
    assert Result({**full_result(), "ranef": []}).to_frame("ranef").empty
    with pytest.raises(UsageError, match="one of fixed, random, ranef, sites"):
        result.to_frame("rows")  # type: ignore[arg-type]


def test_a_notebook_shows_a_result():
    """A part of a page, escaped as the page is."""
    shown = Result(full_result(EVIL))._repr_html_()

    assert Elements(shown).tags()[0] == "div"
    assert "<script" not in shown
    assert Result(full_result()).summary().startswith("Generalized linear mixed model")


def test_figures_in_python():
    """One line for each effect, at the place that it has in the result."""
    plt = pytest.importorskip("matplotlib.pyplot")
    result = Result(full_result())
    ax = result.plot_forest()
    names = [text.get_text() for text in ax.get_yticklabels()]

    assert names == ["g[T.b]", "x"]
    assert ax.get_xlabel() == "Odds ratio, logarithmic scale"
    ax = result.plot_ranef("site", "Intercept", plt.subplots()[1])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["east", "west"]
    with pytest.raises(UsageError, match="no effects of site on x"):
        result.plot_ranef("site", "x")
    with pytest.raises(UsageError, match="no fixed effect"):
        Result({**full_result(), "fixed": [fixed("Intercept", 1.0)]}).plot_forest()
    plt.close("all")
