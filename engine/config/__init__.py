"""One experiment as a frozen, validated configuration; and its text form."""
