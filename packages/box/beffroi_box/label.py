"""The label of a box: serial, fingerprint as text and as QR code, and where its page is. One SVG, ready to print.

Purpose: whoever plugs the box in reads the serial; whoever confirms it compares the fingerprint.
Process: ``beffroi-box label``, at the workshop; qrencode (Debian) makes the code.
Input:   serials are shown as text, whatever is in them.
Source:  docs/fr/boitier.md; ISO/IEC 18004 (QR).
"""

from __future__ import annotations

import subprocess
from html import escape

from beffroi_box.errors import LabelFailed
from beffroi_box.pagerules import PAGE_ADDRESS

WIDTH_MM, HEIGHT_MM, QR_MM = 96, 44, 34
_QUIET = 2


def qr_modules(text: str) -> list[str]:
    """Return the rows of a QR code, ``#`` for dark. Errors: LabelFailed."""
    argv = ["/usr/bin/qrencode", "-t", "ASCII", "-m", "0", "-l", "M", "-o", "-", "--", text]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        raise LabelFailed("apt-get install qrencode") from None
    # Each module is two characters wide.
    return [row[::2].ljust(len(row) // 2) for row in done.stdout.splitlines()]


def label_svg(serial: str, fingerprint: str) -> str:
    """Return the label, 96 mm by 44 mm. Errors: LabelFailed."""
    rows = qr_modules(f"BEFFROI {serial} {fingerprint}")
    size = len(rows) + 2 * _QUIET
    dark = "".join(
        f"M{x + _QUIET} {y + _QUIET}h1v1h-1z"
        for y, row in enumerate(rows)
        for x, module in enumerate(row)
        if module == "#"
    )
    groups = fingerprint.split(" ")
    lines = (" ".join(groups[:3]), " ".join(groups[3:]))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM}mm" height="{HEIGHT_MM}mm" \
viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}" role="img" aria-label="Beffroi {escape(serial)}, {escape(fingerprint)}">
<rect width="100%" height="100%" fill="#fff"/>
<svg x="3" y="3" width="{QR_MM}" height="{QR_MM}" viewBox="0 0 {size} {size}" shape-rendering="crispEdges">\
<path d="{dark}" fill="#000"/></svg>
<g font-family="DejaVu Sans, Arial, sans-serif" fill="#000">
<text x="40" y="9" font-size="5" font-weight="bold">Boîtier Beffroi</text>
<text x="40" y="15" font-size="3">Numéro de série</text>
<text x="40" y="20" font-size="4.4" font-family="DejaVu Sans Mono, monospace">{escape(serial)}</text>
<text x="40" y="26" font-size="2.8">Empreinte, à comparer au téléphone</text>
<text x="40" y="31" font-size="4.4" font-family="DejaVu Sans Mono, monospace">{escape(lines[0])}</text>
<text x="40" y="36" font-size="4.4" font-family="DejaVu Sans Mono, monospace">{escape(lines[1])}</text>
<text x="3" y="41.5" font-size="3.2">Mise en service : http://{PAGE_ADDRESS}/</text>
</g>
</svg>
"""
