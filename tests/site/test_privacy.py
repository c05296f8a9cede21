"""What an officer writes about noise: every number in its range."""

import math
from dataclasses import replace

import pytest

from fedglmm_flower.errors import PolicyError
from fedglmm_flower.site import Privacy

PRIVACY = Privacy("people", 1.0, 1e-6, 3.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epsilon", 0.0),
        ("epsilon", math.nan),
        ("epsilon", math.inf),
        ("delta", 0.0),
        ("delta", 0.1),
        ("budget_epsilon", -1.0),
        ("clipping_norm", 9.0),
        ("bounds", (("age", 90.0, 18.0),)),
        ("bounds", (("age", 0.0, math.inf),)),
        ("clipping_norm", 0.0),
        ("relation", "other"),
        ("clusters", (("a",), ("a",))),
    ],
)
def test_a_policy_out_of_range_is_refused(name, value):
    """What would overflow, or promise nothing."""
    with pytest.raises(PolicyError, match=name):
        replace(PRIVACY, **{name: value})
