#!/usr/bin/env bash
# An HPA over a Deployment that is busy: it learns the load from the metrics API, and adds a replica.
set -euo pipefail

kubectl apply -f "$(dirname "$0")/busy.yaml"
kubectl rollout status deployment/busy --timeout 120s
kubectl wait --for condition=ScalingActive --timeout 180s hpa/busy
kubectl wait --for jsonpath='{.status.desiredReplicas}'=2 --timeout 180s hpa/busy
kubectl rollout status deployment/busy --timeout 120s
kubectl delete -f "$(dirname "$0")/busy.yaml"
