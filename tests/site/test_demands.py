"""A study's demands: met by a policy as strict or stricter, and by no other."""

from dataclasses import fields, replace

import pytest

from fedglmm_flower.errors import PolicyError
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, Policy
from fedglmm_flower.site.config import read_demands
from fedglmm_flower.site.demands import AT_LEAST, AT_MOST, DEMANDS, require_demands


@pytest.mark.parametrize("name", [*AT_LEAST, *AT_MOST])
def test_stricter_meets_and_weaker_does_not(name):
    """One step to either side of the demand."""
    value = getattr(Policy(), name)
    step = 0.01 if name in AT_MOST else -1
    require_demands(Policy(), [(name, value)], where="site 'a'")
    require_demands(
        replace(Policy(), **{name: value - step}), [(name, value)], where="site 'a'"
    )

    with pytest.raises(PolicyError, match=f"site 'a', {name}: .+ is demanded"):
        require_demands(
            replace(Policy(), **{name: value + step}), [(name, value)], where="site 'a'"
        )


def test_a_gate_that_is_off_does_not_meet_a_demand_that_it_is_on():
    """The one demand that all others rest on."""
    with pytest.raises(PolicyError, match="enabled: False was found"):
        require_demands(NO_DISCLOSURE_CONTROL, [("enabled", True)], where="site")


def test_every_demand_is_a_field_of_the_policy():
    """A renamed field cannot silently be demanded of nobody."""
    assert set(DEMANDS) <= {field.name for field in fields(Policy)}


def test_demands_are_what_a_file_names(tmp_path):
    """Defaults that the file does not name are not demanded."""
    path = tmp_path / "policy.toml"
    path.write_text("[disclosure]\nmin_rows = 60\nenabled = true\n")

    assert read_demands(path) == (("enabled", True), ("min_rows", 60))
