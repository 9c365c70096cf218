# Two of three time servers lie by a minute: ticks say so, and an alert is on record.
ticks() { records | grep '"kind":"tick"' | tail -n 1; }
alerts() { /opt/msp-provenance/bin/provctl registry export --state $state --kind alert; }
export -f ticks alerts
wait_until 30 eval 'ticks | grep -q "\"verdict\":\"agreed\""'
for i in 12 13; do
  kill "$(cat /run/c$i.pid)"
  wait_until 5 eval "[ ! -e /run/c$i.pid ]"
  printf 'local stratum 1\nallow 127.0.0.0/8\nbindaddress 127.0.0.%s\ncmdport 0\nmanual\nbindcmdaddress /run/chrony/c%s.sock\npidfile /run/c%s.pid\n' $i $i $i >/run/c$i.conf
  chronyd -x -u root -f /run/c$i.conf
  wait_until 5 eval "chronyc -h /run/chrony/c$i.sock settime $(date -u -d '+1 minute' +%H:%M:%S)"
done
wait_until 60 eval 'ticks | grep -Eq "\"verdict\":\"(anomalous|disputed)\""'
wait_until 20 eval 'alerts | grep -Eq "clock\.(anomalous|disputed)"'
for i in 12 13; do
  kill "$(cat /run/c$i.pid)"
  wait_until 5 eval "[ ! -e /run/c$i.pid ]"
  printf 'local stratum 1\nallow 127.0.0.0/8\nbindaddress 127.0.0.%s\ncmdport 0\nbindcmdaddress /\npidfile /run/c%s.pid\n' $i $i >/run/c$i.conf
  chronyd -x -u root -f /run/c$i.conf
done
wait_until 90 eval 'ticks | grep -q "\"verdict\":\"agreed\""'
