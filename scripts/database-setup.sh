#!/bin/sh
# Run at every start of the stack, before what uses the databases: does .env fit them, and the role of consensus.
set -eu
access=${ACCESS:-/access}

stop() { printf 'Not started: %s\n' "$1" >&2; exit 1; }
query() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"; }

if ! reason=$(query --dbname postgres --command 'SELECT 1' 2>&1); then
    case $reason in
    *"password authentication failed"*)
        stop 'POSTGRES_PASSWORD in .env is not the one that the volume postgres-data was made with. Put the earlier .env
back, or give the databases the secrets of this one: docker compose exec postgres adopt-secrets; then docker compose up -d' ;;
    *) stop "PostgreSQL cannot be used: $reason" ;;
    esac
fi
for name in label_studio consensus; do
    [ "$(query --dbname postgres --command "SELECT 1 FROM pg_database WHERE datname = '$name'")" ] ||
        stop "the volume postgres-data has no database $name. Restore it from a backup (docs/operating.md), or begin with an
empty one: docker compose exec postgres createdb --username label_studio $name; then docker compose up -d"
done

# The role of consensus owns its database and all in it, and may connect to no other one. Arguments of a command are seen by
# everybody on the machine; the environment is not.
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
password=$password query --dbname consensus --output /dev/null <<'SQL'
\getenv password password
SET client_min_messages = warning;
SELECT 'CREATE ROLE consensus' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'consensus') \gexec
ALTER ROLE consensus LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
SELECT format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', datname) FROM pg_database
    WHERE datallowconn \gexec
ALTER DATABASE consensus OWNER TO consensus;
SELECT format('ALTER TABLE %s OWNER TO consensus', oid::regclass) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
    AND relowner <> 'consensus'::regrole
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('a', 'i') AND relkind = 'S') \gexec
SELECT format('ALTER TYPE %s OWNER TO consensus', oid::regtype) FROM pg_type
    WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd') AND typowner <> 'consensus'::regrole \gexec
SQL
umask 077
printf 'postgres:5432:consensus:consensus:%s\n' "$password" >"$access/pgpass.new"
chown 10001:10001 "$access/pgpass.new"
mv -f "$access/pgpass.new" "$access/pgpass"

[ "${ML_BACKEND_BASIC_USER:-}" ] || cat >&2 <<'TEXT'
Warning: .env has no ML_BACKEND_BASIC_USER, so the ML backend asks nobody for credentials, members of Label Studio who import
from its address among them. python3 scripts/make_env.py --update adds a login; then docker compose up -d, and
ml-backend connect for each project
TEXT

case $LABEL_STUDIO_API_KEY in
*.*) exit 0 ;; # a personal access token is in no table
esac
[ "$(query --dbname label_studio --command "SELECT to_regclass('authtoken_token')")" ] || exit 0 # the first start
[ "$(query --dbname label_studio --command 'SELECT count(*) FROM authtoken_token')" = 0 ] && exit 0
printf "%s\n" '\getenv key LABEL_STUDIO_API_KEY' "SELECT count(*) FROM authtoken_token WHERE key = :'key'" |
    query --dbname label_studio | grep -qx 0 && cat >&2 <<'TEXT'
Warning: LABEL_STUDIO_API_KEY in .env is no access token of this Label Studio, so consensus and the ML backend are refused.
Put an administrator's there (Account & Settings > Access Token), or give LABEL_STUDIO_USERNAME the one of .env:
docker compose exec postgres adopt-secrets
TEXT
exit 0
