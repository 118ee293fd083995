"""Wire formats: how a request is written and how a response is read. Pure functions; the key is an argument."""
