"""Telling a client's server that a job is over, by the Standard Webhooks specification."""
