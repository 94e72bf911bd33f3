"""The domain of ProductSync: credits, catalogue, feeds, runs and workspaces; README.md in this folder is the map."""
