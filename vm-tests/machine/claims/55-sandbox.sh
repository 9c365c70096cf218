# In its sandbox it can write its state and nothing else.
pid=$(property provenanced MainPID)
inside() { nsenter --mount --target "$pid" setpriv --reuid=msp-provenance --regid=msp-provenance --clear-groups "$@"; }
inside touch $state/cache/probe
inside rm $state/cache/probe
for place in /etc /usr /var/lib /var/log /opt /root; do
  not nsenter --mount --target "$pid" touch $place/probe 2>/dev/null
done
not inside ls /home/. /root/. 2>/dev/null
