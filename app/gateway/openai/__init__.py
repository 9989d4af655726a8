"""The OpenAI Images shape of the three tasks, so that the public ``openai`` client works unchanged.

Requests are put into this service's own words and go the way of every other; see docs/openai.md.
"""
