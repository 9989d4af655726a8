"""The three tasks in the shape of the OpenAI Images API, for the public ``openai`` client.

Requests are put into this service's own words and go the way of every other; see docs/openai.md.
"""
