# On the next day the timers do their work by themselves: a packet of the day that passed.
date -s "$(date -u -d tomorrow +%F) 02:00:00 UTC"
wait_until 90 ran provenance-packet
wait_until 60 ran provenance-verify-chain
wait_until 60 ran provenance-store
wait_until 60 eval '[ -n "$(property provenance-health ExecMainExitTimestamp)" ]'
packet=$(ls $state/packets/*.zip)
$bin/provctl verify "$packet" --policy $etc/policy.toml
registry export | grep .
