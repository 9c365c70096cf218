# Who sets the clock is in auditd's log by the modules' rules, and the log is in the chain.
# From here on: it makes all else slower.
systemctl unmask --quiet auditd audit-rules
systemctl start audit-rules auditd
# A person who logged in, and a service.
bash -c 'echo 1000 >/proc/self/loginuid; exec date -s "+2 seconds"'
date -s '-2 seconds'
log=/var/log/audit/audit.log
wait_until 10 eval "grep 'key=\"time-change\"' $log | grep -q ' auid=1000 '"
wait_until 10 eval "grep 'key=\"time-change\"' $log | grep -q ' auid=4294967295 '"
size=$(stat -c %s $log)
# recorded: up to where the log is in the chain.
recorded() { records | jq '.data.logs[]? | select(.src == "file:/var/log/audit/audit.log").to // empty' | tail -n 1; }
export -f recorded
wait_until 30 eval "[ \"\$(recorded)\" -ge $size ]"
