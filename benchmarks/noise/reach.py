"""
How many rows a site needs under noise, by number of covariates and epsilon.

Run: ``python -m benchmarks.noise.reach``.
"""

from fedglmm_flower.coordinator.noise_plan import Plan, plan_of
from fedglmm_flower.study import Column, Study

COVARIATES = (2, 4, 8)
EPSILONS = (0.5, 1.0, 3.0)
ROWS = (200, 500, 1000, 2000, 5000, 10_000)
SITES = 20


def study_of(covariates: int) -> Study:
    """Half of the covariates normal within four sds, half 0/1; public anchor."""
    half = covariates // 2
    numbers = tuple(f"x{k}" for k in range(1, half + 1))
    flags = tuple(f"b{k}" for k in range(1, half + 1))
    effects = {"Intercept": -1.0, **dict.fromkeys(numbers, 0.4)}
    return Study(
        name="reach",
        formula=f"y ~ {' + '.join((*numbers, *flags))} + (1 | site)",
        family="binomial",
        link="logit",
        method="laplace",
        site_column="site",
        columns=(
            *(
                Column(name, "continuous", (), "", -4.0, 4.0, 0.0, 1.0)
                for name in numbers
            ),
            *(Column(name, "binary") for name in (*flags, "y")),
        ),
        sites=tuple(f"s{k:02d}" for k in range(SITES)),
        release_set="public",
        order=2,
        anchor=tuple(sorted((effects | dict.fromkeys(flags, 0.4)).items())),
    )


def main() -> None:
    """Print the table."""
    head = ["covariates", "rows a site", *(f"epsilon {e:g}" for e in EPSILONS)]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for covariates in COVARIATES:
        plan = plan_of(Plan(study_of(covariates), (1000,) * SITES, EPSILONS))
        by_cell = {(one["rows"], one["epsilon"]): one for one in plan["grid"]}
        for rows in ROWS:
            cells = [by_cell[rows, epsilon] for epsilon in EPSILONS]
            words = [
                f"{one['largest_inflation']:.2g} "
                f"{'useless' if one['useless'] else one['light']}"
                for one in cells
            ]
            print(f"| {' | '.join([str(covariates), f'{rows:,}', *words])} |")


if __name__ == "__main__":
    main()
