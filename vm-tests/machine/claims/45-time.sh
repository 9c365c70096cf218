# chronyd, with three servers, vouches for the clock through chrony-probe; the
# kernel's clock state is read, and nothing can set it.
ticks() { records | grep '"kind":"tick"' | tail -n 2; }
export -f ticks
wait_until 30 eval 'ticks | grep -q "\"verdict\":\"agreed\""'
ticks | grep '"src":"ntp:chrony","state":"ok"'
not eval 'ticks | grep rejected'
pid=$(property provenanced MainPID)
not eval 'grep -P "^CapBnd:\t" /proc/'$pid'/status | grep -v 0000000000000004'
