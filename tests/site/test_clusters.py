"""Clusters inside a site: each through the gate, and small ones as the policy says."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.envelope import decode_release, encode_release
from fedglmm_flower.errors import DataError, DisclosureError
from fedglmm_flower.site import CsvSource, FrameSource, Policy, release
from fedglmm_flower.site import summarise as module
from fedglmm_flower.site.released import REMAINDER, SmallClusters
from fedglmm_flower.site.summarise import summarise_clusters
from fedglmm_flower.study import Column, Study
from tests.clinics import clinics

COLUMNS = (
    Column("b", "binary"),
    Column("c", "continuous", low=0.0),
    Column("e", "binary"),
    Column("x", "continuous"),
    Column("y", "continuous"),
)
OPEN = Policy(enabled=False)
SECRET = "Dr-Miller-of-ward-4711"


def ask(response="y", family="gaussian", **changes) -> Study:
    """Clinics inside the one hospital of these tests."""
    links = {"gaussian": "identity", "poisson": "log", "binomial": "logit"}
    parts = {
        "name": "clinics",
        "formula": f"{response} ~ x + b + (1 | hospital/clinic)",
        "family": family,
        "link": links[family],
        "method": "reml" if family == "gaussian" else "laplace",
        "site_column": "hospital",
        "columns": COLUMNS,
        "sites": ("h1",),
        "clusters": ("clinic",),
        **changes,
    }
    if changes.get("accept"):
        parts["release_set"], parts["order"] = changes["accept"][0]
    return Study(**parts)


def hospital(**sizes):
    """Rows of one hospital with as many rows as are said of each clinic."""
    table = clinics(each=600, count=len(sizes))
    table = table[table.hospital == "h1"]
    parts = zip(sizes.items(), table.groupby("clinic"), strict=True)
    kept = [rows[:n].assign(clinic=name) for (name, n), (_, rows) in parts]
    return FrameSource(pd.concat(kept).sample(frac=1, random_state=3))


def answer(source, policy=None, study=None):
    """What the hospital releases."""
    return release(study or ask(), source, policy or Policy(), site="h1")


def names(released):
    """Paths and rows of the released clusters."""
    return {entry.cluster: entry.n_rows for entry in released.clusters}


@pytest.mark.parametrize(
    ("response", "family", "accept"),
    [
        ("y", "gaussian", ()),
        ("c", "poisson", (("anchored", 2), ("canonical", 2))),
        ("e", "binomial", (("anchored", 2),)),
    ],
)
def test_a_cluster_sends_what_a_site_of_its_rows_would(response, family, accept):
    """Sums, and the anchor too, are of the cluster's own rows."""
    source = hospital(a=80, b=120, c=60)
    study = ask(response, family, accept=accept)
    alone = replace(study, formula=f"{response} ~ x + b + (1 | hospital)", clusters=())

    found = answer(source, study=study)

    assert names(found) == {("a",): 80, ("b",): 120, ("c",): 60}
    for entry in found.clusters:
        rows = source.frame[source.frame.clinic == entry.cluster[0]]
        own = release(alone, FrameSource(rows), Policy(), site="h1")
        assert (own.release_set, own.order) == (found.release_set, found.order)
        np.testing.assert_allclose(entry.values, own.clusters[0].values, rtol=1e-9)


@pytest.mark.parametrize("kept", [32_000_000, 700, 1])
def test_batches_and_memory_change_no_sum(kept, monkeypatch):
    """Rows kept, read again a few clusters at a time, or each by itself."""
    source = hospital(a=80, b=120, c=60)
    study = ask("e", "binomial", accept=(("anchored", 2),))
    whole = summarise_clusters(study, source, site="h1")
    monkeypatch.setattr(module, "_KEPT_CELLS", kept)
    monkeypatch.setattr(module, "_MAX_BATCH", 7)

    found = summarise_clusters(study, source, site="h1")

    assert list(found.clusters) == list(whole.clusters)
    for path, moments in found.clusters.items():
        np.testing.assert_allclose(
            moments.values, whole.clusters[path].values, rtol=1e-8, atol=1e-9
        )


def test_clusters_of_a_file_are_those_of_the_table(tmp_path):
    """Cells of a file are text, and so are labels."""
    source = hospital(a=80, b=120)
    source.frame.to_csv(tmp_path / "t.csv", index=False)

    read = answer(CsvSource(tmp_path / "t.csv"))

    assert names(read) == names(answer(source))


def test_a_row_without_a_cluster_is_a_missing_row():
    """Counted once, whatever else is missing in it."""
    source = hospital(a=80, b=120)
    frame = source.frame.astype({"x": object, "clinic": object})
    frame.iloc[0, frame.columns.get_loc("clinic")] = None
    frame.iloc[1, frame.columns.get_loc("clinic")] = ""
    frame.iloc[2, frame.columns.get_loc("x")] = None
    frame.iloc[2, frame.columns.get_loc("clinic")] = None

    found = answer(FrameSource(frame))

    assert found.n_missing is None
    assert answer(FrameSource(frame), OPEN).n_missing == 3
    assert sum(names(found).values()) == 197


def test_small_clusters_are_pooled_into_a_remainder():
    """Their rows go out together, under the name of none."""
    source = hospital(a=80, b=30, c=120, d=40, e=25)

    found = answer(source)

    assert names(found) == {("a",): 80, ("c",): 120, (REMAINDER,): 95}
    assert found.small == SmallClusters("pooled", 3, 95)
    one = source.frame.clinic.replace({"d": "b", "e": "b"})
    together = answer(FrameSource(source.frame.assign(clinic=one)))
    sums = {entry.cluster: entry.values for entry in together.clusters}
    np.testing.assert_allclose(found.clusters[0].values, sums[("b",)], rtol=1e-12)


def test_small_clusters_are_left_out_where_the_policy_says_so():
    """Nothing of them leaves but how many they are."""
    found = answer(hospital(a=80, b=30, c=40), Policy(small_clusters="leave_out"))

    assert names(found) == {("a",): 80}
    assert found.small == SmallClusters("left_out", 2, 70)


def test_a_remainder_that_is_small_itself_is_left_out():
    """And a count of rows that is too small to be told is not told."""
    some = answer(hospital(a=80, b=30))
    few = answer(hospital(a=80, b=3))

    assert names(some) == names(few) == {("a",): 80}
    assert some.small == SmallClusters("left_out", 1, 30)
    assert few.small == SmallClusters("left_out", 1, None)


def test_a_site_without_a_cluster_that_passes_refuses():
    """The words tell counts, and no name."""
    with pytest.raises(DisclosureError, match="none of 2 clusters of 10 to 20 rows"):
        answer(hospital(a=10, b=20))


def test_a_cluster_is_judged_by_every_rule_on_its_own():
    """A rare event at one clinic does not hide behind the others."""
    source = hospital(a=200, b=200)
    frame = source.frame.reset_index(drop=True)
    rare = frame.index[frame.clinic == "b"]
    frame.loc[rare, "b"] = 0
    frame.loc[rare[:2], "b"] = 1

    found = answer(FrameSource(frame))

    assert names(found) == {("a",): 200}
    assert found.small == SmallClusters("left_out", 1, 200)


def test_one_set_for_all_clusters_of_a_site():
    """The best that lets out nine tenths of the rows that any would."""
    accept = (("canonical", 4), ("canonical", 2), ("canonical", 1))
    formula = "e ~ x + y + b + (1 | hospital/clinic)"
    study = ask("e", "binomial", accept=accept, formula=formula)
    policy = Policy(small_clusters="leave_out")

    little_lost = answer(hospital(a=500, b=500, c=60), policy, study)
    much_lost = answer(hospital(a=200, b=60, c=60), policy, study)

    assert (little_lost.order, len(little_lost.clusters)) == (4, 2)
    assert (much_lost.order, len(much_lost.clusters)) == (2, 3)
    assert len({len(entry.values) for entry in much_lost.clusters}) == 1


def test_no_sum_over_clusters_leaves_beside_them():
    """What is left out cannot be had by subtraction from anything sent."""
    source = hospital(a=80, b=120, c=30)
    for policy in (Policy(), Policy(small_clusters="leave_out"), OPEN):
        rows = names(answer(source, policy))
        assert () not in rows
        assert sum(rows.values()) == (230 if policy is OPEN else 200)


@pytest.mark.parametrize("small", ["pool", "leave_out"])
def test_the_name_of_a_small_cluster_does_not_leave(small):
    """Not in the bytes of the release, and not in the words of a refusal."""
    policy = Policy(small_clusters=small)
    found = answer(hospital(a=80, b=30, **{SECRET: 40}), policy)
    with pytest.raises(DisclosureError) as refused:
        answer(hospital(a=9, **{SECRET: 9}), policy)

    assert SECRET.encode() not in encode_release(found)
    assert SECRET not in str(refused.value) + refused.value.public


def test_numbers_stand_for_names_where_the_policy_says_so():
    """By size, so that the alphabet tells nothing; the remainder keeps its name."""
    policy = Policy(cluster_names="numbered")
    found = answer(hospital(a=80, **{SECRET: 120}, c=30, d=30, e=30), policy)

    assert names(found) == {("#1",): 120, ("#2",): 80, (REMAINDER,): 90}
    assert SECRET.encode() not in encode_release(found)


def test_the_alphabet_does_not_number_clusters_of_one_size():
    """Names are exchanged; the numbers stay with the sums."""
    source = hospital(a=80, b=80)
    swapped = source.frame.clinic.map({"a": "b", "b": "a"})
    policy = Policy(cluster_names="numbered")

    one = answer(source, policy)
    two = answer(FrameSource(source.frame.assign(clinic=swapped)), policy)

    assert names(one) == {("#1",): 80, ("#2",): 80}
    assert one.clusters[0].values != one.clusters[1].values
    assert one.clusters == two.clusters


def test_clusters_in_clusters_have_a_path():
    """Two columns of clusters make one summary for each combination."""
    study = ask(
        formula="y ~ x + (1 | hospital/clinic/b)",
        clusters=("clinic", "b"),
    )
    found = answer(hospital(a=200, b=200), OPEN, study)

    assert set(names(found)) == {("a", "0"), ("a", "1"), ("b", "0"), ("b", "1")}


@pytest.mark.parametrize("label", [REMAINDER, "#3", "a\nb", "n" * 201])
def test_a_label_that_is_no_name_is_refused_unquoted(label):
    """It would be taken for something else, or break a line of a log."""
    with pytest.raises(DataError, match="'clinic': a label that is no name") as caught:
        answer(hospital(a=80, **{label: 80}))

    assert label not in str(caught.value).split("required")[0]


def test_a_column_of_row_names_is_no_cluster(monkeypatch):
    """Clusters without end would fill the memory."""
    monkeypatch.setattr("fedglmm_flower.site.labels.MAX_CLUSTERS", 50)
    source = hospital(a=80)
    frame = source.frame.assign(clinic=range(80))

    with pytest.raises(DataError, match="more than 50 clusters"):
        answer(FrameSource(frame))


def test_a_missing_cluster_column_is_named():
    """As any other column of the study."""
    with pytest.raises(DataError, match="column 'clinic' is missing"):
        answer(FrameSource(hospital(a=80).frame.drop(columns="clinic")))


@pytest.mark.parametrize("policy", [Policy(), Policy(small_clusters="leave_out"), OPEN])
def test_a_release_of_clusters_survives_the_wire(policy):
    """Bytes and back."""
    found = answer(hospital(a=80, b=30, c=120, d=40), policy)
    sent = encode_release(found)

    assert decode_release(sent) == found
    assert ("small_clusters" in json.loads(sent)) == policy.enabled
