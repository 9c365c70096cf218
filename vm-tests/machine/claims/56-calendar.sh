# The calendar takes a digest from outside, and it is on record before the answer.
[ "$(property provenance-aggregate ActiveState)" = active ]
not eval 'registry batch | grep .'
head -c 32 /dev/urandom >/run/claims/digest
ask() { curl -sS --max-time 10 -w '%{http_code}' -o /run/claims/answer "$@" http://127.0.0.1:14788/digest; }
[ "$(ask --data-binary @/run/claims/digest)" = 200 ]
# A promise of this address.
grep -qaF http://127.0.0.1:14788 /run/claims/answer
registry batch | grep -c . | grep -x 1
# What is no digest gets no promise, and does not end it.
head -c 99 /dev/urandom >/run/claims/long
[ "$(ask --data-binary @/run/claims/long)" != 200 ]
[ "$(ask --data-binary @/run/claims/digest)" = 200 ]
# It has no way to the node's folder, whose cookie opens the wallet.
touch /var/lib/bitcoind-provenance/here
pid=$(property provenance-aggregate MainPID)
not nsenter --mount --target "$pid" test -e /var/lib/bitcoind-provenance/here
nsenter --mount --target "$(property provenanced MainPID)" test -e /var/lib/bitcoind-provenance/here
