"""A site whose records were lost, set back or mixed up: told before anything leaves."""

import shutil
from dataclasses import replace

import pytest

from fedglmm_flower.errors import LedgerError, StorageError
from fedglmm_flower.flower.configured_desk import desk_of
from fedglmm_flower.flower.exchange import Request
from fedglmm_flower.site import SiteMemory
from fedglmm_flower.study import Column, write_study
from tests.command import fedglmm

PRIVACY = """[privacy]
enabled = true
dataset = "people"
epsilon = 1.0
delta = 1e-6
budget_epsilon = 3.0
"""


@pytest.fixture
def site(federation):
    """A site that has approved two studies of bounded columns."""
    columns = (
        Column("x", "continuous", low=0.0, high=100.0),
        Column("y", "continuous", low=-100.0, high=100.0),
    )
    one = replace(federation.study, columns=columns)
    return Site(federation, one, replace(one, name="another"))


class Site:
    """What an administrator has before him, and what the coordinator asks."""

    def __init__(self, federation, *studies):
        self.federation = federation
        self.studies = studies
        self.path = federation.site_file("east")
        self.folder = self.path.parent
        self.memory = self.folder / "snapshots" / "memory.sqlite"
        approved = ", ".join(f'"{study.digest}"' for study in studies)
        text = self.path.read_text()
        old = f'"{federation.study.digest}"'
        self.path.write_text(text.replace(old, approved))

    def ask(self, number):
        """One of the studies is asked over Flower."""
        key = self.federation.identity.public.encrypt_id
        body = self.studies[number].canonical_bytes
        return desk_of(self.path).summarise(Request(body, "run", key)).sealed

    def commands(self):
        """What an officer may try then."""
        study = self.federation.root / "asked.toml"
        write_study(self.studies[0], study)
        yield fedglmm("site", "sign-policy", self.path)
        yield fedglmm("site", "preview", self.path, "--study", study)


def test_no_command_makes_a_lost_memory_anew(site):
    """Signing would make one of nothing, and other rows would be answered."""
    site.ask(0)
    site.memory.unlink()
    for ended in site.commands():
        code, detail = ended.line
        assert code == "storage-failed"
        assert "is missing, and" in detail
    assert not site.memory.exists()
    assert not (site.folder / "policy-versions.toml").exists()


def test_a_memory_of_before_the_last_answer_is_not_taken(site):
    """Restored from yesterday, or from another site; today's is."""
    site.ask(0)
    old = site.memory.read_bytes()
    site.ask(1)
    new = site.memory.read_bytes()
    site.memory.write_bytes(old)
    with pytest.raises(StorageError, match="holds 2 entries, and had 4"):
        site.ask(0)
    for ended in site.commands():
        assert "the latest is required" in ended.line[1]
    other = SiteMemory(site.federation.root / "other")
    for number in range(4):
        other.hold_policy([f"{n}" * 64 for n in range(number + 1)])
    other.key()
    site.memory.write_bytes(other.path.read_bytes())
    with pytest.raises(StorageError, match="is another one than"):
        site.ask(0)
    site.memory.write_bytes(new)

    site.ask(0)


def test_a_signature_counts_before_the_next_answer(site):
    """Policy, versions and memory put back together, while nobody has asked."""
    files = (site.path, site.folder / "policy-versions.toml", site.memory)
    assert fedglmm("site", "sign-policy", site.path).status == 0
    old = [file.read_bytes() for file in files]
    site.path.write_text(site.path.read_text() + "# stricter\n")
    assert fedglmm("site", "sign-policy", site.path).status == 0
    for file, content in zip(files, old, strict=True):
        file.write_bytes(content)
    with pytest.raises(StorageError, match="holds 1 entries, and had 2"):
        site.ask(0)


@pytest.mark.parametrize("change", ["both old", "both removed", "another path"])
def test_a_ledger_set_back_with_its_head_is_told(site, change):
    """Else one study would have two draws, and the budget would be paid back."""
    text = site.path.read_text()
    site.path.write_text(text + PRIVACY)
    site.ask(0)
    names = ("ledger.sqlite", "ledger.sqlite.head")
    for name in names:
        shutil.copy(site.folder / name, site.federation.root)
    first = site.ask(1)
    for name in names:
        latest = site.folder / name
        shutil.copy(latest, site.federation.root / f"{name}.latest")
        if change == "both old":
            shutil.copy(site.federation.root / name, latest)
        if change == "both removed":
            latest.unlink()
    if change == "another path":
        site.path.write_text(text + PRIVACY + 'ledger = "new.sqlite"\n')
    with pytest.raises(LedgerError, match=r"answers\.sqlite tells of|does not exist"):
        site.ask(1)
    assert "ledger-invalid" in fedglmm("ledger", "verify", site.path).err
    site.path.write_text(text + PRIVACY)
    for name in names:
        shutil.copy(site.federation.root / f"{name}.latest", site.folder / name)

    assert site.ask(1) == first
