"""A likelihood leaves in as many digits as a step needs."""

import numpy as np
import pytest

from fedglmm_flower.glmm.score import Score
from fedglmm_flower.site import FrameSource, Policy, SiteMemory
from fedglmm_flower.site.policy import NO_DISCLOSURE_CONTROL
from fedglmm_flower.site.scored import Point
from fedglmm_flower.site.scoring import score
from fedglmm_flower.site.told_digits import BITS, in_told_digits
from tests.site.conftest import ask, patients

STUDY = ask("died ~ age + female + (1 | hospital)", "binomial", order=2, rounds=2)


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e9])
def test_rounding_is_far_below_a_standard_error(size):
    """Of a gradient in its own scale, and of an information in those of both."""
    rng = np.random.default_rng(3)
    root = rng.normal(size=(4, 4)) * size
    made = Score(-123.456789123456789, rng.normal(size=4) * size, root @ root.T)
    told = in_told_digits(made)
    scale = np.sqrt(np.diag(made.information))
    least = 2.0**-BITS

    assert np.all(np.abs(told.gradient - made.gradient) <= scale * least / 2)
    off = np.abs(told.information - made.information)
    assert np.all(off <= np.outer(scale, scale) * least / 2)
    assert abs(told.value - made.value) <= least / 2
    assert np.array_equal(told.information, told.information.T)
    again = in_told_digits(told)
    assert np.array_equal(again.gradient, told.gradient)


def test_no_more_digits_leave_a_site(tmp_path):
    """In steps of a power of two; where the gate is off nothing is rounded."""
    rows = FrameSource(patients(400), "rows")
    point = Point(1, 1, (-0.3, 0.1, 0.2, 0.4))
    found = {}
    for policy in (Policy(), NO_DISCLOSURE_CONTROL):
        memory = SiteMemory(tmp_path / str(policy.enabled))
        made = score(STUDY, rows, policy, point, site="north", asked=memory)
        found[policy.enabled] = made
    lower = np.tril_indices(4)
    information = np.zeros((4, 4))
    information[lower] = found[False].information
    steps = 2.0 ** (np.floor(np.log2(np.sqrt(np.abs(np.diag(information))))) - BITS)
    told, whole = (np.array(found[gate].gradient) / steps for gate in (True, False))

    assert np.array_equal(told, np.rint(told))
    assert not np.array_equal(whole, np.rint(whole))
    assert np.abs(told - whole).max() <= 0.5
    assert found[True].value * 2.0**BITS == np.rint(found[True].value * 2.0**BITS)
