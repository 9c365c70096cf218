# A step of the clock, either way, is in the next record, raises an alert, and changes no verdict.
# step BY: of so many seconds. The daemon's next record says by how many.
step() {
  local count
  count=$(records | wc -l)
  date -s "$1 seconds"
  wait_until 30 eval "records | tail -n +$((count + 1)) | grep -q '\"step_ns\":'"
  records | tail -n +$((count + 1)) | jq -se "[.[] | .data.clock.step_ns // empty | tonumber / 1e9 | (. - (${1#+})) | fabs] | length == 1 and .[0] < 1"
}
alerts() { registry alert --json | jq -c '.. | objects | select(.code? == "clock.anomalous") | .state'; }
export -f alerts
for by in +3600 -3600; do
  step $by
  wait_until 30 eval 'alerts | tail -n 1 | grep raised'
  wait_until 30 eval 'alerts | tail -n 1 | grep resolved'
done
verify >/run/claims/said
grep clock.stepped /run/claims/said
grep chain.time_backwards /run/claims/said
[ "$(property provenanced NRestarts)" = 0 ] || systemctl is-active provenanced
