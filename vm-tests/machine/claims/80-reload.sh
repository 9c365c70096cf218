# A reload takes new settings and records that they changed; wrong ones are refused.
pid=$(property provenanced MainPID)
sed -i 's/^offset_alarm_ms = .*/offset_alarm_ms = 90/' $etc/provenance.toml
systemctl reload provenanced
wait_until 10 eval 'records | grep -q "\"kind\":\"config\""'
sed -i 's/^offset_alarm_ms = .*/offset_alarm_ms = 0/' $etc/provenance.toml
systemctl reload provenanced
wait_until 10 eval 'journalctl --no-pager -u provenanced | grep -q offset_alarm_ms'
sed -i 's/^offset_alarm_ms = .*/offset_alarm_ms = 100/' $etc/provenance.toml
[ "$(property provenanced MainPID)" = "$pid" ]
[ "$(property provenanced ActiveState)" = active ]
