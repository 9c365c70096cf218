# Everything starts at the boot by itself, on a kernel of its own.
mapfile -t units < <(cd /etc/systemd/system && ls -d */provenance*.wants/* */provenance* 2>/dev/null | grep wants | xargs -n 1 basename | sort -u)
[ ${#units[@]} -gt 6 ]
wait_until 60 eval "systemctl show -P ActiveState ${units[*]} | sed '/^$/d' | sort | uniq -c | grep -x ' *${#units[@]} active'"
