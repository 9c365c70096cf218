# A changed log fails the daily comparison, and so its unit; restored, it passes.
printf 'door opened\n' >/var/log/door.log
wait_until 10 eval 'records | grep -q /var/log/door.log'
systemctl start provenance-verify-chain
cp -p /var/log/door.log /root/door.log
sed -i s/opened/closed/ /var/log/door.log
not systemctl start provenance-verify-chain
[ "$(property provenance-verify-chain ExecMainStatus)" = 1 ]
journalctl --no-pager -u provenance-verify-chain | grep door.log
