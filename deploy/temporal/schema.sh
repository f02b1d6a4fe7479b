#!/bin/sh
# Makes Temporal's two databases and brings their schemas up to date. Safe to run again.
set -eu

sql() {
    temporal-sql-tool --plugin postgres12 --endpoint "$POSTGRES_SEEDS" --port "$DB_PORT" --user "$POSTGRES_USER" "$@"
}

for pair in temporal:temporal temporal_visibility:visibility; do
    database=${pair%%:*}
    sql --database "$database" create
    sql --database "$database" setup-schema --version 0.0
    sql --database "$database" update-schema --schema-dir "/etc/temporal/schema/postgresql/v12/${pair##*:}/versioned"
done
