"""Noise at a public anchor goes to residuals, which is where it costs least."""

import numpy as np
import pytest

from fedglmm_flower.envelope import decode_release, encode_release
from fedglmm_flower.site import FrameSource, Ledger, Privacy, Wire, release_privately
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.private_sums import private_sums
from fedglmm_flower.site.public_scales import public_weights
from fedglmm_flower.site.residual_basis import (
    ResidualBasis,
    mixing_of,
    noise_covariance,
)
from fedglmm_flower.site.summarise import summarise
from tests.site.test_private_sums import PRIVACY, rows_of, study_of

STUDY = study_of(release_set="public")


def at(study):
    """Positions of the sums with the response and of the score, and the basis."""
    statistics = study.statistics(2)
    basis = ResidualBasis.of(study.model, statistics)
    assert basis is not None
    return statistics, basis


def score_noise(study, covariance):
    """Covariance of the noise in ``sum (y - m h') z``."""
    _, basis = at(study)
    contrast = np.zeros((len(basis.monomials), len(covariance)))
    back = np.linalg.inv(basis.columns)
    for i, response in enumerate(basis.responses):
        contrast[i, response] = 1.0
        contrast[i, list(basis.scores)] = -back[i]
    return contrast @ covariance @ contrast.T


def test_residuals_carry_the_noise_of_one_coordinate(tmp_path):
    """Independent, and below one standard deviation of their own at 1,000 rows."""
    statistics, basis = at(STUDY)
    released = release_privately(
        STUDY,
        FrameSource(rows_of()),
        PRIVACY,
        Ledger(tmp_path / "ledger"),
        Wire(encode_release, decode_release),
        site="north",
    )
    noise = released.noise
    assert noise is not None
    found = score_noise(STUDY, noise_covariance(STUDY.model, statistics, noise))
    sds = np.array([noise.sds[i] for i in basis.responses])

    assert np.allclose(found, np.diag(sds**2), atol=1e-8 * found.max())
    # The anchor expects 0.31 events a row.
    constant = basis.monomials.index(STUDY.model.constant)
    assert sds[constant] < 0.8 * np.sqrt(1000 * 0.31 * 0.69)


def test_released_sums_are_those_of_the_study_whatever_the_basis(tmp_path):
    """Nearly without noise, and without clipping, they are the exact ones."""
    privacy = Privacy("people", 50.0, 1e-2, 1000.0, clipping_norm=8.0)
    frame = rows_of(4000)
    released = release_privately(
        STUDY,
        FrameSource(frame),
        privacy,
        Ledger(tmp_path / "ledger"),
        Wire(encode_release, decode_release),
        site="north",
    )
    statistics, _ = at(STUDY)
    exact = summarise(STUDY, FrameSource(frame), site="north")
    known = dict(zip(exact.statistics, exact.values, strict=True))
    assert released.noise is not None
    covariance = noise_covariance(STUDY.model, statistics, released.noise)
    sds = np.sqrt(np.diag(covariance))[:-1]
    off = np.array(released.clusters[0].values) - [known[s] for s in statistics]

    assert (np.abs(off) < 5.5 * sds + 1e-3 * np.abs(sds)).all()


@pytest.mark.parametrize("family", ["gaussian", "gamma", "nbinom2"])
def test_other_releases_carry_noise_as_they_are(family):
    """No anchor, or no sums with the response: the identity."""
    name = "public" if family == "gamma" else "canonical"
    study = study_of(family, name)
    mixing = mixing_of(study.model, study.statistics(2))

    assert (mixing == np.eye(len(mixing))).all()


def test_columns_that_are_no_combination_of_as_many_functions_stay():
    """An interaction without its main effects has more functions than columns."""
    study = study_of(
        formula="y ~ age:stage + (1 | site)",
        release_set="public",
        anchor=(("Intercept", -1.0), ("age:stage[I]", 0.0), ("age:stage[II]", 0.0)),
    )
    statistics = study.statistics(2)
    mixing = mixing_of(study.model, statistics)
    features = Features(study.model, statistics, study.anchor_values)
    weights = public_weights(features)
    source = FrameSource(rows_of(50))
    found = private_sums(study, source, features, weights, PRIVACY)

    assert features.basis is None
    assert (mixing == np.eye(len(weights))).all()
    assert found.sums.any()
