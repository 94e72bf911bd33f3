"""Rules: what changes of records set off, checked, computed, paid for, and kept from running away."""
