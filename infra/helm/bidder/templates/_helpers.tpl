{{/* What everything is called: the release, and `bidder` where the release is not called so itself. */}}
{{- define "bidder.name" -}}
{{- if contains "bidder" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-bidder" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "bidder.selector" -}}
app.kubernetes.io/name: bidder
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bidder.labels" -}}
{{ include "bidder.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "bidder.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end }}

{{/* A setting's text. Helm reads every number as a float, and would write a million as 1e+06. */}}
{{- define "bidder.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end }}

{{/* Seconds from SIGTERM's notice to SIGKILL: preStop counts, then the drain, then the stop, then leaving. */}}
{{- define "bidder.graceS" -}}
{{- add .Values.preStopS (ceil (addf .Values.settings.drain_s .Values.settings.stop_s)) 5 -}}
{{- end }}

{{/* The Secret that settings come from, and name → key in it, as YAML. */}}
{{- define "bidder.secretName" -}}
{{- if .Values.secrets.external.enabled }}{{ include "bidder.name" . }}{{ else }}{{ .Values.secrets.existingSecret }}{{ end -}}
{{- end }}
{{- define "bidder.secretKeys" -}}
{{- if .Values.secrets.external.enabled -}}
{{- range $name, $remote := .Values.secrets.external.remote }}
{{ $name }}: {{ $name }}
{{- end -}}
{{- else -}}
{{- toYaml .Values.secrets.keys -}}
{{- end -}}
{{- end }}

{{/* What would render and not work is said here, in words. */}}
{{- define "bidder.check" -}}
{{- $values := .Values -}}
{{- $policy := $values.networkPolicy -}}
{{- $keys := include "bidder.secretKeys" . | fromYaml -}}
{{- $noticeS := add (mul $values.probes.readyPeriodS $values.probes.readyFailures) $values.probes.readyTimeoutS -}}
{{- if lt (float64 $values.settings.drain_s) (float64 $noticeS) -}}
{{- fail (printf "settings.drain_s is %v: a pod is seen to be not ready after %d s, and would be asked until then" $values.settings.drain_s $noticeS) -}}
{{- end -}}
{{- if and $keys (not (include "bidder.secretName" .)) -}}
{{- fail "secrets.keys names keys of no Secret: set secrets.existingSecret" -}}
{{- end -}}
{{- if and $values.secrets.external.enabled $values.secrets.existingSecret -}}
{{- fail "secrets.existingSecret and secrets.external are two sources of the same: set one" -}}
{{- end -}}
{{- range $name, $key := $keys -}}
{{- if hasKey $values.settings $name -}}
{{- fail (printf "settings.%s is set twice: here and from a Secret" $name) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $values.exposure.kind "targetGroupBinding") (not $values.exposure.targetGroupArn) -}}
{{- fail "exposure.targetGroupArn: a TargetGroupBinding needs the target group of the stack's balancer" -}}
{{- end -}}
{{- if eq $values.exposure.kind "loadBalancer" -}}
{{- with $values.exposure.loadBalancer -}}
{{- if not .certificateArn }}{{ fail "exposure.loadBalancer.certificateArn: bids come over TLS" }}{{ end -}}
{{- if not .sourceCidrs }}{{ fail "exposure.loadBalancer.sourceCidrs: say who may connect" }}{{ end -}}
{{- if lt (float64 .deregistrationDelayS) (addf $values.settings.drain_s $values.settings.stop_s) -}}
{{- fail (printf "exposure.loadBalancer.deregistrationDelayS is %v: shorter than the bidder answers (drain_s + stop_s)" .deregistrationDelayS) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $policy.enabled -}}
{{- if and $values.settings.endpoint_name (not $policy.endpointCidrs) -}}
{{- fail "networkPolicy.endpointCidrs: settings.endpoint_name is set, and nothing would let the bidder reach it" -}}
{{- end -}}
{{- range $name, $value := $values.settings -}}
{{- if and (kindIs "string" $value) (hasPrefix "s3://" $value) (not $policy.s3Cidrs) -}}
{{- fail (printf "networkPolicy.s3Cidrs: settings.%s is in S3, and nothing would let the bidder reach it" $name) -}}
{{- end -}}
{{- end -}}
{{- if and (or (hasKey $keys "state_url") (ne (default "embedded" $values.settings.state_url) "embedded")) (not $policy.valkeyCidrs) -}}
{{- fail "networkPolicy.valkeyCidrs: state_url is set, and nothing would let the bidder reach it" -}}
{{- end -}}
{{- if has "0.0.0.0/0" (concat $policy.balancerCidrs $policy.endpointCidrs $policy.s3Cidrs $policy.valkeyCidrs) -}}
{{- fail "networkPolicy: 0.0.0.0/0 is everybody; name the subnets (and exchanges under clientCidrs)" -}}
{{- end -}}
{{- if and (ne $values.exposure.kind "clusterIP") (not $policy.balancerCidrs) -}}
{{- fail "networkPolicy.balancerCidrs: there is a balancer, and nothing would let it reach the bidder" -}}
{{- end -}}
{{- end -}}
{{- end }}
