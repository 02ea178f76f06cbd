"""Arrays of measurements to claims: pure functions that know no record, each held by a simulation in its test."""
