# Starts Redis with the password of /run/secrets/redis_password, which stands on no command line. Redis itself gets the
# signals and writes its file to the end. Everything waits for Redis, so it also says what .env may not ask for.
set -eu
umask 077
secret=${SECRET:-/run/secrets/redis_password}
for profile in $(echo "${PROFILES:-}" | tr ',' ' '); do
    case $profile in
        gpus-2 | gpus-4 | gpus-8 | monitoring) ;;
        *) echo "COMPOSE_PROFILES names $profile; there are gpus-2, gpus-4, gpus-8 and monitoring." >&2; exit 1 ;;
    esac
done
if ! [ -s "$secret" ]; then
    echo "There is no password for Redis. Run deploy/secrets.sh, which makes one, and start again." >&2
    exit 1
fi
printf 'include %s\nrequirepass %s\nmaxmemory %s\n' "${CONFIGURATION:-/etc/mmml/redis.conf}" "$(cat "$secret")" \
    "${REDIS_MEMORY:-512mb}" > /tmp/redis.conf
exec redis-server /tmp/redis.conf
