"""Clusters of all sites: their labels in every group, and whose they are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fedglmm_flower.coordinator.blocks import (
    block_numbers,
    columns_of,
    labels_of,
    require_clusters,
    site_of_levels,
)
from fedglmm_flower.coordinator.opening import open_releases
from fedglmm_flower.errors import FitError
from fedglmm_flower.site.released import REMAINDER, ClusterRelease, SmallClusters
from tests.coordinator.questions import (
    RUN,
    consortium,
    released_of,
    study_of,
    table_of,
)

BLOCKS = [("east", "p"), ("east", "q"), ("north", "r"), ("north", "s")]


def asked(random, clusters=("clinic",)):
    """A study of clinics."""
    return study_of(f"y ~ a + {random}", "gaussian", order=2, clusters=clusters)


def test_each_grouping_column_means_the_site_or_itself():
    """`site` is the site in every formula."""
    assert columns_of(asked("(1 | site/clinic)")) == {
        "site": "site",
        "clinic": "clinic",
    }


def test_labels_are_those_of_the_release():
    """The site's name and the clinic's, side by side."""
    labels = labels_of(asked("(1 | site) + (1 | clinic)"), BLOCKS)

    assert labels == {
        "site": ["east", "east", "north", "north"],
        "clinic": ["p", "q", "r", "s"],
    }


@pytest.mark.parametrize("random", ["(1 | clinic)", "(1 | site) + (1 | clinic)"])
def test_one_name_at_two_sites_is_refused_where_the_site_is_not_named(random):
    """Both sites and the way out are told."""
    crossing = [*BLOCKS, ("north", "q")]

    with pytest.raises(FitError, match=r"'east' and at 'north'.*site:clinic"):
        labels_of(asked(random), crossing)
    assert labels_of(asked("(1 | site/clinic)"), crossing)["clinic"][-1] == "q"


@pytest.mark.parametrize("label", [REMAINDER, "#1"])
def test_what_stands_for_a_name_belongs_to_its_site(label):
    """A number or a remainder at two sites is two clusters."""
    labels = labels_of(asked("(1 | clinic)"), [("east", label), ("north", label)])

    assert labels == {"clinic": [f"east:{label}", f"north:{label}"]}


def test_levels_belong_to_their_site_unless_names_leave_it_open():
    """Nobody receives what two might own."""
    blocks = [("a", "b:c"), ("a:b", "c"), ("a", "d")]
    study = replace(asked("(1 | site/clinic)"), sites=("a", "a:b"))

    assert site_of_levels(study, blocks) == {
        ("site:clinic", "a:b:c"): None,
        ("site:clinic", "a:d"): "a",
    }


def test_numbers_follow_from_the_own_site_alone():
    """Who else takes part, and with how many clusters, changes nothing."""
    study = asked("(1 | site/clinic)")
    all_four = block_numbers(study, BLOCKS)
    two = block_numbers(study, BLOCKS[2:])

    assert len(set(all_four.values())) == 4
    assert {block: all_four[block] for block in two} == two
    whole = block_numbers(asked("(1 | site)", ()), [(s,) for s in study.sites])
    assert list(whole.values()) == [0, 1, 2, 3]


def test_remainders_alone_are_refused():
    """They say nothing of how clusters differ."""
    study = asked("(1 | site/clinic)")
    rest = [(site, REMAINDER) for site in study.sites]

    with pytest.raises(FitError, match="every site pooled"):
        require_clusters(study, rest)
    require_clusters(study, [*rest, ("east", "p")])
    require_clusters(asked("(1 | site)", ()), [("east",)])


SMALL = SmallClusters("pooled", 2, 9)
CLUSTERS: dict[str, Callable[[ClusterRelease], dict[str, Any]]] = {
    "too deep": lambda one: {"clusters": (replace(one, cluster=("p", "q")),)},
    "none": lambda one: {"clusters": (replace(one, cluster=()),)},
    "an undeclared remainder": lambda one: {
        "clusters": (one, replace(one, cluster=(REMAINDER,)))
    },
    "no remainder": lambda one: {"small": SMALL},
}


@pytest.mark.parametrize("fault", CLUSTERS)
def test_clusters_other_than_those_asked_are_refused(fault, rng):
    """One path of the study's depth each, and a remainder if and only if declared."""
    study = asked("(1 | site/clinic)")
    frame = table_of("gaussian", rng).assign(clinic="p")
    small = consortium(study, frame)
    good = released_of(study, frame, "north")
    one: ClusterRelease = good.clusters[0]
    bad = replace(good, **CLUSTERS[fault](one))
    sealed = {**small.all_sealed(), "north": small.sealed("north", released=bad)}

    used, refused = open_releases(
        study,
        sealed,
        run_id=RUN,
        identity=small.coordinator,
        publics=small.publics,
    )

    assert sorted(used) == ["east", "south", "west"]
    assert refused["north"].code == "wire-invalid"
