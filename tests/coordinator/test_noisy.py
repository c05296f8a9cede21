"""Noisy releases are accepted and sorted, and never fitted as if they were exact."""

import numpy as np
import pytest

from fedglmm_flower.coordinator import combine
from fedglmm_flower.coordinator.noisy import noisy_targets
from fedglmm_flower.coordinator.opening import open_releases
from fedglmm_flower.envelope import (
    Binding,
    decode_release,
    encode_release,
    new_identity,
    seal,
)
from fedglmm_flower.errors import FitError, WireError
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


def test_no_naive_interval_is_made_of_noisy_sums(noisy, sealed):
    """Until a fit accounts for the noise there is none."""
    study, _ = noisy
    messages, coordinator, publics = sealed
    with pytest.raises(FitError, match="fit under noise is not available"):
        combine(study, messages, {}, run_id=RUN, identity=coordinator, publics=publics)


def test_a_noisy_release_of_another_length_is_refused(noisy):
    """Both sides count the statistics of the study."""
    study, released = noisy
    statistics = study.statistics(2)
    with pytest.raises(WireError, match="same version"):
        noisy_targets(study.model, statistics[:-1], released["north"], "north")
