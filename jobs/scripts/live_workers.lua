-- Names of the workers that are alive.
return redis.call('ZRANGEBYSCORE', p .. 'alive', stamp(now), '+inf')
