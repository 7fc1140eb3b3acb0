"""Day, month, year, as the sentences of ``words`` write them; Django's is American."""

DATE_FORMAT = "j F Y"
