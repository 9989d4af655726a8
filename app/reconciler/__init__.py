"""The reconciler: one torch-free process that makes "nothing accepted is lost" true.

The job record is the truth, so a killed worker is nothing but a job whose lease is dead: it waits
again. Workers ask for jobs by themselves, so nothing has to be sent here.
Any number of reconcilers may run; every change they make is one compare-and-set of the job store.
"""
