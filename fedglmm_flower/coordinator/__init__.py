"""What is made of the releases: opening, pseudo-data, fit, accuracy, result."""

from fedglmm_flower.coordinator.combine import Options, fit_sealed
from fedglmm_flower.coordinator.opening import Refusal
from fedglmm_flower.coordinator.refit import refit
from fedglmm_flower.coordinator.reopened import Reopened, reopen
from fedglmm_flower.coordinator.result import Result
from fedglmm_flower.coordinator.submodel import Submodel, submodel

__all__ = [
    "Options",
    "Refusal",
    "Reopened",
    "Result",
    "Submodel",
    "fit_sealed",
    "refit",
    "reopen",
    "submodel",
]
