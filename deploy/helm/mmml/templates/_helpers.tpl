{{- define "mmml.fullname" -}}
{{- if contains "mmml" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-mmml{{ end }}
{{- end }}

{{/* The next ones take (dict "root" $ "component" "gateway"). */}}
{{- define "mmml.selector" -}}
app.kubernetes.io/name: mmml
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "mmml.match" -}}
{{ include "mmml.selector" . | fromYaml | toJson }}
{{- end }}

{{- define "mmml.labels" -}}
{{ include "mmml.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "mmml.metadata" -}}
name: {{ include "mmml.fullname" .root }}-{{ .component }}
labels: {{- include "mmml.labels" . | nindent 2 }}
{{- end }}

{{- define "mmml.image" -}}
{{- with .root.Values.image.registry }}{{ . }}/{{ end }}{{ .image }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* Changed settings and secrets start the pods anew. */}}
{{- define "mmml.podMetadata" -}}
labels: {{- include "mmml.labels" . | nindent 2 }}
annotations:
  checksum/settings: {{ include (print .root.Template.BasePath "/configmap.yaml") .root | sha256sum }}
  checksum/secrets: {{ include (print .root.Template.BasePath "/secret.yaml") .root | sha256sum }}
  {{- if .root.Values.metrics.port }}
  prometheus.io/scrape: "true"
  prometheus.io/port: {{ .root.Values.metrics.port | quote }}
  {{- end }}
{{- end }}

{{- define "mmml.podSecurity" -}}
automountServiceAccountToken: false
{{- with .Values.serviceAccount }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "mmml.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "mmml.secretName" -}}
{{ .Values.secrets.existing | default (printf "%s-secrets" (include "mmml.fullname" .)) }}
{{- end }}

{{- define "mmml.secretVolume" -}}
- name: secrets
  secret:
    secretName: {{ include "mmml.secretName" .root }}
    defaultMode: 0440
    items:
      {{- range .keys }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}

{{- define "mmml.local" -}}
{{- if hasPrefix "file:" .Values.storage.url }}yes{{ end }}
{{- end }}

{{- define "mmml.environment" -}}
envFrom:
  - configMapRef: {name: {{ include "mmml.fullname" . }}-settings}
  {{- with .Values.storage.secret }}
  - secretRef: {name: {{ . }}}
  {{- end }}
{{- end }}

{{/* What gateway, reconciler and workers mount alike. */}}
{{- define "mmml.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: secrets, mountPath: /run/secrets, readOnly: true}
- {name: weights, mountPath: /weights, readOnly: true}
{{- if include "mmml.local" . }}
- {name: pictures, mountPath: {{ trimPrefix "file://" .Values.storage.url }}}
{{- end }}
{{- if .Values.redis.caSecret }}
- {name: redis-ca, mountPath: /etc/mmml/redis, readOnly: true}
{{- end }}
{{- end }}

{{- define "mmml.volumes" -}}
- {name: tmp, emptyDir: {sizeLimit: 512Mi}}
- name: weights
  {{- $claim := dict "claimName" .Values.weights.claim "readOnly" true }}
  {{- toYaml (.Values.weights.volume | default (dict "persistentVolumeClaim" $claim)) | nindent 2 }}
{{- if include "mmml.local" . }}
- name: pictures
  persistentVolumeClaim:
    claimName: {{ .Values.storage.claim.existing | default (printf "%s-pictures" (include "mmml.fullname" .)) }}
{{- end }}
{{- with .Values.redis.caSecret }}
- name: redis-ca
  secret: {secretName: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end }}

{{/* With (dict "root" $ "component" …): one pod at a time is taken by whoever empties a machine. */}}
{{- define "mmml.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{- include "mmml.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {{ include "mmml.match" . }}}
{{- end }}
