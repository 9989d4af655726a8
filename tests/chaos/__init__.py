"""What the service survives, shown with real processes and a real Valkey: ``make chaos``.

A *fault* is one row of the table; a *trial* is one time that it is inflicted; what a trial found is
held against the fault's bar. Faults that share a running service form a *family*, one module each.
"""
