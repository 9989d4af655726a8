"""The service as it is installed, around a pipeline that is measured: broker, reconciler, gateway
and workers, each a process of its own.
"""
