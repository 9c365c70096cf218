# The registry's root comes into a block of a real node, and the proof into the bundle.
# The node, as NixOS' own module sets it up.
cat >/run/systemd/system/bitcoind-provenance.service <<UNIT
[Service]
User=bitcoind-provenance
ExecStart=/opt/bin/bitcoind -datadir=/var/lib/bitcoind-provenance -conf=/run/claims/bitcoin.conf
UMask=0027
UNIT
system 'rest.bitcoind.provenance | "prune=\(.prune)\n\(.extraConfig)"' >/run/claims/bitcoin.conf
systemctl daemon-reload
systemctl start bitcoind-provenance
cli() { /opt/bin/bitcoin-cli -rpcport=18443 -rpccookiefile=/var/lib/bitcoind-provenance/.cookie "$@"; }
wait_until 20 test -s /var/lib/bitcoind-provenance/.cookie
cli -rpcwait createwallet provenance >/dev/null
address=$(cli -rpcwallet=provenance getnewaddress)
mine() { cli generatetoaddress "$1" "$address" >/dev/null; }
# Of an hour ago: so many blocks at once are dated each behind the other.
cli setmocktime $(($(date +%s) - 3600))
mine 101
cli setmocktime 0
# The node's block bounds the time, and agrees now.
wait_until 10 eval 'records | tail -n 1 | grep "\"src\":\"btc:node\",\"state\":\"ok\"" | grep "\"verdict\":\"agreed\""'
as_daemon $bin/provenanced bundle --config $etc/provenance.toml --reason anchored
bundle=$(ls -d $state/bundles/* | tail -n 1)
# Submitted, in a block, six deep: a step of the timer's unit each.
systemctl start provenance-anchor
not test -e "$bundle/statement.json.ots"
mine 1
systemctl start provenance-anchor
mine 6
systemctl start provenance-anchor
[ -s "$bundle/statement.json.ots" ]
$bin/provctl verify "$bundle" --policy $etc/policy.toml \
  --bitcoin-rpc http://127.0.0.1:18443 --bitcoin-cookie /var/lib/bitcoind-provenance/.cookie
# By its timer, it finds that nothing is due.
printf '[Timer]\nOnCalendar=\nOnCalendar=*:*:*\nRandomizedDelaySec=0\n' |
  systemctl edit --runtime --stdin provenance-anchor.timer
last=$(property provenance-anchor ExecMainStartTimestampMonotonic)
systemctl restart provenance-anchor.timer
wait_until 10 eval "[ \"\$(property provenance-anchor ExecMainStartTimestampMonotonic)\" != $last ]"
systemctl stop provenance-anchor.timer
wait_until 10 ran provenance-anchor
