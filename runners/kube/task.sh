# Runs its arguments as a child, passes on what asks it to end, and leaves what the child wrote to MILLRACE_OUTPUT and
# MILLRACE_SUMMARY as the container's message: the outputs, or if they are too long as much of them as shows that; then
# behind a line of its own as much of the summary as there is room for. A wait that a signal interrupted is done again;
# what the shell does not know any more (127) it has told before. The names are such that no variable of a task is hit.
_mr_again='' _mr_child=''
trap '_mr_again=1; [ -z "$_mr_child" ] || kill -TERM "$_mr_child" 2>/dev/null' HUP INT QUIT TERM
exec "$@" &
_mr_child=$!
[ -z "$_mr_again" ] || kill -TERM "$_mr_child" 2>/dev/null
wait "$_mr_child"
_mr_code=$?
while [ -n "$_mr_again" ]; do
  _mr_again=''
  wait "$_mr_child"
  _mr_now=$?
  [ "$_mr_now" -eq 127 ] || _mr_code=$_mr_now
done
{
  _mr_size=0
  if [ -f "$MILLRACE_OUTPUT" ]; then
    _mr_size=$(wc -c <"$MILLRACE_OUTPUT")
    head -c $((MILLRACE_OUTPUT_LIMIT + 1)) "$MILLRACE_OUTPUT"
  fi
  _mr_room=$((MILLRACE_OUTPUT_LIMIT - _mr_size - 21))
  if [ -f "$MILLRACE_SUMMARY" ] && [ -s "$MILLRACE_SUMMARY" ] && [ "$_mr_room" -gt 0 ]; then
    printf '\n# millrace: summary\n'
    head -c "$_mr_room" "$MILLRACE_SUMMARY"
  fi
} >/dev/termination-log
# containerd 1.6 drops what it has not read of a container when that ends, up to a pipe full: who wrote much gives it time.
_mr_wrote=16384
while read -r _mr_name _mr_value; do
  [ "$_mr_name" != wchar: ] || _mr_wrote=$_mr_value
done 2>/dev/null </proc/self/io
[ "$_mr_wrote" -lt 16384 ] || sleep 0.5 2>/dev/null || sleep 1
exit "$_mr_code"
