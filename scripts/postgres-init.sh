#!/bin/sh
# Run once by the postgres image on an empty volume: a database of its own for consensus.
set -eu
createdb --username "$POSTGRES_USER" "$CONSENSUS_DB"
