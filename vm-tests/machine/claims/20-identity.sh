# Runs as its own user, with one capability: to read files.
pid=$(property provenanced MainPID)
[ "$(stat -c %U /proc/$pid)" = msp-provenance ]
grep -P '^Cap(Eff|Prm|Bnd|Amb):\t0000000000000004$' /proc/$pid/status | wc -l | grep -x 4
grep -P '^NoNewPrivs:\t1$' /proc/$pid/status
[ "$(stat -c %a:%U $state)" = 750:msp-provenance ]
