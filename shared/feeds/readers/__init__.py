"""The readers: one module for each file type, all giving rows one at a time (see base.py for what they promise)."""
