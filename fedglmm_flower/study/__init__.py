"""What is asked: columns, formula, family, release set, and the study file."""

from fedglmm_flower.study.columns import Column
from fedglmm_flower.study.file import parse_study, read_study, write_study
from fedglmm_flower.study.formula import Formula, RandomPart, parse_formula
from fedglmm_flower.study.model import Model, build_model
from fedglmm_flower.study.release import Statistic, release_statistics
from fedglmm_flower.study.study import Study

__all__ = [
    "Column",
    "Formula",
    "Model",
    "RandomPart",
    "Statistic",
    "Study",
    "build_model",
    "parse_formula",
    "parse_study",
    "read_study",
    "release_statistics",
    "write_study",
]
