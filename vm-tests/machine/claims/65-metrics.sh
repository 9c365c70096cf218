# Metrics are told on this machine.
exec 3<>/dev/tcp/127.0.0.1/9469
printf 'GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3
timeout 5 cat <&3 | grep -m 1 ^provenance
