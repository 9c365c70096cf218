# chronyd, with three servers, vouches for the clock through chrony-probe.
wait_until 30 eval 'records | tail -n 2 | grep -q "\"verdict\":\"agreed\""'
records | tail -n 1 | grep -o 'ntp:chrony'
