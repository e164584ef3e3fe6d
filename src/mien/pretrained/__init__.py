"""Networks of others: fetched once, checked, converted."""
