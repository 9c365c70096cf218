# After a power cut everything starts by itself, all that was acknowledged is there, and verifies.
wait_until 60 systemctl is-active provenanced
wait_until 60 systemctl is-active provenance-aggregate
acknowledged=$(sed -n 's/^records \([0-9]*\) ;$/\1/p' $out/acknowledged | tail -n 1)
[ "$(records | wc -l)" -ge "${acknowledged:-0}" ]
registry review >/run/claims/reviews
while read -r review; do grep -qF "$review" /run/claims/reviews; done < <(sed -n 's/^review \(.*\) ;$/\1/p' $out/acknowledged)
verify
wait_until 40 eval "[ \$(records | wc -l) -gt $(records | wc -l) ]"
