#!/bin/sh
# docker compose exec postgres adopt-secrets: the databases of an earlier .env get the secrets of the present one.
set -eu

query() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"; }

# Arguments of a command are seen by everybody on the machine; the environment is not.
printf "%s\n" '\getenv role POSTGRES_USER' '\getenv password POSTGRES_PASSWORD' "ALTER ROLE :\"role\" PASSWORD :'password';" |
    query --dbname postgres
echo "POSTGRES_PASSWORD of .env is now the password of the role $POSTGRES_USER."

export PGPASSWORD="$POSTGRES_PASSWORD" # where the socket asks for it

table=$(query --dbname "$POSTGRES_DB" --command "SELECT to_regclass('authtoken_token')")
case $LABEL_STUDIO_API_KEY in
*.*) table= ;; # a personal access token is in no table
esac
[ -n "$table" ] || exit 0
changed=$(query --dbname "$POSTGRES_DB" <<'SQL'
\getenv key LABEL_STUDIO_API_KEY
\getenv email LABEL_STUDIO_USERNAME
BEGIN;
DELETE FROM authtoken_token WHERE user_id = (SELECT id FROM htx_user WHERE email = lower(:'email')) AND key <> :'key';
INSERT INTO authtoken_token (key, created, user_id)
    SELECT :'key', now(), id FROM htx_user WHERE email = lower(:'email') ON CONFLICT DO NOTHING;
COMMIT;
SELECT count(*) FROM authtoken_token JOIN htx_user ON htx_user.id = user_id
    WHERE key = :'key' AND email = lower(:'email');
SQL
)
if [ "$changed" = 1 ]; then
    echo "LABEL_STUDIO_API_KEY of .env is now the access token of $LABEL_STUDIO_USERNAME."
else
    echo "There is no account $LABEL_STUDIO_USERNAME: put an access token of Label Studio into .env as LABEL_STUDIO_API_KEY." >&2
    exit 1
fi
echo "Where the ML backend had another login: ml-backend connect for each project, once the stack is up."
echo "Its password for the web page is what it was; docker compose exec label-studio label-studio reset_password"
echo "--username $LABEL_STUDIO_USERNAME --password NEW changes it."
