# On the next day the timers do their work by themselves: a packet of the day that passed.
units=(provenance-{packet,verify-chain,store,health})
begun() { property "$1" ExecMainStartTimestampMonotonic; }
export -f begun
declare -A before
# A timer that is late waits for its delay from the boot on.
printf '[Timer]\nRandomizedDelaySec=0\n' | systemctl edit --quiet --runtime --stdin "${units[@]/%/.timer}"
for unit in "${units[@]}"; do before[$unit]=$(begun $unit); done
date -s "$(date -u -d tomorrow +%F) 02:00:00 UTC"
for unit in "${units[@]}"; do
  wait_until 120 eval "[ \"\$(begun $unit)\" != '${before[$unit]}' ] && [ \"\$(property $unit ActiveState)\" != activating ]"
done
# What health says of a machine without a node and with such a clock is not asked.
for unit in provenance-{packet,verify-chain,store}; do [ "$(property $unit Result)" = success ]; done
packet=$(ls $state/packets/*.zip)
$bin/provctl verify "$packet" --policy $etc/policy.toml
registry packet | grep -F "$(sha256sum <"$packet" | cut -c1-64)"
