# Who takes more memory, processes or files than the unit may is stopped; the chain goes on.
group=/sys/fs/cgroup/system.slice/provenanced.service
for unit in provenanced provenance-aggregate; do
  [ "$(cat /sys/fs/cgroup/system.slice/$unit.service/memory.max)" = $((512 << 20)) ]
done
grep -E '^Max open files +65536 +65536 ' "/proc/$(property provenance-aggregate MainPID)/limits"
# In the unit, as if the daemon did it.
inside() { bash -c "echo \$\$ >$group/cgroup.procs; $1"; }
not inside 'for i in {1..80}; do sleep 9 & done; kill $(jobs -p)' 2>/run/claims/forks
grep -i 'resource temporarily unavailable' /run/claims/forks
wait_until 20 eval "[ \$(wc -l <$group/cgroup.procs) -lt 3 ]"
before=$(records | wc -l)
code=0
inside 'exec tail /dev/zero' || code=$?
[ $code = 137 ]
wait_until 60 eval '[ "$(property provenanced NRestarts)" -ge 1 ] && systemctl is-active provenanced'
journalctl --no-pager -u provenanced | grep -i oom
wait_until 20 eval "[ \$(records | wc -l) -gt $((before + 4)) ]"
records | tail -n +$((before + 1)) | grep -E '"kind":"(start|stop)"' | cut -c1-200
verify
