r"""Signs that nobody sees, each kind as a part of a class of ``re``: ``re.compile(f"[{CONTROLS}{TURNING}]")``. Pure.

Hostile: whoever writes them: a name with one is read as another name, or as the end of a line.
Not here: ``drive.archives.names``, whose set is part of a signed format.
Source:  Unicode 16, chapter 23 and DerivedCoreProperties (Default_Ignorable_Code_Point); TR 36.
"""

CONTROLS = "\x00-\x1f\x7f-\x9f"
LINE_ENDS = "\u2028\u2029"
"""Of Unicode; those of ASCII are among the controls."""
HALVES = "\ud800-\udfff"
"""Of a pair of UTF-16: no text, and UTF-8 has no spelling for them."""
DIRECTION = "\u061c\u200e\u200f"
"""Which way the signs beside them are read; Arabic and Hebrew use them."""
TURNING = "\u202a-\u202e\u2066-\u2069"
"""Turn the order of letters: "facture<turn>fdp.exe" is read "factureexe.pdf"."""
ZERO_WIDTH = "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff"
"""Stand within a word and are not there. Soft hyphens, and the joiners U+200C and U+200D, belong to some words."""
