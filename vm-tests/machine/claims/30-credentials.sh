# The key arrives as a credential, is read by nobody else, and signs.
[ "$(stat -c %a:%U $etc/signing.key)" = 600:root ]
[ -s /run/credentials/provenanced.service/signing-key ]
not setpriv --reuid=msp-provenance --regid=msp-provenance --clear-groups cat $etc/signing.key
not setpriv --reuid=nobody --regid=nogroup --clear-groups cat /run/credentials/provenanced.service/signing-key
pid=$(property provenanced MainPID)
body=$(sed -n 2p $etc/signing.key)
not eval 'tr '\0' '\n' <"/proc/$pid/environ" | grep -F "$body"'
not eval 'tr '\0' '\n' <"/proc/$pid/cmdline" | grep -F "$body"'
not eval 'journalctl --no-pager | grep -F "$body"'
wait_until 10 test -s $state/checkpoint
verify
