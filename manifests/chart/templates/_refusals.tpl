{{/* Values that cannot do here what they say: one sentence each, before anything is changed. */}}

{{- define "pymetrics-server.refusals" -}}
{{- if .Values.addonResizer.enabled -}}
{{- fail "addonResizer.enabled is not supported: this chart runs no addon resizer; remove the value, and set resources." -}}
{{- end -}}
{{- if .Values.rbac.pspEnabled -}}
{{- fail "rbac.pspEnabled is not supported: PodSecurityPolicy left Kubernetes in 1.25; remove the value." -}}
{{- end -}}
{{- if hasSuffix "metrics-server/metrics-server" .Values.image.repository -}}
{{- fail (printf "image.repository %s is another program's: set it to where your nodes find pymetrics-server, and image.tag with it; upgrade with --reset-then-reuse-values, since --reuse-values keeps the old chart's defaults." .Values.image.repository) -}}
{{- end -}}
{{- if and .Values.hostNetwork.enabled (eq (int .Values.containerPort) 10250) -}}
{{- fail "hostNetwork.enabled needs another containerPort than 10250, which is the kubelet's on every node: 4443, for example." -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "serviceMonitor.enabled needs metrics.enabled: Prometheus would be refused at /metrics." -}}
{{- end -}}
{{- $bundle := or (eq .Values.tls.type "helm") (and .Values.apiService.caBundle (ne .Values.tls.type "cert-manager")) -}}
{{- if and .Values.apiService.create .Values.apiService.insecureSkipTLSVerify $bundle -}}
{{- fail "apiService.insecureSkipTLSVerify must be false with tls.type helm or an apiService.caBundle: kube-apiserver takes one or the other." -}}
{{- end -}}
{{- end -}}
