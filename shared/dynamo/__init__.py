"""The ground under the stores: a configured client, values in and out, and transactions with their reasons."""
