"""What explains the speeds, as text in tables: a module for each table, `table` for what they share."""
