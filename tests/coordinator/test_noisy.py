"""Noisy releases are accepted and sorted, and never fitted as if they were exact."""

from dataclasses import replace

import numpy as np
import pytest

from fedglmm_flower.coordinator import Options, Submodel, fit_sealed
from fedglmm_flower.coordinator.noise_blocks import noisy_sums
from fedglmm_flower.coordinator.noise_population import require_supported
from fedglmm_flower.coordinator.noisy import noisy_targets
from fedglmm_flower.coordinator.opening import open_releases
from fedglmm_flower.coordinator.reopened import reopen
from fedglmm_flower.envelope import (
    Binding,
    decode_release,
    encode_release,
    new_identity,
    seal,
)
from fedglmm_flower.errors import FitError, WireError
from fedglmm_flower.report import summary_text
from fedglmm_flower.report.markdown import page_markdown
from fedglmm_flower.report.page import page_html
from fedglmm_flower.site import (
    FrameSource,
    Ledger,
    Privacy,
    Wire,
    release_privately,
)
from fedglmm_flower.site.residual_basis import mixing_of
from tests.site.test_private_sums import rows_of, study_of

SITES = ("north", "south")
RUN = "run"


@pytest.fixture
def noisy(tmp_path):
    """What two sites release with noise."""
    study = study_of(release_set="public")
    return study, {
        site: release_privately(
            study,
            FrameSource(rows_of(seed=k)),
            Privacy("people", 1.0, 1e-6, 3.0, "add_remove"),
            Ledger(tmp_path / site),
            Wire(encode_release, decode_release),
            site=site,
        )
        for k, site in enumerate(SITES)
    }


@pytest.fixture
def sealed(noisy):
    """The same, sealed, with the coordinator's keys and the sites' public ones."""
    study, released = noisy
    coordinator = new_identity("coordinator")
    keys = {site: new_identity(site) for site in SITES}
    messages = {
        site: seal(
            encode_release(one),
            binding=Binding("release", study.digest, RUN, site),
            sender=keys[site],
            recipient=coordinator.public,
        )
        for site, one in released.items()
    }
    return messages, coordinator, {site: key.public for site, key in keys.items()}


def test_a_noisy_release_arrives_with_the_covariance_of_its_noise(noisy, sealed):
    """Nothing is judged implausible: noise may make any sum look so."""
    study, released = noisy
    messages, coordinator, publics = sealed
    opened, refused = open_releases(
        study, messages, run_id=RUN, identity=coordinator, publics=publics
    )

    assert not refused
    for site in SITES:
        (one,) = opened[site].noisy
        noise = released[site].noise
        assert opened[site].targets == ()
        assert tuple(one.values) == released[site].clusters[0].values
        assert one.rows == released[site].clusters[0].noisy_rows
        assert one.records is None
        mixing = mixing_of(study.model, one.statistics)
        expected = mixing @ np.diag(np.square(noise.sds)) @ mixing.T
        assert one.covariance.shape == (len(one.values) + 1,) * 2
        assert np.allclose(one.covariance, expected)


def test_noisy_and_exact_sums_are_not_mixed(noisy, sealed):
    """A fit of both would have to know how they differ."""
    study, _ = noisy
    messages, coordinator, publics = sealed
    opened, _ = open_releases(
        study, messages, run_id=RUN, identity=coordinator, publics=publics
    )
    exact = replace(opened["south"].released, noise=None)
    mixed = {**opened, "south": replace(opened["south"], released=exact)}
    with pytest.raises(FitError, match="without noise"):
        noisy_sums(study, mixed)


@pytest.mark.parametrize("family", ["gamma", "nbinom2", "gaussian"])
def test_a_model_that_is_not_fitted_under_noise_is_refused(family):
    """No interval is better than a wrong one."""
    with pytest.raises(FitError, match="0/1 responses"):
        require_supported(study_of(family).model)


def test_a_hidden_count_stays_hidden(noisy, sealed):
    """Under add_remove no number of rows is in the result, and no naive interval."""
    study, _ = noisy
    messages, coordinator, publics = sealed
    result = (
        fit_sealed(
            study, messages, {}, run_id=RUN, identity=coordinator, publics=publics
        )
        .result()
        .to_dict()
    )

    assert result["n_rows"] is None
    assert {entry["n_rows"] for entry in result["sites"]} == {None}
    assert {entry["n_missing"] for entry in result["sites"]} == {None}
    assert [result[key] for key in ("loglik", "aic", "bic")] == [None] * 3
    privacy = result["privacy"]
    assert (privacy["epsilon"], privacy["delta"]) == (1.0, 1e-6)
    assert privacy["relation"] == "add_remove"
    assert privacy["intervals_include_noise"] is True
    assert all(grown > 1.0 for grown in privacy["se_inflation"].values())
    text = summary_text(result)
    assert "relation add_remove" in " ".join(text.split())
    assert "not told" in text
    for shown in (page_html(result), page_markdown(result)):
        assert "include the noise" in " ".join(shown.split())


def test_nothing_but_the_released_model_is_made_of_noisy_sums(noisy, sealed):
    """Pseudo-data of noisy sums, as other models and exports need, are refused."""
    study, _ = noisy
    messages, coordinator, publics = sealed
    again = reopen(
        study,
        messages,
        {},
        run_id=RUN,
        identity=coordinator,
        publics=publics,
        options=Options(),
    )
    with pytest.raises(FitError, match="with noise"):
        again.fit(Submodel(study, study))


def test_a_noisy_release_of_another_length_is_refused(noisy):
    """Both sides count the statistics of the study."""
    study, released = noisy
    statistics = study.statistics(2)
    with pytest.raises(WireError, match="same version"):
        noisy_targets(study.model, statistics[:-1], released["north"], "north")
