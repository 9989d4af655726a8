#!/bin/sh
# Writes the two secrets that docker-compose.yml mounts, unless they are there: Redis' password and the first API key.
# Values of an earlier .env are taken over; others are drawn. The folder is closed to other users of this machine; the
# files are not, as the containers' users read them.
set -eu
folder=${MMML_SECRETS:-secrets}
mkdir -p "$folder" && chmod 700 "$folder"
draw() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
keep() {  # file, variable of .env, value
    [ ! -s "$folder/$1" ] || return 0
    earlier=$(sed -n "s/^$2=//p" .env 2>/dev/null | tail -n 1)
    printf %s "${earlier:-$3}" > "$folder/$1" && chmod 644 "$folder/$1"
}
keep redis_password REDIS_PASSWORD "$(draw)"
keep first_key MMML_FIRST_KEY "mmml_$(draw)"
echo "The first API key is in $folder/first_key."
