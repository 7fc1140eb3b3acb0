"""Build ``data/communes.tsv.xz`` from the npm package ``@etalab/decoupage-administratif``.

    npm pack @etalab/decoupage-administratif@6.0.0 && tar xzf etalab-*.tgz
    python -m beffroi.core.communes.build_register package

Process: a developer's machine, once a year (INSEE publishes in January). The result is committed.
Output:  UTF-8 lines, tab-separated, in order of code; the same input gives the same bytes.

    E  siren  kind  name                                    an EPCI with own taxes (CA, CC, CU, METRO...)
    C  insee  siren  departement  population  epci_siren  name     a commune of today; unknown fields are empty
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "data" / "communes.tsv.xz"


def lines(communes: list[dict[str, Any]], epcis: list[dict[str, Any]]) -> list[str]:
    """Return the lines of the register. Communes that merged into another (delegated, associated) are left out."""
    home = {member["code"]: epci["code"] for epci in epcis for member in epci["membres"]}
    found = [
        "\t".join(("E", epci["code"], epci["type"], epci["nom"]))
        for epci in sorted(epcis, key=lambda one: str(one["code"]))
    ]
    for commune in sorted(communes, key=lambda one: str(one["code"])):
        if commune["type"] == "commune-actuelle":
            code = commune["code"]
            fields = (
                code,
                commune.get("siren", ""),
                commune["departement"],
                str(commune.get("population", "")),
                home.get(code, ""),
                commune["nom"],
            )
            found.append("\t".join(("C", *fields)))
    return found


def main(package: Path) -> None:
    communes, epcis = (json.loads((package / "data" / f"{n}.json").read_text()) for n in ("communes", "epci"))
    text = "".join(f"{line}\n" for line in lines(communes, epcis))
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
