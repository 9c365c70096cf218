# A hung daemon is killed and started again; the chain goes on, and tells the gap.
[ "$(property provenanced WatchdogUSec)" = 2min ]
# Sooner, for the test.
install -d /run/systemd/system/provenanced.service.d
printf '[Service]\nWatchdogSec=4\nRestartSec=1\n' >/run/systemd/system/provenanced.service.d/soon.conf
systemctl daemon-reload
systemctl restart provenanced
sleep 2
pid=$(property provenanced MainPID)
before=$(records | wc -l)
kill -STOP "$pid"
wait_until 20 eval '[ "$(property provenanced NRestarts)" -ge 1 ]'
wait_until 10 systemctl is-active provenanced
journalctl --no-pager -u provenanced | grep -i 'watchdog timeout'
sleep 2
[ "$(records | wc -l)" -gt "$before" ]
[ "$(property provenanced MainPID)" != "$pid" ]
verify | tee /dev/stderr | grep chain.gap
