#!/usr/bin/env bash
# answers.sh APISERVICE...: the rollout is done, each APIService is Available, and kubectl top shows every node and pods.
set -euo pipefail

until_true() {  # SECONDS COMMAND...
  local end=$((SECONDS + $1)); shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || { echo "not in time: $*" >&2; return 1; }
    sleep 2
  done
}
every_node() {
  local nodes shown
  nodes=$(kubectl get nodes --no-headers | wc -l) && shown=$(kubectl top nodes --no-headers | wc -l) && [ "$shown" -eq "$nodes" ]
}
own_pod() {
  kubectl top pods --namespace kube-system --selector k8s-app=metrics-server --containers --no-headers | grep metrics-server
}

kubectl --namespace kube-system rollout status deployment/metrics-server --timeout 180s
for service in "$@"; do
  kubectl wait --for condition=Available --timeout 120s "apiservice/$service"
done
until_true 120 every_node
until_true 120 own_pod
kubectl top nodes
for service in "$@"; do
  kubectl get --raw "/apis/metrics.k8s.io/${service%%.*}/nodes" >/dev/null
done
