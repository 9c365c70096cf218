# The journal and auditd's log, which are root's alone, are in the chain.
logger -t claims 'a line for the journal'
wait_until 10 eval 'records | grep -q /var/log/audit/audit.log'
wait_until 10 eval 'records | grep -q "\"journal"'
not eval 'records | grep unreadable'
not setpriv --reuid=msp-provenance --regid=msp-provenance --clear-groups cat /var/log/audit/audit.log
