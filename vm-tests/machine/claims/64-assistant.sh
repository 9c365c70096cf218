# An assistant in the daemon's group is answered at the socket; nobody else gets in.
socket=/run/msp-provenance/mcp.sock
[ "$(stat -c %a:%G $socket)" = 660:msp-provenance ]
question='{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"claims","version":"1"}}}'
call='{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_evidence","arguments":{}}}'
ask() {
  { printf '%s\n' "$question" '{"jsonrpc":"2.0","method":"notifications/initialized"}' "$call"; sleep 4; } |
    setpriv --reuid=nobody --regid="$1" --clear-groups socat - UNIX-CONNECT:$socket
}
ask msp-provenance >/run/claims/answer
jq -es '.[0].result.serverInfo.name' /run/claims/answer
jq -es '.[] | select(.id == 2) | .result.isError != true' /run/claims/answer
not ask nogroup
# A stranger's nonsense ends its own process and fails no unit.
printf 'nonsense\n' | setpriv --reuid=nobody --regid=msp-provenance --clear-groups socat -t 3 - UNIX-CONNECT:$socket || true
wait_until 10 eval '! systemctl is-active "provenance-mcp@*" | grep -q "^active"'
not eval 'systemctl list-units --failed --no-legend | grep mcp'
