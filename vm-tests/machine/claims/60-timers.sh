# A timer that was missed fires when it can; its unit verifies, and goes on record.
for unit in provenance-health provenance-verify-chain; do
  [ "$(property $unit.timer ActiveState)" = active ]
  [ "$(property $unit.timer Persistent)" = yes ]
  systemctl stop $unit.timer
  # As if the machine had been off for three days; without the random delay.
  install -d /etc/systemd/system/$unit.timer.d
  printf '[Timer]\nRandomizedDelaySec=0\n' >/etc/systemd/system/$unit.timer.d/now.conf
  systemctl daemon-reload
  touch -d '3 days ago' /var/lib/systemd/timers/stamp-$unit.timer
  systemctl start $unit.timer
  wait_until 20 eval "[ -n \"\$(property $unit ExecMainExitTimestamp)\" ]"
  journalctl --no-pager -u $unit | tail -n 20
  [ "$(property $unit Result)" = success ]
done
/opt/msp-provenance/bin/provctl registry list --state $state --kind verify | grep verif
