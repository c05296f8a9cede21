"""Names and writing of files."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fedglmm_flower.flower.files import file_name

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


@given(names)
def test_a_site_name_is_one_component_of_a_path(site):
    """No name leads out of its folder, hides a file or is too long for a disk."""
    name = file_name(site)

    assert Path(name).name == name
    assert not name.startswith(".")
    assert len(name) + len(".sealed") < 255
    assert name.isascii()


@given(names, names)
def test_different_sites_have_different_files(one, other):
    """No site can overwrite the release of another."""
    assert (one == other) == (file_name(one) == file_name(other))


def test_a_long_name_keeps_its_difference():
    """Two names that agree in their first 199 characters have two files."""
    assert file_name("x" * 199 + "a") != file_name("x" * 199 + "b")
