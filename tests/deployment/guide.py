"""The blocks of docs/deploy.md, in the order in which a reader pastes them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "deploy.md"
FENCE = re.compile(r"^```(\w+) ([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """
    A block of the page.

    Parameters
    ----------
    language : str
        ``sh`` or ``ini``.
    machine : str
        Where it is pasted: ``relay``, ``coordinator``, ``site``, ``everywhere`` ...
    kind : str
        What the rest of the fence says, such as ``service fedglmm-relay``.
    text : str
        The block.
    """

    language: str
    machine: str
    kind: str
    text: str


def blocks(language: str = "sh") -> list[Block]:
    """The blocks of a language whose fence names a machine or a unit."""
    found = []
    for kind, fence, text in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        machine, _, rest = fence.partition(" ")
        if kind == language:
            found.append(Block(kind, machine, rest, text))
    return found


def only(machine: str, kind: str = "") -> str:
    """The one block of a machine and kind."""
    (block,) = [b for b in blocks() if (b.machine, b.kind) == (machine, kind)]
    return block.text


def words(command: str) -> list[str]:
    """A command without line breaks and comment, to be compared."""
    lines = [line for line in command.splitlines() if not line.startswith("# ")]
    return " ".join(lines).replace("\\ ", " ").split()
