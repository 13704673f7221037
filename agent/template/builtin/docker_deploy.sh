# docker_deploy@v1: gives a workload new images and waits until they run. All that differs from task to task comes by
# environment (the template's parameters, RUN_ID, TASK_ID, APP_VERSION) and by arguments (CONTAINER=IMAGE), never in this
# text. It may be run again: what is done already stays done.
# shellcheck disable=SC2016 # What looks like a variable in quotes is one of a Go template.
set -eu

say() { printf '%s\n' "$*" >&2; }
fail() { say "docker_deploy: $*"; exit 1; }

k() { # kubectl, in the cluster and namespace that were asked for
  kubectl ${KUBE_CONTEXT:+"--context=$KUBE_CONTEXT"} ${NAMESPACE:+"--namespace=$NAMESPACE"} "$@"
}

get() { # TEMPLATE: reads the workload
  k get "$workload" --output="go-template=$1"
}

login() { # the kubeconfig of the secret, else the pod's service account
  for file in /kube/*; do
    if [ -f "$file" ]; then
      export KUBECONFIG="$file"
      return
    fi
  done
  [ -z "${KUBE_CONTEXT:-}" ] || fail "KUBE_CONTEXT names a context of kube_config_secret, which is not given"
  [ -r /var/run/secrets/kubernetes.io/serviceaccount/token ] ||
    fail "nothing says who this task is in the cluster: give it a service_account, or a kube_config_secret"
}

containers() { # NAME=IMAGE of each
  get "{{range $spec.initContainers}}{{.name}}={{.image}}{{\"\\n\"}}{{end}}{{range $spec.containers}}{{.name}}={{.image}}{{\"\\n\"}}{{end}}"
}

image_of() { # CONTAINER: the image that it has now
  printf '%s\n' "$before" | while IFS='=' read -r name image; do
    if [ "$name" = "$1" ]; then printf '%s\n' "$image"; fi
  done
}

only() { # the container of a workload that has one
  names=$(get "{{range $spec.containers}}{{.name}} {{end}}")
  # shellcheck disable=SC2086 # Names of containers hold no blanks.
  set -- $names
  [ $# -eq 1 ] || fail "$workload has the containers $*: say which by CONTAINER, or several by IMAGES"
  printf '%s\n' "$1"
}

untagged() { # IMAGE: without its tag and digest
  name=${1%%@*}
  case ${name##*/} in *:*) name=${name%:*} ;; esac
  printf '%s\n' "$name"
}

wanted() { # CONTAINER: the image that it is to have
  [ -z "${IMAGE:-}" ] || { printf '%s\n' "$IMAGE"; return; }
  repository=${IMAGE_REPOSITORY:-$(untagged "$(image_of "$1")")}
  [ -n "${APP_VERSION:-}" ] || fail "neither IMAGE nor APP_VERSION says which image"
  printf '%s:%s\n' "$repository" "$APP_VERSION"
}

joined() { # ARGUMENT...: with commas between them
  (IFS=,; printf '%s\n' "$*")
}

previous() { # CONTAINER=IMAGE...: the images before this task, which an attempt of it may have changed already
  run=$(annotation millrace.dev/run)
  task=$(annotation millrace.dev/task)
  kept=$(annotation millrace.dev/previous-images)
  if [ "$run" = "${RUN_ID:-}" ] && [ "$task" = "${TASK_ID##*/}" ] && [ -n "$kept" ]; then
    printf '%s\n' "$kept"
    return
  fi
  for pair in "$@"; do
    shift
    set -- "$@" "${pair%%=*}=$(image_of "${pair%%=*}")"
  done
  joined "$@"
}

annotation() { # NAME
  get "{{with .metadata.annotations}}{{with index . \"$1\"}}{{.}}{{end}}{{end}}"
}

revision() { # what the cluster calls the state that runs now
  case $WORKLOAD_KIND in
    deployment) annotation deployment.kubernetes.io/revision ;;
    statefulset) get '{{.status.updateRevision}}' ;;
    *) get '{{.metadata.generation}}' ;;
  esac
}

rollout() { # waits; a cronjob has nothing to wait for
  [ "$WORKLOAD_KIND" != cronjob ] || return 0
  k rollout status "$workload" --timeout="$TIMEOUT"
}

explain() { # why it did not become ready, as far as the cluster tells
  say "--- $workload"
  get '{{range .status.conditions}}{{.type}}={{.status}} {{.reason}}: {{.message}}{{"\n"}}{{end}}' || true
  events "$WORKLOAD_NAME"
  labels=$(get '{{range $k, $v := .spec.selector.matchLabels}}{{$k}}={{$v}},{{end}}') || return 0
  # A pod is failing when it is not ready and has not ended well.
  k get pods --selector="${labels%,}" --output='go-template={{range .items}}{{$n := .metadata.name}}{{if ne .status.phase "Succeeded"}}{{range .status.conditions}}{{if eq .type "Ready"}}{{if ne .status "True"}}{{$n}}{{"\n"}}{{end}}{{end}}{{end}}{{end}}{{end}}' |
    head -n 3 | while read -r pod; do
    say "--- pod $pod"
    k get pod "$pod" --output='go-template={{range .status.containerStatuses}}{{.name}}: {{with .state.waiting}}{{.reason}} {{.message}}{{end}}{{with .state.terminated}}{{.reason}} exit code {{.exitCode}}{{end}}{{with .state.running}}running, not ready{{end}}{{with .lastState.terminated}}, before that {{.reason}} exit code {{.exitCode}}{{end}}, {{.restartCount}} restarts{{"\n"}}{{end}}' || true
    events "$pod"
    say "--- last lines of pod $pod"
    again=$(k get pod "$pod" --output='go-template={{range .status.containerStatuses}}{{if .restartCount}}{{if .state.running}}yes{{end}}{{end}}{{end}}') || true
    k logs "$pod" --all-containers --prefix --tail=20 --ignore-errors ${again:+--previous} || true
  done
}

events() { # NAME of an object
  k get events --field-selector="involvedObject.name=$1" --sort-by=.lastTimestamp \
    --output='go-template={{range .items}}{{.type}} {{.reason}}: {{.message}}{{"\n"}}{{end}}' | tail -n 10 || true
}

output() { # NAME VALUE
  [ -z "${MILLRACE_OUTPUT:-}" ] || printf "%s='%s'\n" "$1" "$2" >>"$MILLRACE_OUTPUT"
}

workload=$WORKLOAD_KIND/$WORKLOAD_NAME
spec=.spec.template.spec
[ "$WORKLOAD_KIND" != cronjob ] || spec=.spec.jobTemplate.spec.template.spec

login
before=$(containers) || fail "$workload cannot be read: see the line above"
if [ $# -eq 0 ]; then
  container=${CONTAINER:-$(only)}
  image=$(wanted "$container")
  set -- "$container=$image"
elif [ -n "${CONTAINER:-}${IMAGE:-}" ]; then
  fail "IMAGES says which containers and images: leave out CONTAINER and IMAGE"
fi
for pair in "$@"; do # before anything is changed
  [ -n "$(image_of "${pair%%=*}")" ] || fail "$workload has no container ${pair%%=*}; it has $(printf '%s\n' "$before" | cut -d= -f1 | tr '\n' ' ')"
done

was=$(previous "$@")
say "$workload: $was -> $(joined "$@")"
k annotate "$workload" --overwrite "millrace.dev/run=${RUN_ID:-}" "millrace.dev/task=${TASK_ID##*/}" "millrace.dev/previous-images=$was"
k set image "$workload" "$@"

if rollout; then
  output images "$(joined "$@")"
  output previous_images "$was"
  output revision "$(revision)"
  exit 0
fi

explain >&2
if [ "${ROLLBACK:-false}" != true ]; then
  fail "$workload did not become ready within $TIMEOUT; ROLLBACK is not true, so it stays as it is"
fi
say "docker_deploy: $workload did not become ready within $TIMEOUT: back to $was"
# shellcheck disable=SC2046 # Pairs of containers and images hold no blanks.
k set image "$workload" $(printf '%s\n' "$was" | tr ',' ' ')
rollout || fail "$workload is not ready with $was either"
fail "$workload did not become ready within $TIMEOUT and is back at $was"
