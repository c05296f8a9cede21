"""Clusters inside sites: what a formula groups by is what a study declares."""

import pytest

from fedglmm_flower.errors import StudyError
from tests.study.conftest import small


@pytest.mark.parametrize(
    ("random", "clusters"),
    [
        ("(1 | hospital)", ()),
        ("(1 | hospital/clinic)", ("clinic",)),
        ("(1 | site/clinic)", ("clinic",)),
        ("(1 | clinic)", ("clinic",)),
        ("(1 | hospital) + (1 | clinic)", ("clinic",)),
        ("(1 | hospital/clinic/ward)", ("clinic", "ward")),
        ("(1 | hospital/clinic/ward)", ("ward", "clinic")),
        ("(1 | hospital) + (0 + x | clinic) + (1 | clinic)", ("clinic",)),
        ("(x || hospital/clinic)", ("clinic",)),
    ],
)
def test_declared_clusters_are_accepted(random, clusters):
    """With or without the site, whatever the site is called."""
    assert small(f"y ~ x + {random}", clusters=clusters).model.random


@pytest.mark.parametrize(
    ("random", "clusters"),
    [
        ("(1 | hospital)", ("clinic",)),
        ("(1 | hospital/clinic)", ()),
        ("(1 | hospital/clinic)", ("ward",)),
        ("(1 | hospital/clinic)", ("clinic", "ward")),
        ("(1 | clinic/ward)", ("clinic",)),
    ],
)
def test_other_clusters_are_refused_with_what_to_write(random, clusters):
    """The officer reads in the study what names will be asked for."""
    with pytest.raises(StudyError, match=r"write clusters = \["):
        small(f"y ~ x + {random}", clusters=clusters).model  # noqa: B018


@pytest.mark.parametrize(
    ("random", "clusters", "where"),
    [
        ("(1 | hospital) + (x | site)", (), "'Intercept' varies by site"),
        ("(1 | hospital:clinic) + (1 | clinic)", ("clinic",), "by clinic"),
        ("(1 | clinic:hospital) + (1 | hospital/clinic)", ("clinic",), "'Intercept'"),
    ],
)
def test_the_same_effect_by_two_names_is_refused(random, clusters, where):
    """A cluster lies in one site, named or not."""
    with pytest.raises(StudyError, match=where):
        small(f"y ~ x + {random}", clusters=clusters).model  # noqa: B018


def test_a_cluster_is_declared_once():
    """Each column has one place in the name of a cluster."""
    with pytest.raises(StudyError, match="declared twice"):
        small("y ~ x + (1 | hospital/clinic)", clusters=("clinic", "clinic"))


def test_clusters_change_the_digest():
    """A site that approves a study approves that its clusters are named."""
    whole = small("y ~ x + (1 | clinic)", site_column="clinic")
    inside = small("y ~ x + (1 | clinic)", clusters=("clinic",))
    orders = {
        small("y ~ x + (1 | site/a/b)", clusters=names).digest
        for names in (("a", "b"), ("b", "a"))
    }

    assert whole.digest != inside.digest
    assert len(orders) == 2


def test_quadrature_takes_one_level_of_clusters():
    """Told before any site is asked."""
    options = {"method": "aghq:5", "clusters": ("clinic",)}
    slopes = "z ~ x + (1 | clinic) + (0 + x | clinic)"

    assert small(slopes, "binomial", **options).model.random
    with pytest.raises(StudyError, match="one level of clusters; use laplace"):
        small("z ~ x + (1 | hospital/clinic)", "binomial", **options).model  # noqa: B018
