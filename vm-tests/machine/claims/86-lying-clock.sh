# A time server that lies by a minute is named in the ticks, and moves nothing.
ticks() { records | grep '"kind":"tick"' | tail -n 1; }
export -f ticks
# server LINE…: the time server 127.0.0.12 begins anew, with these settings.
server() {
  kill "$(cat /run/c12.pid)"
  wait_until 5 eval '[ ! -e /run/c12.pid ]'
  printf '%s\n' 'local stratum 1' 'allow 127.0.0.0/8' 'bindaddress 127.0.0.12' 'cmdport 0' "$@" 'pidfile /run/c12.pid' >/run/c12.conf
  chronyd -x -u root -f /run/c12.conf
}
agreed() { ticks | grep -q '"verdict":"agreed"'; }
liar() { ticks | grep -q '"falsetickers":\["127.0.0.12"\]'; }
export -f agreed liar
wait_until 30 agreed
not liar
server manual 'bindcmdaddress /run/chrony/c12.sock'
wait_until 5 chronyc -h /run/chrony/c12.sock settime "$(date -u -d '+1 minute' +%H:%M:%S)"
wait_until 60 liar
sleep 3
agreed
liar
# Honest again, it is believed again.
server 'bindcmdaddress /'
wait_until 90 eval 'agreed && ! liar'
