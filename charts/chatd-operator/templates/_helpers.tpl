{{- define "operator.selector" -}}
app.kubernetes.io/name: chatd-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* Two releases in one cluster must not share the names of what has no namespace. */}}
{{- define "operator.clusterName" -}}
{{ .Release.Namespace }}-{{ .Release.Name }}
{{- end }}
