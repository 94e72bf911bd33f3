"""Sources: where the files of feeds are fetched from, without a person sending them.

What comes from outside is not trusted: neither the address that somebody wrote into a definition, nor what its name
resolves to, nor what answers there.
"""
