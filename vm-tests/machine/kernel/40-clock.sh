# A step of the clock, either way, is in the next record, raises an alert, and changes no verdict.
# step BY: of so many seconds. The daemon's next record says by how many.
step() {
  local count
  count=$(records | wc -l)
  date -s "$1 seconds"
  wait_until 30 eval "records | tail -n +$((count + 1)) | grep -q '\"step_ns\":'"
  records | tail -n +$((count + 1)) | jq -se "[.[] | .data.clock.step_ns // empty | tonumber / 1e9 | (. - (${1#+})) | fabs] | length == 1 and .[0] < 1"
}
# alerts STATE: how many.
alerts() { registry alert | jq -r '.data | select(.code == "clock.anomalous").state' | grep -cx "$1" || true; }
export -f alerts
# Without a source that vouches for the clock, that would be the verdict.
wait_until 60 eval 'records | tail -n 1 | grep "\"verdict\":\"agreed\""'
for by in +3600 -3600; do
  raised=$(alerts raised)
  step $by
  wait_until 30 eval "[ \"\$(alerts raised)\" -gt $raised ]"
  wait_until 90 eval "[ \"\$(alerts raised)\" = \"\$(alerts resolved)\" ]"
done
verify >/run/claims/said
grep clock.stepped /run/claims/said
grep chain.time_backwards /run/claims/said
systemctl is-active provenanced
