# The demo's unit test.
test "$(sh src/mill.sh rye)" = RYE && echo "ok: rye is ground"
