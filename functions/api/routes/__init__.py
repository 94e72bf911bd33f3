"""The routes, one module for each room of the API. They read, call one command, and answer; refusals are raised."""
