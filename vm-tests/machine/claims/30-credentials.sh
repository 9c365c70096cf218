# The key arrives as a credential, is read by nobody else, and signs.
[ "$(stat -c %a:%U $etc/signing.key)" = 600:root ]
[ -s /run/credentials/provenanced.service/signing-key ]
! setpriv --reuid=msp-provenance --regid=msp-provenance --clear-groups cat $etc/signing.key
! setpriv --reuid=nobody --regid=nogroup --clear-groups cat /run/credentials/provenanced.service/signing-key
pid=$(property provenanced MainPID)
body=$(sed -n 2p $etc/signing.key)
! tr '\0' '\n' <"/proc/$pid/environ" | grep -F "$body"
! tr '\0' '\n' <"/proc/$pid/cmdline" | grep -F "$body"
! journalctl --no-pager | grep -F "$body"
wait_until 10 test -s $state/checkpoint
verify
