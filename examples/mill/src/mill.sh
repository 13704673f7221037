# Grinds its argument.
printf '%s\n' "$1" | tr a-z A-Z
