{{/* What objects and labels are called: as in metrics-server's chart, so that a release of it is upgraded in place. */}}

{{/* Under an alias the alias counts, as for every chart. */}}
{{- define "pymetrics-server.name" -}}
{{- $chart := ternary "metrics-server" .Chart.Name (eq .Chart.Name "pymetrics-server") -}}
{{- .Values.nameOverride | default $chart | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "pymetrics-server.fullname" -}}
{{- $name := include "pymetrics-server.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "pymetrics-server.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "pymetrics-server.serviceAccountName" -}}
{{- $unnamed := ternary (include "pymetrics-server.fullname" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $unnamed -}}
{{- end -}}

{{- define "pymetrics-server.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{- define "pymetrics-server.certificateSecret" -}}
{{- $named := ternary .Values.tls.existingSecret.name "" (eq .Values.tls.type "existingSecret") -}}
{{- $named | default (include "pymetrics-server.fullname" .) -}}
{{- end -}}

{{/* The first is the one that kube-apiserver verifies. */}}
{{- define "pymetrics-server.dnsNames" -}}
{{- $host := printf "%s.%s" (include "pymetrics-server.fullname" .) (include "pymetrics-server.namespace" .) -}}
- {{ printf "%s.svc" $host }}
- {{ $host }}
- {{ printf "%s.svc.%s" $host .Values.tls.clusterDomain }}
{{- end -}}

{{/* Immutable in a Deployment that is there. */}}
{{- define "pymetrics-server.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pymetrics-server.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pymetrics-server.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "pymetrics-server.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
