"""A worker without networks: the real one, around pipelines that draw what they are asked for.

``python -m workers.fake`` is what ``mmml serve --fake`` runs. It needs neither torch nor numpy.
"""
