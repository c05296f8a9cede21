"""The study manifest: who may ask what of whom, under which demands, until when.

A study's owner signs one text file; each site approves it once and refuses a query
under any other.  See :mod:`fedglmm_flower.envelope.manifest_text` for its bytes.
"""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fedglmm_flower.envelope.keys import PublicIdentity
from fedglmm_flower.envelope.names import MAX_NAME, is_digest, name_fault
from fedglmm_flower.errors import ManifestError, ManifestExpiredError

SKEW: Final = timedelta(days=1)
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"

_DEMAND: Final = re.compile(r"[a-z_]{1,40}")

Demands = tuple[tuple[str, float | int | bool], ...]


@dataclass(frozen=True)
class Manifest:
    """
    What the owner of a study binds together.

    In clear, and holds no data: it is made to be read by every party.

    Parameters
    ----------
    name : str
        Name of the study; a label for people.
    study : str
        Digest of the study.
    made, expires : datetime
        From when to when sites answer; UTC, whole seconds.
    demands : tuple of (str, number or bool)
        The least that the policy of each site must demand, by the names of
        ``[disclosure]``; sorted.
    recipients : tuple of PublicIdentity
        The coordinators to whom a site may send; sorted by name.
    sites : tuple of PublicIdentity
        The expected sites; sorted by name.

    Raises
    ------
    ManifestError
        If a field is not of its form.
    """

    name: str
    study: str
    made: datetime
    expires: datetime
    demands: Demands
    recipients: tuple[PublicIdentity, ...]
    sites: tuple[PublicIdentity, ...]

    def __post_init__(self) -> None:
        fault = name_fault(self.name)
        if fault is not None:
            raise _wrong("name", fault, f"1 to {MAX_NAME} plain characters are")
        if not is_digest(self.study):
            raise _wrong("study", "no digest", "64 lower-case hex digits are")
        for key, time in (("made", self.made), ("expires", self.expires)):
            if time.utcoffset() != timedelta(0) or time.microsecond:
                raise _wrong(key, f"{time}", "a time in UTC of whole seconds is")
        if self.expires <= self.made:
            raise _wrong("expires", "a time before it was made", "a later time is")
        names = [name for name, _ in self.demands]
        if sorted(set(names)) != names or not all(map(_DEMAND.fullmatch, names)):
            raise _wrong(
                "demands", "names that are none or unsorted", "sorted ones are"
            )
        for key, parties in (("recipient", self.recipients), ("site", self.sites)):
            found = [party.name for party in parties]
            if not found or sorted(set(found)) != found:
                raise _wrong(key, "none, or unsorted or repeated names", "parties are")
        used = Counter(site.verify for site in self.sites)
        if used and max(used.values()) > 1:
            raise _wrong("site", "one key for two sites", "a key for each site is")

    def check_time(self, now: datetime) -> None:
        """
        Refuse outside the time from ``made``, less a day, to ``expires``.

        The clock that counts is the caller's, a site's own: nobody's message moves it.
        A clock up to a day behind the owner's is borne at the beginning, none at the
        end.  So a site whose clock is fast stops early, one whose clock is slow stops
        late by as much, and one that is slow by more than a day is told.

        Parameters
        ----------
        now : datetime
            The caller's time, with its zone.

        Raises
        ------
        ManifestExpiredError
            With both times.
        """
        here = write_time(now)
        if now >= self.expires:
            raise ManifestExpiredError(
                f"manifest {self.name!r}: it expired at {write_time(self.expires)} and "
                f"the clock here says {here}; a manifest that has not expired by the "
                "clock here is required; ask the study's owner for a new one, or "
                "correct the clock of this machine"
            )
        if now < self.made - SKEW:
            raise ManifestExpiredError(
                f"manifest {self.name!r}: it was made at {write_time(self.made)} and "
                f"the clock here says {here}, more than a day before; a clock that is "
                "at most a day slow is required; correct the clock of this machine"
            )

    def party(self, name: str, *, site: bool) -> PublicIdentity | None:
        """The site, or else the recipient, of a name; None if there is none."""
        parties = self.sites if site else self.recipients
        return next((party for party in parties if party.name == name), None)


def write_time(time: datetime) -> str:
    """Return a time in UTC, to the second below, such as 2027-06-30T00:00:00Z."""
    return time.astimezone(UTC).strftime(TIME_FORMAT)


def _wrong(key: str, found: str, required: str) -> ManifestError:
    return ManifestError(
        f"manifest, {key}: {found} was found; {required} required; have the study's "
        "owner make it with 'fedglmm study sign'"
    )
