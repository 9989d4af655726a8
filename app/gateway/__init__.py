"""The HTTP process. Its files in the order of a request: protocol, middleware, auth, rate_limits,
routes, uploads, submission, enqueue, and back through subscriptions, event_streams and views.
"""
