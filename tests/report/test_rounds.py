"""Further rounds in a report: told, with the error that they have measured."""

import copy
from typing import Any

import pytest

from fedglmm_flower.report.commands import commands_of
from fedglmm_flower.report.markdown import page_markdown
from fedglmm_flower.report.text import summary_text
from tests.report.results import full_result


def refined(**changes: Any) -> dict[str, Any]:
    """A result that has arrived after three points."""
    result = copy.deepcopy(full_result())
    result |= {"privacy": None, "exactness": "exact"}
    result["study"]["formula"] = "y ~ x + g + (1 | site)"
    result["diagnostics"]["refinement"] = {
        "state": "arrived", "rounds": 4, "asked": "refine:5",
        "one_round_shift_se": [0.25, 0.0125, None, 0.125],
        "one_round_shift": [0.02, 0.001, 0.0, 0.01],
        "one_round_sd_shift": [-0.0625], "predicted_change_se": 2e-9, **changes,
    }  # fmt: skip
    return result


def line(result: dict[str, Any]) -> str:
    """The summary, however it is broken."""
    return " ".join(summary_text(result).split())


def test_more_rounds_are_not_called_one():
    """Head, what was sent, and the error of the one round as it was measured."""
    text = line(refined())

    assert "federation of 4 rounds" in text
    assert "one-round federation" not in text
    assert "Sent: first," in text
    assert "gradient and Hessian at up to 3 points" in text
    assert "Rounds: 3 after the first (arrived)" in text
    assert "the one-round estimates were 0.25 standard errors off at most" in text


def test_the_page_has_what_the_rounds_measured():
    """In the table of measures, beside the other diagnostics."""
    text = page_markdown(refined())

    assert "| Error of the one round, measured | 0.25 standard errors |" in text
    assert "| The same, of an sd | 0.062 |" in text


def test_rounds_that_have_not_arrived_do_not_speak_of_pseudo_data():
    """The errors are those of the next step, and not of the moments."""
    result = refined(state="out-of-rounds") | {"exactness": "approximate"}

    text = line(result)

    assert "Fit: approximate: the further rounds have not arrived" in text
    assert "miss no moment" not in text


def test_kept_estimates_are_those_of_the_one_round():
    """Where nothing better was found, no error of the one round is claimed."""
    result = refined(state="site-lost", one_round_shift=None, one_round_shift_se=None)
    result["exactness"] = "approximate"

    text = line(result)

    assert "(site-lost); these are the estimates of the one round" in text
    assert "pseudo-data miss no moment" in text
    assert "standard errors off" not in text


def test_penalised_estimates_are_not_those_of_the_rows_alone():
    """The label has the penalty."""
    penalty = {"by": "l2", "value": 2.5, "path": []}

    assert "those of the pooled rows under an L2 penalty of 2.5" in line(
        refined(penalty=penalty, one_round_shift=None, one_round_shift_se=None)
    )


@pytest.mark.parametrize("asked", ["refine:5", "iterative", "iterative:bic:0,2.5"])
def test_the_command_asks_for_the_same_rounds(asked):
    """As they were asked for, and not by their number."""
    ((_, _), (_, again)) = commands_of(refined(asked=asked))

    assert f"--rounds {asked} " in again
