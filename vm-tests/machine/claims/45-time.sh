# chronyd and its three servers vouch for the clock; the kernel's state is read too.
ticks() { records | grep '"kind":"tick"' | tail -n 2; }
export -f ticks
wait_until 30 eval 'ticks | grep -q "\"verdict\":\"agreed\""'
ticks | grep '"src":"ntp:chrony","state":"ok"'
# The container's machine need not be synchronised; that it was asked is enough.
ticks | grep '"maxerror_us":'
not eval 'ticks | grep "not permitted"'
