# The key arrives as a credential, is read by nobody else, and signs.
[ "$(stat -c %a:%U $etc/signing.key)" = 600:root ]
[ -s /run/credentials/provenanced.service/signing-key ]
not setpriv --reuid=msp-provenance --regid=msp-provenance --clear-groups cat $etc/signing.key
not setpriv --reuid=nobody --regid=nogroup --clear-groups cat /run/credentials/provenanced.service/signing-key
pid=$(property provenanced MainPID)
body=$(sed -n 2p $etc/signing.key)
has_body() { tr '\0' '\n' <"$1" | grep -qF "$body"; }
has_body $etc/signing.key
not has_body "/proc/$pid/environ"
not has_body "/proc/$pid/cmdline"
journalctl --no-pager >/tmp/journal
not has_body /tmp/journal
wait_until 10 test -s $state/checkpoint
verify
