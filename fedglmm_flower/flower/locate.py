"""Which ``site.toml`` belongs to a node."""

from pathlib import Path

from flwr.app import Context
from flwr.common.constant import PARTITION_ID_KEY

from fedglmm_flower.errors import PolicyError
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.study import parse_study

SITE_CONFIG = "site-config"
SITES_DIR = "sites-dir"


def site_file(context: Context, study: bytes) -> Path:
    """
    The ``site.toml`` of the node that a message has reached.

    In a deployment the SuperNode names it: ``--node-config 'site-config="..."'``.  In
    Flower's Simulation Engine node i takes the i-th site of the study, and its file is
    ``SITE/site.toml`` in the folder that ``sites-dir`` of the run configuration names.

    Parameters
    ----------
    context : Context
        The node's context.
    study : bytes
        Canonical bytes of the study.

    Returns
    -------
    Path
        The file; it need not exist.

    Raises
    ------
    PolicyError
        If the node has neither, or more nodes than sites are simulated.
    StudyError
        If the bytes are no study.
    """
    named = context.node_config.get(SITE_CONFIG)
    if named is not None:
        path = Path(str(named))
        if not path.is_absolute():
            raise PolicyError(
                f"{SITE_CONFIG}: {named!r} was found; an absolute path is required; "
                "correct --node-config of the SuperNode"
            )
        return path
    folder = context.run_config.get(SITES_DIR)
    position = context.node_config.get(PARTITION_ID_KEY)
    if not folder or not isinstance(position, int):
        raise PolicyError(
            f"node: neither {SITE_CONFIG} nor {SITES_DIR} was found; one is required; "
            "start the SuperNode with --node-config 'site-config=\"/.../site.toml\"'"
        )
    sites = parse_study(study).sites
    if position >= len(sites):
        raise PolicyError(
            f"node {position + 1}: the study has {len(sites)} sites; one node for each "
            "is required; set num-supernodes to the number of sites"
        )
    return Path(str(folder)) / file_name(sites[position]) / "site.toml"
