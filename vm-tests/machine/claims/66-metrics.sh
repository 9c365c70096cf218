# Metrics are told on this machine.
curl -sS --max-time 5 http://127.0.0.1:9469/metrics >/run/claims/metrics
grep '^provenance_' /run/claims/metrics | head -n 40
grep -c '^provenance_' /run/claims/metrics
