"""Names of files: a site's name as a file name."""

import hashlib
from urllib.parse import quote

MAX_NAME = 150


def file_name(site: str) -> str:
    """
    The name of a site as the name of a file or folder, on any system.

    Law: different sites have different file names, and none leads out of its folder.

    Parameters
    ----------
    site : str
        Any text.

    Returns
    -------
    str
        The site percent-encoded; an overlong one is cut and ends in a digest.

    Examples
    --------
    >>> file_name("St. Mary/North"), file_name(".."), file_name("12")
    ('St.%20Mary%2FNorth', '%2E.', '12')
    """
    encoded = quote(site, safe="")
    if encoded.startswith("."):
        encoded = f"%2E{encoded[1:]}"
    if len(encoded) > MAX_NAME:
        digest = hashlib.sha256(site.encode()).hexdigest()
        encoded = f"{encoded[:MAX_NAME]}%~{digest[:32]}"
    return encoded
