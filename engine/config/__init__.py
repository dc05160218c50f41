"""One experiment as a frozen, validated configuration; and what people write of it."""
