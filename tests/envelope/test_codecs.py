"""Releases and results as bytes: only what may be sent, only as it was."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedglmm_flower.envelope import (
    decode_release,
    decode_result,
    encode_release,
    encode_result,
)
from fedglmm_flower.errors import WireError
from fedglmm_flower.site.released import ClusterRelease, SmallClusters, Spent


def cluster(path: Any = (), values: Any = ()) -> ClusterRelease:
    """A cluster with fields of any type, as code that is not type-checked makes it."""
    return ClusterRelease(path, 1, values)


def test_only_released_can_be_encoded(released):
    """Whatever merely looks like a release stays at the site."""
    with pytest.raises(TypeError, match="only Released"):
        encode_release(vars(released))


def test_an_exact_release_says_so_in_words(released):
    """Infinite epsilon is text, because JSON has no infinity."""
    assert b'"epsilon":"inf"' in encode_release(released)
    assert decode_release(encode_release(released)).spent.epsilon == math.inf


def test_floats_of_numpy_and_integers_are_floats_on_the_wire(released):
    """The engine's own number types need no conversion by the caller."""
    of_numpy = replace(
        released, clusters=(ClusterRelease((), 120, (np.float64(120), 47, -0.25)),)
    )

    assert encode_release(of_numpy) == encode_release(released)
    assert type(decode_release(encode_release(of_numpy)).clusters[0].values[0]) is float


@pytest.mark.parametrize("rows", [None, 0, 70])
@pytest.mark.parametrize("treatment", ["pooled", "left_out"])
def test_what_became_of_small_clusters_survives(released, treatment, rows):
    """Several clusters, and those that are not among them."""
    entries = (ClusterRelease(("a",), 60, (1.5,)), ClusterRelease(("b",), 70, (2.5,)))
    told = SmallClusters(treatment, 3, rows)
    whole = replace(released, clusters=entries, small=told)

    assert decode_release(encode_release(whole)) == whole
    assert b"small_clusters" not in encode_release(released)


@pytest.mark.parametrize(
    "change",
    [
        {"site": ""},
        {"study_digest": "x"},
        {"order": 0},
        {"order": True},
        {"order": np.int64(4)},
        {"n_missing": -1},
        {"n_missing": 0.0},
        {"clusters": ()},
        {"clusters": (ClusterRelease((), 1, (math.nan,)),)},
        {"clusters": (ClusterRelease((), 1, (math.inf,)),)},
        {"clusters": (ClusterRelease((), 1, (True,)),)},
        {"clusters": (ClusterRelease((), 1, (2**60,)),)},
        {"clusters": (cluster(values=(np.float32(1),)),)},
        {"clusters": (cluster(path="c1"),)},
        {"clusters": (cluster(values=[1.0]),)},
        {"clusters": [ClusterRelease((), 1, (1.0,))]},
        {"spent": Spent("none", 1.0, 0.0, "none")},
        {"spent": Spent("none", math.inf, 0.0, "zero_out")},
        {"spent": Spent("x", math.nan, 0.0, "zero_out")},
        {"software": "a\nb"},
        {"small": SmallClusters("pooled", 0, 0)},
        {"small": SmallClusters("pooled", 1, -1)},
        {"small": SmallClusters("hidden", 1, 1)},  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_what_no_receiver_reads_is_not_sent(released, change):
    """The writer applies the reader's rules."""
    with pytest.raises(WireError, match=r"release.* found; "):
        encode_release(replace(released, **change))


def test_an_error_quotes_no_statistic(released):
    """A log of the coordinator holds no number of a site."""
    data = encode_release(released).replace(b"120.0", b'"120.0"')

    with pytest.raises(WireError) as refused:
        decode_release(data)

    assert "120" not in refused.value.detail
    assert refused.value.detail.startswith("release, cluster 1, values: text was found")


def test_a_value_that_is_not_finite_is_told_by_its_place(released):
    """A site with many clusters learns which of them overflowed."""
    broken = replace(released, clusters=(cluster(values=(1.0, math.nan)),))

    with pytest.raises(WireError, match="release, cluster 1, values: a number that is"):
        encode_release(broken)


def test_a_release_over_the_limit_is_refused(released):
    """A coordinator may be stricter than the format."""
    data = encode_release(released)

    assert decode_release(data, len(data)) == released
    with pytest.raises(WireError, match="at most"):
        decode_release(data, len(data) - 1)


def test_a_result_keeps_its_own_format_key():
    """The format of the message and that of result.json do not meet."""
    result = {"format": 1, "fixed": [{"name": "x", "p": None}], "converged": True}

    assert decode_result(encode_result(result)) == result


def test_a_result_with_nan_is_refused():
    """A number that does not exist is null, by the caller's decision."""
    with pytest.raises(WireError, match="result: a number that is not finite"):
        encode_result({"icc": math.nan})
