"""Which tests one worker of pytest-xdist runs, so that set-ups are made once."""

from xdist.scheduler import LoadScopeScheduling


class ByPlace(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """
    All of a deployment together, modules as they are, and long tests one by one.

    The marker ``xdist_group`` asks for the same, and has no effect with pytest 9.2 and
    xdist 3.8: both workers built the consortium of the deployment.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/deployment/"):
            return "tests/deployment"
        if nodeid.startswith("tests/end_to_end/"):
            return nodeid
        return nodeid.partition("::")[0]
