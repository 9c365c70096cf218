# Another build of the programs takes over the same chain, stopped and started in order.
bin=/opt/msp-provenance/bin
install -d /run/next/bin /run/systemd/system/provenanced.service.d
cp $bin/provenanced $bin/provctl $bin/chrony-probe /run/next/bin/
starts=$(records | grep -c '"kind":"start"')
stops=$(records | grep -c '"kind":"stop"' || true)
pid=$(property provenanced MainPID)
exec=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/provenanced.service)
printf '[Service]\nExecStart=\nExecStart=%s\n' "${exec//$bin//run/next/bin}" >/run/systemd/system/provenanced.service.d/next.conf
systemctl daemon-reload
systemctl restart provenanced
[ "$(property provenanced MainPID)" != "$pid" ]
[ "$(readlink "/proc/$(property provenanced MainPID)/exe")" = /run/next/bin/provenanced ]
[ "$(records | grep -c '"kind":"start"')" = $((starts + 1)) ]
[ "$(records | grep -c '"kind":"stop"')" = $((stops + 1)) ]
sleep 2
verify
rm /run/systemd/system/provenanced.service.d/next.conf
systemctl daemon-reload
systemctl restart provenanced
wait_until 10 systemctl is-active provenanced
