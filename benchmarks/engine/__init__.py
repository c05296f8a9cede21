"""
Claim: the engine fits mixed models faster than any peer, to the tightest digits.

Six designs with six fixed effects: logistic and Poisson with a random intercept, 100
groups of 1,000 rows and 1,000 groups of 200; a random slope; clinics within groups.
Peers are lme4 (R), and glmm, GPBoost and mixedlm (from the package index); one that is
not installed is skipped with a line.

Every fit runs in a process of its own, so that the peak of its memory is its own, on
one thread, after a warm-up on a few groups.  Engines take turns, and the median over
the turns is told.  Results are appended to a file as they come; a second run goes on
where the first one ended.

Run: ``python -m benchmarks.engine``.
"""
