# Each unit reaches what it may, and no other place: in its place, a program that tries.
insmod /usr/lib/modules/claims/veth.ko.xz
ip netns add elsewhere
ip link add out type veth peer name in netns elsewhere
ip address add 10.9.0.1/24 dev out
ip link set out up
ip -n elsewhere address add 10.9.0.2/24 dev in
ip -n elsewhere link set in up
# A packet that is dropped is sent again, once.
sysctl -qw net.ipv4.tcp_syn_retries=1
listen() { systemd-run --quiet --collect "$@" socat TCP-LISTEN:7,fork,reuseaddr SYSTEM:'echo there'; }
listen
listen --property=NetworkNamespacePath=/run/netns/elsewhere
cat >$bin/probe <<'PROBE'
#!/bin/bash
reach() { if { exec 3<>"/dev/tcp/$1/7" && read -r -t 5 said <&3 && [ "$said" = there ]; } 2>/dev/null; then echo yes; else echo no; fi; }
echo "probe: here $(reach 127.0.0.1), elsewhere $(reach 10.9.0.2)" >&2
PROBE
chmod 0755 $bin/probe
wait_until 20 eval "$bin/probe 2>&1 | grep 'here yes, elsewhere yes'"
# The copies' unit where there is a bucket: it alone has a way out.
install -m 0644 $out/s3.service /etc/systemd/system/provenance-s3.service
install -m 0600 /dev/null $etc/s3
local=(provenanced.service provenance-{anchor,aggregate}.service provenance-mcp@probe.service)
none=(provenance-{packet,store,verify-chain}.service)
printf '%s\n' [Unit] OnSuccess= OnFailure= [Service] Type=oneshot Restart=no ExecStartPre= ExecStart= "ExecStart=$bin/probe" StandardInput=null StandardOutput=journal |
  systemctl edit --quiet --runtime --drop-in=probe --stdin "${local[@]}" "${none[@]}" provenance-s3.service
# may SAID UNIT…: what each of them must say.
may() {
  local said=$1 unit; shift
  systemctl restart "$@"
  journalctl --sync
  for unit in "$@"; do
    journalctl --no-pager -o cat -u "$unit" | grep '^probe:' | tail -n 1 | tee /dev/stderr | grep -x "probe: $said"
  done
}
may 'here yes, elsewhere no' "${local[@]}"
may 'here no, elsewhere no' "${none[@]}"
may 'here yes, elsewhere yes' provenance-s3.service
rm -r /run/systemd/system/provenance*.d /etc/systemd/system/provenance-s3.service
systemctl daemon-reload
systemctl start provenanced provenance-aggregate
