"""The coordinator's side of further rounds: points out, scores in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fedglmm_flower.coordinator import Result
from fedglmm_flower.coordinator.asking import AskSites
from fedglmm_flower.coordinator.combine import Combined
from fedglmm_flower.coordinator.refine import refine
from fedglmm_flower.envelope import (
    Binding,
    decode_score,
    encode_point,
    seal,
    unseal,
)
from fedglmm_flower.envelope.binding import Kind
from fedglmm_flower.errors import FedglmmError, WireError
from fedglmm_flower.flower.coordinator_desk import CoordinatorDesk
from fedglmm_flower.flower.exchange import Admitted, Refused, Request, ScoreRequest
from fedglmm_flower.flower.rounds import Rounds
from fedglmm_flower.site.scored import Point, ReleasedScore

# Number of a point and sealed questions by site, to sealed answers or refusals by site.
Carry = Callable[[int, Mapping[str, ScoreRequest]], Mapping[str, bytes | Refused]]
# A question of a run that ended before the answer had come.
NOT_ASKED = Refused(None, "not-asked", "the run ended before the site had answered")


@dataclass
class RefiningDesk:
    """
    A coordinator's desk that goes on after the one round; knows nothing of Flower.

    Parameters
    ----------
    desk : CoordinatorDesk
        Its side of the one round.
    rounds : Rounds
        What follows the one round.

    Attributes
    ----------
    refusals : dict
        Why sites gave no score.
    bytes_asked, bytes_answered : int
        Sizes of the sealed messages of the further rounds.
    points : int
        At which any site was asked.
    """

    desk: CoordinatorDesk
    rounds: Rounds
    combined: Combined | None = None
    refusals: dict[str, Refused] = field(default_factory=dict)
    bytes_asked: int = 0
    bytes_answered: int = 0
    points: int = 0

    @property
    def key_id(self) -> str:
        """Identifier of the key that releases are sealed to."""
        return self.desk.key_id

    @property
    def manifest(self) -> bytes:
        """The study's signed manifest; empty without one."""
        return self.desk.manifest

    def admit(self, site: str, sealed: bytes) -> Admitted | Refused:
        """Whether a sealed release is the site's, for this study and run."""
        return self.desk.admit(site, sealed)

    def combine(
        self,
        sealed: Mapping[str, bytes],
        refusals: Mapping[str, Refused],
        summarise_s: float,
    ) -> Result:
        """Fit the one round and write ``result.json``, in case nothing follows."""
        self.combined = self.desk.fit(sealed, refusals, summarise_s)
        result = self.combined.result()
        result.write(self.desk.folder)
        return result

    def seal_result(self, result: Result, site: str) -> bytes | None:
        """Seal the estimates to a site; None if they rest on too few sites."""
        return self.desk.seal_result(result, site)

    def go_on(self, one_round: Result, carry: Carry) -> Result:
        """
        Refine the one-round estimates and write ``result.json`` again.

        Parameters
        ----------
        one_round : Result
            What `combine` returned; what is kept if the refinement fails.
        carry : callable
            Takes questions to sites and brings their answers.
        """
        combined = self.combined
        if combined is None or combined.study.family == "gaussian":
            return _noted(one_round, "not-needed")
        try:
            refined = refine(
                combined,
                self._asking(carry),
                self.rounds.steps,
                fresh=self.rounds.fresh,
                choice=self.rounds.choice,
            )
        except FedglmmError as error:
            refined = _noted(
                one_round,
                "failed",
                f"the refinement failed ({error.code}: {error.public}); these are the "
                "estimates of the one round",
            )
        missing = [s for s, r in self.refusals.items() if r.code == NOT_ASKED.code]
        if missing:
            refined = _broken_off(refined, missing)
        values = refined.to_dict()
        notes = values["diagnostics"].setdefault("refinement", {})
        notes["asked"] = self.rounds.text
        notes["rounds"] = 1 + self.points
        notes["bytes_asked"] = self.bytes_asked
        notes["bytes_answered"] = self.bytes_answered
        notes["refusals"] = {
            site: {"code": why.code, "public": why.public}
            for site, why in sorted(self.refusals.items())
        }
        result = Result(values)
        result.write(self.desk.folder)
        return result

    def _asking(self, carry: Carry) -> AskSites:
        def ask(point: Point, sites: tuple[str, ...]) -> dict[str, ReleasedScore]:
            questions = {site: self._question(site, point) for site in sites}
            self.points = max(self.points, point.number)
            self.bytes_asked += sum(len(q.sealed) for q in questions.values())
            self.desk.options.tick("refine", point.number, self.rounds.points)
            found: dict[str, ReleasedScore] = {}
            for site, answer in carry(point.number, questions).items():
                if isinstance(answer, Refused):
                    self.refusals[site] = answer
                    continue
                self.bytes_answered += len(answer)
                try:
                    found[site] = self._opened(site, point, answer)
                except FedglmmError as error:
                    self.refusals[site] = Refused(site, error.code, error.public)
            return found

        return ask

    def _question(self, site: str, point: Point) -> ScoreRequest:
        desk = self.desk
        sealed = seal(
            encode_point(point),
            binding=self._binding("point", site),
            sender=desk.keys.identity,
            recipient=desk.keys.publics[site],
        )
        request = Request(
            desk.study.canonical_bytes, desk.run_id, desk.key_id, desk.manifest
        )
        return ScoreRequest(request, sealed)

    def _opened(self, site: str, point: Point, sealed: bytes) -> ReleasedScore:
        desk = self.desk
        scored = decode_score(
            unseal(
                sealed,
                binding=self._binding("score", site),
                recipient=desk.keys.identity,
                sender=desk.keys.publics[site],
            )
        )
        said = (scored.site, scored.study_digest, scored.point)
        if said != (site, desk.study.digest, point):
            raise WireError(
                f"score of {site!r}: speaks of site {scored.site!r}, of another study "
                "or of another point inside its seal; what was asked is required; ask "
                "the site"
            )
        return scored

    def _binding(self, kind: Kind, site: str) -> Binding:
        desk = self.desk
        return Binding(kind, desk.study.digest, desk.run_id, site, desk.manifest_digest)


def _broken_off(result: Result, missing: list[str]) -> Result:
    """A result of rounds of which the last answers are missing."""
    values = result.to_dict()
    notes = values["diagnostics"]["refinement"]
    point = notes["rounds"] - 1
    one_round = notes["one_round_shift"] is None
    notes["state"] = "broken-off"
    whose = "the one round" if one_round else "the last point that all answered"
    values["diagnostics"]["warnings"].append(
        f"the run broke off in its further rounds: answers of {len(missing)} sites at "
        f"point {point} are missing; these are the estimates of {whose}; run the study "
        "again: points that were answered before count once"
    )
    return Result(values)


def _noted(result: Result, state: str, *texts: str) -> Result:
    values = result.to_dict()
    values["diagnostics"]["warnings"] += texts
    values["diagnostics"]["refinement"] = {"state": state, "rounds": 1}
    return Result(values)
