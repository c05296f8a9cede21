"""One fit by one engine in this process: ``python -m benchmarks.engine.one``."""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

# Before numpy is read: one thread for every engine.
for name in ("OMP", "OPENBLAS", "MKL", "RAYON"):
    os.environ[f"{name}_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402 - see above
import pandas as pd  # noqa: E402

Answer = dict[str, Any]
Fit = Callable[[pd.DataFrame], Answer]


def ours(formula: str, family: str, method: str) -> Fit:
    """The engine of this package, formula and table included."""
    from fedglmm_flower.glmm import fit

    def run(frame: pd.DataFrame) -> Answer:
        m = fit(formula, frame, family=family, method=method)
        sd = np.concatenate([effect.sd for effect in m.random])
        return answer(m.estimates, m.se, sd, m.loglik)

    return run


def glmm(formula: str, family: str, method: str) -> Fit:
    """Package glmm, from formula and table."""
    package = import_module("glmm")

    nodes = int(method.partition(":")[2] or 1)

    def run(frame: pd.DataFrame) -> Answer:
        m = package.fit(frame, formula, family=family, nagq=nodes)
        # Each block is a packed triangle of at most two effects.
        variances = [
            block[i] for block in m.varcorr for i in sorted({0, len(block) - 1})
        ]
        return answer(m.beta, m.se, np.sqrt(variances), m.loglik)

    return run


def gpboost(formula: str, family: str, method: str) -> Fit:
    """GPBoost, from arrays, with the settings that let it arrive."""
    require_laplace(method)
    package = import_module("gpboost")

    likelihood = {"binomial": "bernoulli_logit", "poisson": "poisson"}[family]
    settings = {
        "optimizer_cov": "lbfgs",
        "optimizer_coef": "lbfgs",
        "delta_rel_conv": 1e-10,
    }

    def run(frame: pd.DataFrame) -> Answer:
        slopes = frame[[f"x{k}" for k in range(1, 6)]].to_numpy()
        groups = ["g", "c"] if "c" in frame else ["g"]
        model = package.GPModel(
            group_data=frame[groups], likelihood=likelihood, num_parallel_threads=1
        )
        X = np.column_stack([np.ones(len(frame)), slopes])
        model.fit(y=frame["y"].to_numpy(float), X=X, params=settings)
        beta = np.asarray(model.get_coef(format_pandas=False)).ravel()
        sd = np.sqrt(np.asarray(model.get_cov_pars(format_pandas=False)).ravel())
        loglik = -model.get_current_neg_log_likelihood()
        return answer(beta, np.full(len(beta), np.nan), sd, loglik)

    if "x1 |" in formula:
        raise NotImplementedError("its random slopes do not covary with the intercept")
    return run


def mixedlm(formula: str, family: str, method: str) -> Fit:
    """Package mixedlm, from formula and table."""
    require_laplace(method)
    package, families = import_module("mixedlm"), import_module("mixedlm.families")

    chosen = {"binomial": families.Binomial, "poisson": families.Poisson}[family]

    def run(frame: pd.DataFrame) -> Answer:
        text = {name: frame[name].astype(str) for name in ("g", "c") if name in frame}
        m = package.glmer(formula, frame.assign(**text), family=chosen())
        found = m.VarCorr()
        sd = np.concatenate([np.ravel(list(g.stddev.values())) for g in groups(found)])
        fixed = np.array(list(m.fixef().values()))
        return answer(fixed, np.sqrt(np.diag(m.vcov())), sd, m.logLik().value)

    def groups(found: Any) -> list[Any]:
        return list(found.groups.values())

    return run


def require_laplace(method: str) -> None:
    """Some peers are timed by Laplace alone."""
    if method != "laplace":
        raise NotImplementedError(f"{method} is not timed")


ENGINES: dict[str, Callable[[str, str, str], Fit]] = {
    "fedglmm": ours,
    "glmm": glmm,
    "GPBoost": gpboost,
    "mixedlm": mixedlm,
}


def answer(fixed: Any, se: Any, sd: Any, loglik: Any) -> Answer:
    """Numbers that JSON can hold; standard deviations by size."""
    return {
        "fixed": np.asarray(fixed, dtype=float).tolist(),
        "se": np.asarray(se, dtype=float).tolist(),
        "sd": sorted(np.asarray(sd, dtype=float).tolist()),
        "loglik": float(loglik),
    }


def peak() -> float:
    """
    Largest resident memory of this process so far, in MB.

    Not ``ru_maxrss``, which a child inherits from the process that started it.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Arguments: engine, rows, formula, family, method; prints a line of JSON."""
    engine, path, formula, family, method = sys.argv[1:]
    warnings.simplefilter("ignore")
    frame = pd.read_csv(path)
    began = time.process_time()
    try:
        fit = ENGINES[engine](formula, family, method)
    except (ImportError, NotImplementedError) as error:
        print(json.dumps({"skipped": f"{error}"}))
        return
    imports = time.process_time() - began
    fit(frame[frame["g"] < 10].reset_index(drop=True))
    base = peak()
    began = time.process_time()
    found = fit(frame)
    seconds = time.process_time() - began
    cost = {"seconds": seconds, "imports": imports, "base": base, "peak": peak()}
    print(json.dumps({**cost, **found}))


if __name__ == "__main__":
    main()
