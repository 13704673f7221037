# Brings the commit CLONE_COMMIT of CLONE_URL to the working directory: it alone where the server gives out bare commits,
# else with the history of CLONE_REF. Values come by environment and are never read as code. What goes wrong stands in
# the log, and as one line in CLONE_MESSAGE. Exit code 1: trying again may help; 2: somebody has to do something.
secret=$CLONE_DIR/secret key=$CLONE_DIR/key said=$CLONE_DIR/said
export LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=true GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL="$CLONE_DIR/config"
export GIT_ATTR_NOSYSTEM=1 GIT_ALLOW_PROTOCOL=http:https:ssh GIT_SSH_VARIANT=ssh
export GIT_SSH_COMMAND="ssh -F /dev/null -i $key -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes \
-o UserKnownHostsFile=$secret/known_hosts -o GlobalKnownHostsFile=/dev/null \
-o ConnectTimeout=20 -o ServerAliveInterval=20 -o ServerAliveCountMax=3"

# Closed against what a repository or a server could make git do. With redirects refused the credential goes to the host
# that it is for and to no other; less than 1000 bytes a second for a minute is a server that has gone.
cat >"$CLONE_DIR/config" <<'END'
[safe]
  directory = *
[http]
  followRedirects = false
  lowSpeedLimit = 1000
  lowSpeedTime = 60
[credential]
  helper = "!f() { [ ! -f \"$CLONE_DIR/secret/password\" ] || printf 'username=%s\\npassword=%s\\n' \"$CLONE_USERNAME\" \"$(cat \"$CLONE_DIR/secret/password\")\"; }; f"
[core]
  hooksPath = /dev/null
  fsmonitor = false
[fetch]
  recurseSubmodules = false
[submodule]
  recurse = false
[gc]
  auto = 0
[maintenance]
  auto = false
[init]
  defaultBranch = main
END

# A shell ends at once when it is asked to while it waits, not while a command runs in front.
trap 'exit 143' HUP INT TERM
git() {
  timeout 1800 git "$@" &
  wait "$!"
}

fail() {
  words=$(printf 'cannot check out %.12s of %s: %s' "$CLONE_COMMIT" "$CLONE_URL" "$2")
  printf '%s\n' "$words"
  printf '%s' "$words" >"$CLONE_MESSAGE"
  exit "$1"
}

# last is what git said last, as one line.
last() {
  [ -s "$said" ] || echo 'git did not end in time' >"$said"
  tail -n 3 "$said" | tr -s '[:cntrl:]' ' ' | head -c 400
}

# unlock makes a key that ssh takes: nobody else may read it, and it ends with a line break.
unlock() {
  for name in ssh-privatekey id_rsa; do
    [ ! -f "$secret/$name" ] || (umask 077 && tr -d '\r' <"$secret/$name" >"$key" && echo >>"$key")
  done
  [ -f "$key" ] || fail 2 'the secret has no entry ssh-privatekey or id_rsa: put the private key there'
  [ -f "$secret/known_hosts" ] || fail 2 'the secret has no entry known_hosts: put what ssh-keyscan says of the server there, after a look at its fingerprint'
}

fetch() {
  git fetch --quiet --no-tags --depth=1 -- "$CLONE_URL" "$CLONE_COMMIT" 2>"$said" && return
  grep -q 'not allow request' "$said" && [ -n "$CLONE_REF" ] || return 1
  git fetch --quiet --no-tags -- "$CLONE_URL" "$CLONE_REF" 2>"$said" || return 1
  git cat-file -e "$CLONE_COMMIT^{commit}" 2>/dev/null && return
  echo 'not our ref' >"$said"
  return 1
}

# judge ends the script where another try would end no better.
judge() {
  case $(cat "$said") in
  *'Host key verification failed'*) fail 2 'the key of the server is not the one in known_hosts: put what ssh-keyscan says of the server there, after a look at its fingerprint' ;;
  *'error in libcrypto'* | *'invalid format'*) fail 2 'the private key cannot be read: it may be cut, or have a passphrase' ;;
  *'Permission denied'* | *'Authentication failed'* | *'could not read Username'* | *'could not read Password'* | *'error: 401'* | *'error: 403'*)
    fail 2 "the server refuses the credential, or wants one: $(last)" ;;
  *'does not appear to be a git repository'* | *'epository not found'* | *"repository '"*"' not found"* | *'error: 404'*)
    fail 2 "there is no such repository for this credential: $(last)" ;;
  *'error: 30'*) fail 2 'the server names another address, and that is not followed: use the new one' ;;
  esac
}

printf 'checking out %s of %s\n' "$CLONE_COMMIT" "$CLONE_URL"
case $CLONE_URL in ssh://*) unlock ;; esac
git init --quiet --template= 2>"$said" || fail 1 "$(last)"
try=1
until fetch; do
  judge
  if [ "$try" -eq 3 ]; then
    grep -Eq 'not our ref|find remote ref' "$said" || fail 1 "$(last)"
    fail 2 'the server has no such commit any more, a forced push may have removed it: push again'
  fi
  printf '%s: trying again in %s s\n' "$(last)" "$try"
  sleep "$try"
  try=$((try + 1))
done
git checkout --quiet --force --detach "$CLONE_COMMIT" 2>"$said" || fail 1 "$(last)"
