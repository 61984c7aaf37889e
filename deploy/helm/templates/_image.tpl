{{- define "image" -}}
{{- $image := .root.Values.image -}}
image: {{ with $image.registry }}{{ trimSuffix "/" . }}/{{ end }}network-monitor-{{ .name }}:{{ $image.tag | default .root.Chart.AppVersion }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- end -}}
