"""The names of the tables that the tests make."""

LEDGER_TABLE, STATE_TABLE = "ledger", "state"
