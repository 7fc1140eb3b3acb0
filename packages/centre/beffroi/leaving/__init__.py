"""A collectivité leaves: from a day on nobody is let in, then all of it is erased by one request, its keys last."""
