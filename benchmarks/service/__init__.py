"""The service as it is installed, each process of its own, around a pipeline that is measured."""
