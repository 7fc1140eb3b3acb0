"""Forms of dates of the languages that the portal speaks, where Django's are not the house's."""
