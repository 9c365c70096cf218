# Who takes more memory, processes or files than the unit may is stopped; the chain goes on.
group=/sys/fs/cgroup/system.slice/provenanced.service
for unit in provenanced provenance-aggregate; do
  [ "$(cat /sys/fs/cgroup/system.slice/$unit.service/memory.max)" = $((512 << 20)) ]
done
grep -E '^Max open files +65536 +65536 ' "/proc/$(property provenance-aggregate MainPID)/limits"
# In the unit, as if the daemon did it.
inside() { timeout "$1" bash -c "echo \$\$ >$group/cgroup.procs; $2"; }
[ "$(cat $group/pids.max)" = 64 ]
inside 15 'for i in {1..70}; do sleep 60 & done' || true
grep -E '^max [1-9]' $group/pids.events
pid=$(property provenanced MainPID)
grep -vx "$pid" $group/cgroup.procs | xargs kill || true
before=$(records | wc -l)
code=0
inside 60 'exec tail /dev/zero' || code=$?
[ $code = 137 ]
wait_until 60 eval '[ "$(property provenanced NRestarts)" -ge 1 ] && systemctl is-active provenanced'
journalctl --no-pager -u provenanced | grep -i oom
wait_until 60 eval "[ \$(records | wc -l) -gt $((before + 4)) ]"
records | tail -n +$((before + 1)) | grep -E '"kind":"(start|stop)"' | cut -c1-200
verify
