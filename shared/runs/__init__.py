"""Runs: how a feed's file is prepared, carried out and paid for, step by step. See README.md of `shared` for the
flow.
"""
