"""People: how they are added (`directory`), and how one who has signed in is recognised (`tokens`).

Import from the modules: recognising brings cryptography along, which the others have no need to load.
"""
