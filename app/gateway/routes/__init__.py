"""HTTP routes; each file makes one router."""
