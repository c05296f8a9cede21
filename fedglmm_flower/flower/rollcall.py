"""Who is who: which node speaks for which site, and who is missing."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from fedglmm_flower.errors import ExchangeError
from fedglmm_flower.flower.exchange import MISSING, Refused, SealedRelease


class RollCall:
    """
    The answers of one round, by site.

    A node tells its site only in its answer.  Whether it is that site is proved when
    the envelope is opened with the site's pinned key; here it is made sure that each
    expected site answers once and nobody else does.

    Parameters
    ----------
    expected : iterable of str
        The study's sites.

    Attributes
    ----------
    releases : dict
        Sealed release of each site that sent one.
    refusals : dict
        Refusal of each site that named itself.
    """

    def __init__(self, expected: Iterable[str]) -> None:
        self.expected = tuple(expected)
        self.releases: dict[str, SealedRelease] = {}
        self.refusals: dict[str, Refused] = {}
        self._node_of: dict[str, int] = {}
        self._nameless: dict[int, Refused] = {}
        self._rejected: dict[str, Refused] = {}

    @property
    def complete(self) -> bool:
        """Whether every expected site has answered."""
        return len(self._node_of) == len(self.expected)

    @property
    def answered(self) -> int:
        """Number of answers that came."""
        return len(self._node_of) + len(self._nameless)

    def node_of(self, site: str) -> int | None:
        """The node that answered for a site, if one did."""
        return self._node_of.get(site)

    def accept(
        self, node: int, reply: SealedRelease | Refused, online: Collection[int]
    ) -> bool:
        """
        Enter the answer of a node.

        Parameters
        ----------
        node : int
            Node that was asked.
        reply : SealedRelease or Refused
            Its answer.
        online : collection of int
            Nodes that are online now.

        Returns
        -------
        bool
            Whether the answer counts.  It does not if the site has already released
            through a node that has gone since: a SuperNode that was restarted comes
            back under another identifier and is asked again.

        Raises
        ------
        ExchangeError
            If the node names a site that the study does not expect, or one that
            another node speaks for.
        """
        self._nameless.pop(node, None)  # it was asked again
        if isinstance(reply, Refused) and reply.site is None:
            self._nameless[node] = reply
            return True
        site = str(reply.site)
        if site not in self.expected:
            raise ExchangeError(
                f"node {node}: it speaks for site {site!r}; one of the study's "
                f"{len(self.expected)} sites is required; correct the site's "
                "configuration or the study"
            )
        before = self._node_of.get(site)
        if before is not None:
            if before in online and before != node:
                raise ExchangeError(
                    f"nodes {before} and {node}: both speak for site {site!r}; one "
                    "node for each site is required; stop the other SuperNode"
                )
            if site in self.releases:
                self._node_of[site] = node  # it is here that the estimates go
                return False
        self._node_of[site] = node
        if isinstance(reply, SealedRelease):
            self.refusals.pop(site, None)
            self.releases[site] = reply
        else:
            self.refusals[site] = reply
        return True

    def reject(self, refused: Refused) -> None:
        """
        Note that a release was not the site's that it names.

        It does not speak for the site, which may still answer: otherwise anybody could
        keep a site out by speaking first.
        """
        self._rejected[str(refused.site)] = refused

    def absent(self) -> dict[str, Refused]:
        """
        Expected sites that did not answer under their name, and why.

        A site in whose name alone something came that was not its own is told by what
        was wrong with that.  A node that crashed could not say which site it is: if
        all nameless answers give one reason and are as many as the other absent sites,
        it is their reason.
        """
        absent = [site for site in self.expected if site not in self._node_of]
        untold = [site for site in absent if site not in self._rejected]
        reasons = set(self._nameless.values())
        alike = len(self._nameless) == len(untold) and len(reasons) == 1
        reason = reasons.pop() if alike else MISSING
        return {
            site: self._rejected.get(site) or replace(reason, site=site)
            for site in absent
        }
