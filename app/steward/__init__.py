"""The steward: one torch-free process that makes "nothing accepted is lost" true.

The job record is the truth and a message only a hint, so a killed worker, a lost message and a
gateway that died
between record and message are all the same case here: an unfinished job with no live lease and no
recent message.
Any number of stewards may run; every change they make is one compare-and-set of the job store.
"""
