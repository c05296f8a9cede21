"""Write wire.json and envelope.json again, byte for byte."""

import json
from pathlib import Path
from typing import Any

from tests.vectors import envelope_cases, wire_cases

HERE = Path(__file__).parent


def vectors() -> dict[str, str]:
    """Text of each file by its name."""
    parties = {
        party: {
            "x25519": envelope_cases.secret(f"{party} x25519").hex(),
            "ed25519": envelope_cases.secret(f"{party} ed25519").hex(),
        }
        for party in envelope_cases.PARTIES
    }
    expected = {
        "binding": envelope_cases.TO_COORDINATOR,
        "sender": "site a",
        "recipient": "coordinator",
    }
    envelopes = [
        *envelope_cases.good_vectors(),
        *envelope_cases.edited_vectors(),
        *envelope_cases.forged_vectors(),
    ]
    return {
        "wire.json": text({"vectors": wire_cases.wire_vectors()}),
        "envelope.json": text(
            {"private_keys": parties, "unless_told": expected, "vectors": envelopes}
        ),
    }


def text(content: dict[str, Any]) -> str:
    """JSON that shows one vector a paragraph in a comparison of versions."""
    return json.dumps(content, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    for name, content in vectors().items():
        (HERE / name).write_text(content, encoding="utf-8")
