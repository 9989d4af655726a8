"""The whole service by one command: a private broker, one worker, the reconciler and the gateway,
supervised. With ``MMML_REDIS_URL`` set no broker is started; everything else is the same.
"""
